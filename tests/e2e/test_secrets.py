"""Passwords of package indexes reach the installation, and are found nowhere afterwards."""

from __future__ import annotations

import base64
import configparser
import contextlib
import gzip
import json
import os
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor, step_log
from covalent_lambda_container.local.covalent_server import covalent_server
from covalent_lambda_container.local.stack import LocalStack
from tests.e2e.conftest import Dispatcher
from tests.electron import run
from tests.integration.private_index import PrivateIndex, Proxy, bridge_address

VERSION = f"1.{secrets.randbelow(10**9)}"
"""Of every package here: another one in each run, since an engine keeps what it has built."""

ASKED = {"url": "alpha", "netrc": "beta", "keyring": "gamma"}
"""Users, named after where their password is, and the package that each alone may have."""


class Canaries:
    """Passwords that are used for nothing else, and a search for them."""

    def __init__(self, *names: str) -> None:
        self.words = {name: f"canary{name}{secrets.token_hex(8)}" for name in names}

    def in_bytes(self, content: bytes) -> set[str]:
        """Return the names of those that are in a content, as they are or in base64."""
        return {
            name
            for name, word in self.words.items()
            if any(form in content for form in _forms(word))
        }

    def in_folder(self, folder: Path) -> set[tuple[str, Path]]:
        return {
            (name, path)
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
            for name in self.in_bytes(path.read_bytes()) | self.in_bytes(_unpacked(path))
        }


def _forms(word: str) -> set[bytes]:
    forms = {word.encode()}
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + word.encode())
        # The ends depend on what stands beside it.
        forms.add(encoded[4:-4])
    return forms


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.decompress(path.read_bytes()) if packed else b""


@pytest.fixture
def canaries() -> Canaries:
    return Canaries(*ASKED, "proxy")


@pytest.fixture
def index(tmp_path: Path, canaries: Canaries) -> Iterator[PrivateIndex]:
    logins = {user: canaries.words[user] for user in ASKED}
    hosts = [bridge_address(), "127.0.0.2", "127.0.0.3"]
    index = PrivateIndex(tmp_path / "index", hosts, logins)
    for user, package in ASKED.items():
        index.add_wheel(user, package, VERSION)
    index.add_installed("url", "cloudpickle")
    index.add_source("url", "delta", VERSION)
    index.add_source("url", "talkative", VERSION, talkative=True)
    with index.running():
        yield index


@pytest.fixture
def proxy(canaries: Canaries) -> Iterator[Proxy]:
    with Proxy(bridge_address(), f"proxy:{canaries.words['proxy']}").running() as proxy:
        yield proxy


@pytest.fixture
def based(
    request: pytest.FixtureRequest, options: dict[str, Any], tmp_path: Path
) -> dict[str, Any]:
    """Options for which Lambda's interface is in place: it is on no index of this test's.

    With the parameter ``"registry"``, images are made without Docker, which keeps it in the cache.
    """
    given = options | {"cache_dir": str(tmp_path / "first")}
    if getattr(request, "param", "docker") == "registry":
        root = request.getfixturevalue("root_in_registry")
        given |= {"builder": "registry", "base_image": root, "cache_dir": str(tmp_path / "cache")}
        # There is no container for the workflow's command.
        given |= {"bash_deps": "runtime"}
    run(AWSLambdaContainerExecutor(**given), abs, -1)
    return given


@pytest.fixture
def dispatcher(
    based: dict[str, Any], tmp_path: Path, canaries: Canaries, index: PrivateIndex, proxy: Proxy
) -> Iterator[Dispatcher]:
    """A server that is given a password in each of the ways there are."""
    (tmp_path / "netrc").write_text(
        f"machine 127.0.0.2\nlogin netrc\npassword {canaries.words['netrc']}\n"
    )
    keyring = tmp_path / "bin" / "keyring"
    keyring.parent.mkdir()
    keyring.write_text(f"#!/bin/sh\necho {canaries.words['keyring']}\n")
    keyring.chmod(0o755)
    (tmp_path / "ca.pem").write_bytes(index.authority)
    executor = based | {
        "cache_dir": str(tmp_path / "cache"),
        "ca_bundle": str(tmp_path / "ca.pem"),
        "pip_extra_index_urls": [index.url("127.0.0.2", "netrc")],
    }
    environment = {
        "PIP_INDEX_URL": index.url(bridge_address(), "url", f"url:{canaries.words['url']}"),
        "PIP_EXTRA_INDEX_URL": index.url("127.0.0.3", "keyring", "keyring"),
        "NETRC": str(tmp_path / "netrc"),
        "PATH": f"{keyring.parent}{os.pathsep}{os.environ['PATH']}",
        "HTTPS_PROXY": proxy.url,
        "NO_PROXY": "127.0.0.1,localhost",
        step_log.VARIABLE: str(tmp_path / "journal"),
        "LOGLEVEL": "DEBUG",
    }
    state = tmp_path / "covalent"
    executors = {"awslambda_container": executor}
    with covalent_server(state, environment, print, executors=executors) as server:
        yield Dispatcher(server, tmp_path / "journal")


def test_no_password_of_an_index_is_left_anywhere(
    dispatcher: Dispatcher,
    index: PrivateIndex,
    proxy: Proxy,
    canaries: Canaries,
    stack: LocalStack,
    aws: Callable[[str], Any],
    tmp_path: Path,
):
    with new_images(aws, stack) as images:
        named = [f"{package}=={VERSION}" for package in ASKED.values()]
        wheels = dispatcher.outcome("private_packages.py", *named)
        source = dispatcher.outcome("private_packages.py", f"delta=={VERSION}")
        missing = dispatcher.outcome("private_packages.py", "alpha==2.0")
        talkative = dispatcher.outcome("private_packages.py", f"talkative=={VERSION}")

    # All of them were needed, and did what they are for.
    assert wheels["result"] == [VERSION] * 3, wheels["nodes"]["versions"]["error"][-900:]
    assert source["result"] == [VERSION], source["nodes"]["versions"]["error"][-900:]
    assert missing["status"] == "FAILED"
    assert "alpha==2.0" in missing["nodes"]["versions"]["error"]
    assert talkative["status"] == "FAILED"
    assert "UV_DEFAULT_INDEX=https://…@" in talkative["nodes"]["versions"]["error"]
    for user, package in ASKED.items():
        assert (user, f"/files/{package}-{VERSION}-py3-none-any.whl") in index.requests
    assert ("url", f"/files/delta-{VERSION}.tar.gz") in index.requests
    assert {bridge_address(), "127.0.0.2", "127.0.0.3"} <= set(proxy.passed_on)

    # Commands of a build have the proxy as well; its log says so.
    log = (tmp_path / "covalent" / "covalent.log").read_text()
    assert f"HTTPS_PROXY=http://…@{bridge_address()}" in log

    # What a user sees.
    for outcome in (wheels, source, missing, talkative):
        assert canaries.in_bytes(json.dumps(outcome).encode()) == set()
    # Covalent's database, results and log; our caches; what the server's processes left in /tmp.
    for folder in (tmp_path / "covalent", tmp_path / "cache"):
        assert any(folder.rglob("*"))
        assert canaries.in_folder(folder) == set()
    assert canaries.in_bytes((tmp_path / "journal").read_bytes()) == set()
    assert (tmp_path / "covalent" / "covalent.sqlite").stat().st_size > 0
    # The images: configuration with history and labels, and every layer.
    assert len(images) == 2
    for digest in images:
        for blob in blobs(aws, stack, digest):
            assert canaries.in_bytes(blob) == set()
            if blob[:2] == b"\x1f\x8b":
                assert canaries.in_bytes(gzip.decompress(blob)) == set()
    # The engine, where stages and containers of builds would be left.
    with contextlib.closing(docker.from_env()) as client:
        for image in client.api.images():
            # Other tests remove theirs.
            with contextlib.suppress(docker.errors.NotFound):
                attributes = client.api.inspect_image(image["Id"])
                about = json.dumps([attributes, client.api.history(image["Id"])])
                assert canaries.in_bytes(about.encode()) == set()
        for container in client.containers.list(all=True, ignore_removed=True):
            assert canaries.in_bytes(json.dumps(container.attrs).encode()) == set()


@pytest.mark.slow
@pytest.mark.parametrize("based", ["registry"], indirect=True)
def test_no_password_is_left_by_a_build_without_docker(
    dispatcher: Dispatcher,
    index: PrivateIndex,
    canaries: Canaries,
    stack: LocalStack,
    aws: Callable[[str], Any],
    tmp_path: Path,
):
    canaries.words["registry"] = registry_password(stack)
    with new_images(aws, stack) as images:
        named = [f"{package}=={VERSION}" for package in ASKED.values()]
        wheels = dispatcher.outcome("private_packages.py", *named)
        missing = dispatcher.outcome("private_packages.py", "alpha==2.0")

    assert wheels["result"] == [VERSION] * 3, wheels["nodes"]["versions"]["error"][-900:]
    assert missing["status"] == "FAILED"
    for user, package in ASKED.items():
        assert (user, f"/files/{package}-{VERSION}-py3-none-any.whl") in index.requests
    for outcome in (wheels, missing):
        assert canaries.in_bytes(json.dumps(outcome).encode()) == set()
    for folder in (tmp_path / "covalent", tmp_path / "cache"):
        assert any(folder.rglob("*"))
        assert canaries.in_folder(folder) == set()
    assert canaries.in_bytes((tmp_path / "journal").read_bytes()) == set()
    assert len(images) == 1
    for digest in images:
        for blob in blobs(aws, stack, digest):
            assert canaries.in_bytes(blob) == set()
            if blob[:2] == b"\x1f\x8b":
                assert canaries.in_bytes(gzip.decompress(blob)) == set()


def test_the_search_finds_existing_secrets(canaries: Canaries, tmp_path: Path):
    (tmp_path / "packed").write_bytes(gzip.compress(f"…{canaries.words['url']}…".encode()))
    pair = f"keyring:{canaries.words['keyring']}".encode()
    (tmp_path / "header").write_bytes(b"Basic " + base64.b64encode(pair))
    assert {name for name, _ in canaries.in_folder(tmp_path)} == {"url", "keyring"}


def registry_password(stack: LocalStack) -> str:
    """Return the password with which the dispatcher's user logs in to the registry."""
    session = boto3.Session(region_name=stack.region)
    profile = configparser.ConfigParser()
    profile.read(stack.credentials_file)
    ecr = session.client("ecr", endpoint_url=stack.endpoint_url, **dict(profile[stack.profile]))
    (granted,) = ecr.get_authorization_token()["authorizationData"]
    return base64.b64decode(granted["authorizationToken"]).decode().partition(":")[2]


@contextmanager
def new_images(aws: Callable[[str], Any], stack: LocalStack) -> Iterator[set[str]]:
    """Yield a set that holds the digests of what was pushed, once the context has ended."""
    before = _digests(aws, stack)
    found: set[str] = set()
    yield found
    found |= _digests(aws, stack) - before


def _digests(aws: Callable[[str], Any], stack: LocalStack) -> set[str]:
    listed = aws("ecr").list_images(repositoryName=stack.repository)["imageIds"]
    return {image["imageDigest"] for image in listed}


def blobs(aws: Callable[[str], Any], stack: LocalStack, digest: str) -> Iterator[bytes]:
    """Pull an image: its manifest, its configuration and its layers, as they are stored."""
    (granted,) = aws("ecr").get_authorization_token()["authorizationData"]
    api = f"{stack.endpoint_url}/v2/{stack.repository}"

    def pull(kind: str, reference: str) -> bytes:
        request = urllib.request.Request(
            f"{api}/{kind}/{reference}",
            headers={
                "Authorization": f"Basic {granted['authorizationToken']}",
                "Accept": "application/vnd.docker.distribution.manifest.v2+json, "
                "application/vnd.oci.image.manifest.v1+json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
            return content

    manifest = pull("manifests", digest)
    yield manifest
    described = json.loads(manifest)
    for part in (described["config"], *described["layers"]):
        yield pull("blobs", part["digest"])
