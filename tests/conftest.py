"""Shared fixtures: a scratch Covalent configuration, and the local stack where it is needed."""

from __future__ import annotations

import configparser
import contextlib
import functools
import os
import platform
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest

# A shell that runs the suite in the background has it ignore SIGINT, and programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports Covalent, which writes its configuration when it is imported.
_scratch = tempfile.TemporaryDirectory(prefix="covalent-lambda-tests-")
for _name in ("COVALENT_CONFIG_DIR", "COVALENT_LOGDIR", "COVALENT_CACHE_DIR", "COVALENT_DATA_DIR"):
    os.environ[_name] = f"{_scratch.name}/{_name.lower()}"
os.environ["COVALENT_DATABASE"] = f"{_scratch.name}/dispatcher_db.sqlite"
os.environ["COVALENT_EXECUTOR_DIR"] = f"{_scratch.name}/executor_plugins"

from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.root_repository import push_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack

_shared = contextlib.ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share-engine",
        action="store_true",
        help="provide a Docker engine and the root image once, before the workers of -n start",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    # Workers that each started an engine, or built the root image, would do it at the same time.
    if session.config.getoption("share_engine") and not hasattr(session.config, "workerinput"):
        _shared.enter_context(docker_engine(print))
        _local_root_image()


def pytest_unconfigure() -> None:
    _shared.close()
    _scratch.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parts[-2] in ("integration", "e2e"):
            item.add_marker("docker")


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker engine: the machine's, or one that the tests start and stop."""
    with docker_engine(print):
        yield


@pytest.fixture(scope="session")
def root_image(engine: None) -> str:
    """Reference of a root image with this Python."""
    return _local_root_image()


def _local_root_image() -> str:
    version = ".".join(platform.python_version_tuple()[:2])
    with contextlib.closing(docker.from_env()) as client:
        return ensure_root_image(client, version, print)


@pytest.fixture(scope="session")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """MiniStack with a bucket, a role and a repository."""
    with local_stack(tmp_path_factory.mktemp("stack"), print) as running:
        yield running


@pytest.fixture(scope="session")
def root_in_registry(stack: LocalStack, root_image: str) -> Iterator[str]:
    """Reference of the root image in the local stack's registry; the engine has it as well."""
    reference = push_root_image(stack, root_image)
    with contextlib.closing(docker.from_env()) as client:
        client.images.get(root_image).tag(*reference.rsplit(":", 1))
        yield reference
        client.images.remove(reference)


@pytest.fixture(scope="session")
def aws(stack: LocalStack) -> Callable[[str], Any]:
    """Make boto3 clients of the local stack, by a way of their own, that may do everything."""
    credentials = configparser.ConfigParser()
    credentials.read(stack.credentials_file)
    session = boto3.Session(region_name=stack.region, **credentials[stack.owner_profile])
    return functools.partial(session.client, endpoint_url=stack.endpoint_url)


@pytest.fixture(scope="session")
def options(stack: LocalStack, root_image: str) -> dict[str, Any]:
    """Executor options that lead to the local stack, with a dispatcher's rights."""
    return dict(stack.executor_options(root_image))


@pytest.fixture
def cache_dir(tmp_path: Path) -> str:
    return str(tmp_path / "cache")
