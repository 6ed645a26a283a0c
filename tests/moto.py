"""moto: an AWS without containers and registry that validates documents and requests as AWS does.

It lives in a virtual environment of its own (``make`` creates it), since it needs versions of
libraries that others do not.
"""

from __future__ import annotations

import configparser
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from covalent_lambda_container.local.child_process import answers_http, child_process, free_port

PROGRAM = Path(
    os.environ.get("MOTO_SERVER", Path(__file__).parents[1] / ".venv-moto" / "bin" / "moto_server")
)
PROFILE = "moto"


@dataclass(frozen=True)
class MotoAccount:
    """An account in moto; everybody may do everything.

    Attributes
    ----------
    endpoint_url, region, credentials_file, owner_profile
        How clients reach it.
    bucket, repository, role_name
        Names that `bootstrap` gives to what it creates.
    """

    endpoint_url: str
    credentials_file: Path
    region: str = "eu-central-1"
    owner_profile: str = PROFILE
    bucket: str = "covalent-lambda-jobs"
    repository: str = "covalent-lambda"
    role_name: str = "CovalentLambdaExecutionRole"


@contextmanager
def moto_account(folder: Path) -> Iterator[MotoAccount]:
    """Run moto with an empty account while the context is open; skip where it is not installed."""
    if not PROGRAM.exists():
        pytest.skip(f"moto is not installed: there is no {PROGRAM} (make test installs it)")
    port = free_port()
    log_file = folder / "moto.log"
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(folder)}
    with child_process(
        [str(PROGRAM), "-H", "127.0.0.1", "-p", str(port)],
        environment=environment,
        log_file=log_file,
    ) as process:
        deadline = time.monotonic() + 60
        while not answers_http(port, "/moto-api/"):
            assert process.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.1)
        credentials = configparser.RawConfigParser()
        credentials[PROFILE] = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "none"}
        file = folder / "credentials"
        with file.open("w") as opened:
            credentials.write(opened)
        yield MotoAccount(endpoint_url=f"http://127.0.0.1:{port}", credentials_file=file)
