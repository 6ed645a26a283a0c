"""The local AWS: a MiniStack process with its own credentials, set up as a deployment."""

from __future__ import annotations

import configparser
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker

from covalent_lambda_container.adapters.docker.address import engine_address
from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.failures import explained
from covalent_lambda_container.errors import ImageBuildError, LocalStackError
from covalent_lambda_container.local.bootstrap import AccessKey, Users, bootstrap
from covalent_lambda_container.local.child_process import (
    answers_http,
    child_process,
    unproxied,
    wait_until,
)
from covalent_lambda_container.local.containers import remove_containers
from covalent_lambda_container.local.emulator import HEALTH_PATH, REGION, Emulator, Limits
from covalent_lambda_container.local.listeners import listen_here_only
from covalent_lambda_container.local.loopback import check_loopback
from covalent_lambda_container.model.names import ARCHITECTURES, lambda_architecture
from covalent_lambda_container.options.schema import Options

PROFILE: Final = "covalent-lambda-local"
OWNER_PROFILE: Final = "covalent-lambda-local-owner"

_START_TIMEOUT_S: Final = 60.0
_ENGINE_TIMEOUT_S: Final = 60
#: The emulator waits for containers that are starting, removes all, and gives connections 3 s.
_STOP_GRACE_S: Final = 30.0
#: Inherited credentials override a profile; empty ones count as absent.
_HIDDEN_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


@dataclass(frozen=True, kw_only=True)
class LocalStack:
    """The address of the local AWS, and the names of the resources created at its start.

    Attributes
    ----------
    endpoint_url
        ``http://localhost:PORT``; host and port are the registry's, too.
    region, profile, credentials_file
        Settings for clients' signatures; only its owner may read the file, an INI file. The
        profile's user has the permissions of a dispatcher.
    owner_profile
        A profile in the same file whose user has all permissions.
    bucket, role_name, repository
        S3 bucket, IAM role and ECR repository, ready for use.
    architecture
        Architecture of engine and functions: ``"x86_64"`` or ``"arm64"``.
    log_file
        MiniStack's log.
    """

    endpoint_url: str
    region: str
    credentials_file: Path
    profile: str
    owner_profile: str
    bucket: str
    role_name: str
    repository: str
    architecture: str
    log_file: Path

    def executor_options(self, root_image: str) -> dict[str, str]:
        """Return the executor's options that refer to this stack.

        Parameters
        ----------
        root_image
            The root of all images: see `ensure_root_image`.
        """
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "credentials_file": str(self.credentials_file),
            "profile": self.profile,
            "s3_bucket_name": self.bucket,
            "lambda_role_name": self.role_name,
            "ecr_repository": self.repository,
            "base_image": root_image,
            "architecture": self.architecture,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables that direct any AWS SDK in a child process only to this stack."""
        return {
            **dict.fromkeys(_HIDDEN_VARIABLES, ""),
            **unproxied(),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_PROFILE": self.profile,
            "AWS_REGION": self.region,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file),
        }


@contextmanager
def local_stack(
    state_dir: Path, report: Callable[[str], None], *, limits: Limits | None = None, port: int = 0
) -> Iterator[LocalStack]:
    """Run a MiniStack with a bucket, a role and a repository while the context is open.

    It listens on one port, by default a free one, of the loopback address and, for its own
    containers, of Docker's bridge: no other machine reaches it. Every start has new credentials and
    an empty state. At the end, the process is stopped and the containers of its functions are
    removed; the log is kept. A Docker engine must be running.

    Parameters
    ----------
    state_dir
        Folder for the credentials, the log and temporary files; created if missing.
    report
        Called with one line on each step that takes time.
    limits
        Limits of all functions.
    port
        Port to listen on; 0 for a free one.

    Raises
    ------
    LocalStackError
        MiniStack is not installed or did not start, no Docker engine answers, or the engine cannot
        reach this machine's loopback address.
    """
    if any(importlib.util.find_spec(name) is None for name in ("ministack", "hypercorn")):
        raise LocalStackError(
            "The local AWS needs MiniStack, which is not installed.",
            hint='Install it: pip install "covalent-lambda-container[local]"',
        )
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_file = state_dir / "ministack.log"
    # It has what functions print.
    log_file.touch(mode=0o600)

    with ExitStack() as cleanup:
        scratch = Path(cleanup.enter_context(tempfile.TemporaryDirectory(dir=state_dir)))
        client = _docker_client()
        cleanup.callback(client.close)
        architecture = _architecture(client)
        check_loopback(client)
        sockets = [cleanup.enter_context(sock) for sock in listen_here_only(client, port)]
        port = int(sockets[0].getsockname()[1])
        emulator = Emulator(port=port, scratch=scratch, limits=limits or Limits())
        emulator.write_docker_config()
        endpoint_url = f"http://localhost:{emulator.port}"
        report(f"Starting MiniStack on {endpoint_url}")

        # The emulator removes its containers itself, unless it was killed.
        cleanup.callback(remove_containers, client, label=emulator.container_label)
        process = cleanup.enter_context(
            child_process(
                emulator.command([sock.fileno() for sock in sockets]),
                environment=emulator.environment(),
                log_file=log_file,
                # `python -m` imports modules from there first: not from the user's folder.
                working_directory=scratch,
                pass_fds=[sock.fileno() for sock in sockets],
                grace_s=_STOP_GRACE_S,
            )
        )
        # Only the child listens: a copy here would accept connections after the child's end.
        for sock in sockets:
            sock.close()
        wait_until(
            lambda: answers_http(emulator.port, HEALTH_PATH),
            process,
            name="MiniStack",
            log_file=log_file,
            timeout_s=_START_TIMEOUT_S,
        )
        root = AccessKey(emulator.root_key, emulator.root_secret)
        options = Options()
        users = bootstrap(endpoint_url, REGION, root, options)
        credentials_file = state_dir / "credentials"
        cleanup.callback(credentials_file.unlink, missing_ok=True)
        _write_credentials(credentials_file, users)
        yield LocalStack(
            endpoint_url=endpoint_url,
            region=REGION,
            credentials_file=credentials_file,
            profile=PROFILE,
            owner_profile=OWNER_PROFILE,
            bucket=options.s3_bucket_name,
            role_name=options.lambda_role_name,
            repository=options.ecr_repository,
            architecture=architecture,
            log_file=log_file,
        )
        report("Stopping MiniStack")


def _docker_client() -> docker.DockerClient:
    address = engine_address()
    try:
        with explained("run the functions of the local stack", address):
            return connect(address, timeout_s=_ENGINE_TIMEOUT_S)
    except ImageBuildError as exc:
        raise LocalStackError(exc.message, hint=exc.hint) from exc


def _architecture(client: docker.DockerClient) -> str:
    """Return Lambda's name for the engine's processor."""
    found = lambda_architecture(client.version()["Arch"])
    if found not in ARCHITECTURES:
        raise LocalStackError(
            f"The Docker engine's processor is {found}; Lambda's functions run on "
            f"{' or '.join(ARCHITECTURES)}.",
            hint="Use an engine on one of these.",
        )
    return found


def _write_credentials(path: Path, users: Users) -> None:
    content = configparser.RawConfigParser()
    for profile, user in ((PROFILE, users.dispatcher), (OWNER_PROFILE, users.owner)):
        content[profile] = {"aws_access_key_id": user.key, "aws_secret_access_key": user.secret}
    path.unlink(missing_ok=True)
    # Created with its mode, so that others can never read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        content.write(file)
