"""MiniStack's command line, environment and Docker configuration."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from covalent_lambda_container.adapters.docker.address import engine_address
from covalent_lambda_container.local.child_process import python_path

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
HEALTH_PATH: Final = "/_ministack/health"
REGISTRY_USER: Final = "AWS"
REGISTRY_PASSWORD_VARIABLE: Final = "LOCAL_REGISTRY_PASSWORD"  # noqa: S105

#: Only services that this project calls: some of the others open ports on all addresses.
_SERVICES: Final = "s3,ecr,lambda,iam,sts,logs"
#: Lambda's file system is read-only except for /tmp, which is writable for all and executable.
#: Docker's own default would be `noexec`.
_CONTAINER_FLAGS: Final = "--read-only --tmpfs /tmp:rw,exec,nosuid,nodev,mode=1777,size={}m"
#: The emulator's default of 10 s fails a third of a burst of a hundred cold starts.
_DOCKER_TIMEOUT_S: Final = 120
#: Only these are inherited, because many variables would affect the emulator or its containers:
#: AWS_*, LAMBDA_*, a proxy between it and a container's port.
_INHERITED: Final = (
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONUSERBASE", "VIRTUAL_ENV",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that the emulator applies to all functions, since it does not apply their own.

    Attributes
    ----------
    scratch_mb
        Size of /tmp. Default: the largest that a function may have (AWS Lambda quotas, "/tmp
        directory storage"), so that every function gets what it requires.
    memory_mb
        Memory of a container; None for no limit.
    concurrency
        Concurrent invocations in the account; None for no limit.
    """

    scratch_mb: int = 10240
    memory_mb: int | None = None
    concurrency: int | None = None

    def environment(self) -> dict[str, str]:
        """Return the emulator's variables for these limits."""
        flags = _CONTAINER_FLAGS.format(self.scratch_mb)
        if self.memory_mb is not None:
            flags += f" --memory {self.memory_mb}m"
        return {
            "LAMBDA_DOCKER_FLAGS": flags,
            "LAMBDA_ACCOUNT_CONCURRENCY": str(self.concurrency or 0),
        }


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """The configuration of one MiniStack: a port, and secrets for its lifetime.

    Attributes
    ----------
    port
        Port that it listens on; also part of every endpoint that it passes to its containers.
    scratch
        Its folder for temporary files.
    limits
        Limits of all functions.
    root_key, root_secret
        The account's root. Knowing the key's name suffices to use it: it must stay in this process.
    """

    port: int
    scratch: Path
    limits: Limits = field(default_factory=Limits)
    # Begins with letters: the emulator treats twelve digits as an account's number.
    root_key: str = field(default_factory=lambda: f"ROOT{secrets.token_hex(16)}", repr=False)
    root_secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    registry_password: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    # Unique, since another stack may use the same Docker engine.
    name: str = field(default_factory=lambda: f"covalent-lambda-{secrets.token_hex(6)}")

    @property
    def container_label(self) -> str:
        """The Docker label of this emulator's containers."""
        return f"ministack.instance={self.name}:{self.port}"

    def command(self, descriptors: Sequence[int]) -> list[str]:
        """Return the command that serves the sockets with these file descriptors."""
        program = (sys.executable, "-m", "covalent_lambda_container.local.emulator_main")
        return [*program, self.container_label, *map(str, descriptors)]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the command."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # The emulator does not support Docker contexts, which are in the user's configuration.
        return (
            inherited
            | engine_address().environment
            | {
                "AUTH": "true",
                "AWS_ACCESS_KEY_ID": self.root_key,
                "AWS_SECRET_ACCESS_KEY": self.root_secret,
                "DOCKER_CONFIG": str(self.scratch),
                "GATEWAY_PORT": str(self.port),
                # These two would listen on all addresses.
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                **self.limits.environment(),
                "LAMBDA_STRICT": "1",
                "MINISTACK_DOCKER_TIMEOUT": str(_DOCKER_TIMEOUT_S),
                "MINISTACK_HOSTNAME": self.name,
                "MINISTACK_REGION": REGION,
                "PERSIST_STATE": "0",
                "PYTHONPATH": python_path(),
                "PYTHONUNBUFFERED": "1",
                REGISTRY_PASSWORD_VARIABLE: self.registry_password,
                "S3_PERSIST": "0",
                "SERVICES": _SERVICES,
                "TMPDIR": str(self.scratch),
            }
        )

    def write_docker_config(self) -> None:
        """Log the emulator's own Docker client in to its registry, and nowhere else.

        The user's configuration would apply the user's registries and proxies to containers.
        """
        login = base64.b64encode(f"{REGISTRY_USER}:{self.registry_password}".encode()).decode()
        config = {"auths": {f"localhost:{self.port}": {"auth": login}}}
        (self.scratch / "config.json").write_text(json.dumps(config))
