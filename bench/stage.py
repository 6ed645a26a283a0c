"""The environment of measurements: engine, root image, local AWS, stub, worker processes.

Each part is started when first asked for and ends with the stage.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker

from bench import stub
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack

_ROOT: Final = Path(__file__).parent.parent
_TAIL_LINES: Final = 30
#: Every variable by which Covalent learns where to keep what it writes, when it is imported.
_COVALENT_FOLDERS: Final = (
    "COVALENT_CACHE_DIR",
    "COVALENT_CONFIG_DIR",
    "COVALENT_DATA_DIR",
    "COVALENT_EXECUTOR_DIR",
    "COVALENT_LOGDIR",
    "COVALENT_RESULTS_DIR",
)


class WorkerFailed(Exception):
    """A measuring process ended without an answer."""


@dataclass(frozen=True)
class Stub:
    """A running `bench.stub`."""

    port: int

    @property
    def endpoint_url(self) -> str:
        """Where it answers. An address and no name: S3's buckets then are in the path."""
        return f"http://127.0.0.1:{self.port}"

    def behave(self, delay_s: float, answer: str | None) -> None:
        """Set how it answers invocations, and start its statistics afresh."""
        wanted = json.dumps({"delay_s": delay_s, "answer": answer})
        self._ask("PUT", stub.BEHAVIOUR_PATH, wanted)

    def event(self) -> str:
        """Return the event of the last invocation."""
        return self._ask("GET", stub.EVENT_PATH)

    def statistics(self) -> dict[str, Any]:
        """Return what it saw since its behaviour was set."""
        seen: dict[str, Any] = json.loads(self._ask("GET", stub.STATISTICS_PATH))
        return seen

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else body.encode())
            return connection.getresponse().read().decode()


class Stage:
    """Everything that measurements share.

    Parameters
    ----------
    scratch
        A folder of this run.
    report
        Takes one line on each step that takes time.
    cleanup
        Ends with the stage.
    """

    def __init__(self, scratch: Path, report: Callable[[str], None], cleanup: ExitStack) -> None:
        self.scratch = scratch
        self.report = report
        self._cleanup = cleanup

    @functools.cached_property
    def stack(self) -> LocalStack:
        """The local AWS, on a Docker engine."""
        self._cleanup.enter_context(docker_engine(self.report))
        return self._cleanup.enter_context(local_stack(self.scratch / "stack", self.report))

    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """Executor options that lead to the local AWS."""
        stack = self.stack
        version = ".".join(platform.python_version_tuple()[:2])
        with contextlib.closing(docker.from_env()) as client:
            root_image = ensure_root_image(client, version, self.report)
        return {
            "endpoint_url": stack.endpoint_url,
            "region": stack.region,
            "credentials_file": str(stack.credentials_file),
            "profile": stack.profile,
            "s3_bucket_name": stack.bucket,
            "lambda_role_name": stack.role_name,
            "ecr_repository": stack.repository,
            "base_image": root_image,
            "cache_dir": str(self.scratch / "cache"),
        }

    @functools.cached_property
    def stub(self) -> Stub:
        """An AWS that answers invocations after a fixed time."""
        return self._cleanup.enter_context(running_stub())

    @functools.cached_property
    def stub_options(self) -> dict[str, Any]:
        """Executor options that lead to the stub; the credentials are invalid elsewhere."""
        credentials = self.scratch / "stub-credentials"
        credentials.write_text(
            "[stub]\naws_access_key_id = AKIASTUBSTUBSTUBSTUB\naws_secret_access_key = stub\n"
        )
        return {
            "endpoint_url": self.stub.endpoint_url,
            "region": "us-east-1",
            "credentials_file": str(credentials),
            "profile": "stub",
            "s3_bucket_name": "stub-bucket",
            "lambda_role_name": "stub",
            "ecr_repository": "stub",
            "base_image": "stub.example.com/root:1",
            "cache_dir": str(self.scratch / "stub-cache"),
        }

    def work(
        self,
        worker: str,
        request: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run a program of `bench.workers` and return its answer.

        Parameters
        ----------
        worker
            The worker's name.
        request
            Its request, sent as JSON.
        environment
            The whole environment; default: this one's, with a separate Covalent configuration.

        Raises
        ------
        WorkerFailed
            The worker failed; the message has the end of its output.
        """
        ended = subprocess.run(
            [sys.executable, "-m", f"bench.workers.{worker}", json.dumps(request)],
            cwd=_ROOT,
            env={**(self.environment if environment is None else environment)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            tail = "\n".join((ended.stdout + ended.stderr).splitlines()[-_TAIL_LINES:])
            raise WorkerFailed(f"{worker} ended with status {ended.returncode}:\n{tail}")
        answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return answer

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """The default environment of processes that measure."""
        # The user's own Covalent and AWS must not have an effect, through settings or files.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COVALENT_", "AWS_"))
        }
        folders = {name: str(self.scratch / name.lower()) for name in _COVALENT_FOLDERS}
        return (
            inherited
            | folders
            | {
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "COVALENT_DATABASE": str(self.scratch / "covalent.sqlite"),
                "NO_PROXY": "localhost,127.0.0.1",
                "no_proxy": "localhost,127.0.0.1",
            }
        )


@contextmanager
def stage(report: Callable[[str], None]) -> Iterator[Stage]:
    """Have a stage while the context is open."""
    with ExitStack() as cleanup:
        folder = tempfile.TemporaryDirectory(prefix="covalent-lambda-bench-")
        scratch = Path(cleanup.enter_context(folder))
        yield Stage(scratch, report, cleanup)


@contextmanager
def running_stub() -> Iterator[Stub]:
    """Run the stub while the context is open."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stub"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield Stub(int(process.stdout.readline()))
        # Leaving closes its standard input, and waits.
