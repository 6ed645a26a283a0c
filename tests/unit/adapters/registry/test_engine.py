"""Images composed and uploaded without an engine, from a registry that fails into one that does."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import logging
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import progress
from covalent_lambda_container.adapters.registry.engine import RegistryEngine
from covalent_lambda_container.adapters.registry.references import parse
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.adapters.registry.root_images import RootImages
from covalent_lambda_container.errors import ImageBuildError, RegistryError, VersionMismatch
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.model.image_labels import contents
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.engine import FakeInstaller, wheel
from tests.fakes.examples import image_spec
from tests.fakes.registry_server import FakeRegistryServer, Fault, Stored

PYTHON = "{}.{}".format(*sys.version_info[:2])
BIG = "x" * 6_000_000
SHELF = {
    "cloudpickle==3.1.0": wheel("cloudpickle", "3.1.0", {"cloudpickle/__init__.py": "a = 1\n"}),
    "small==1": wheel("small", "1", {"small/__init__.py": "", "bin/small": "#!/x/python\n"}),
    "numpy": wheel("numpy", "2.1", {"numpy/__init__.py": "a = 1\n", "numpy/core.so": BIG}),
}
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/usr/bin", "LAMBDA_TASK_ROOT=/other"], "Cmd": ["sh"]},
}


def layer_of(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(content), 0o755
            archive.addfile(header, io.BytesIO(content))
        for name, target in (links or {}).items():
            header = tarfile.TarInfo(name)
            header.type, header.linkname = tarfile.SYMTYPE, target
            archive.addfile(header)
    return out.getvalue()


def root_layers(python: str = PYTHON) -> list[bytes]:
    below = layer_of(
        {
            "usr/bin/python3.1": b"an old one",
            f"usr/bin/python{python}": b"interpreter",
            "lib64/libc.so.6": b"GNU C Library (Debian) stable release version 2.36.\n",
        },
        {"usr/bin/python3": "python3.1"},
    )
    above = layer_of(
        {"usr/bin/.wh.python3.1": b"", "lambda-entrypoint.sh": b"#!/bin/sh\n"},
        {"usr/bin/python3": f"python{python}"},
    )
    return [below, above]


@pytest.fixture
def server() -> Iterator[FakeRegistryServer]:
    with FakeRegistryServer() as running:
        running.repositories["tasks"] = Stored()
        add_root(running)
        yield running


def add_root(server: FakeRegistryServer, tag: str = "root", python: str = PYTHON) -> None:
    layers = root_layers(python)
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    rootfs = {"type": "layers", "diff_ids": digests}
    server.add_image(
        "roots", tag, [gzip.compress(layer) for layer in layers], CONFIG | {"rootfs": rootfs}
    )


class Dispatcher:
    """A machine that builds: its cache, and how often it waited."""

    def __init__(self, server: FakeRegistryServer, cache: Path) -> None:
        self.server, self.cache = server, cache
        self.waits: list[float] = []
        self.installer = FakeInstaller(wheels=dict(SHELF))
        login = lambda: RegistryLogin(username="AWS", password=server.password)  # noqa: E731

        @functools.cache
        def open_repository(name: str) -> Repository:
            reference = parse(f"{server.endpoint}/{name}:any")
            return Repository(reference, login, sleep=self.waits.append)

        roots = RootImages(lambda reference: open_repository(reference.repository))
        self.engine = RegistryEngine(roots, lambda: open_repository("tasks"), cache)
        packages = PackageInstaller(self.engine, self.installer, IndexSettings, cache / "wheels")
        self.builder = TaskImageBuilder(self.engine, packages, cache, max_image_mb=10240)

    def spec(self, *requirements: str, **changes: Any) -> ImageSpec:
        root = f"{self.server.endpoint}/roots:root"
        given = {"python_version": PYTHON, "base_image": root, "requirements": requirements}
        return image_spec(**(given | changes))

    def make(self, *requirements: str, tag: str = "tag", **changes: Any) -> str:
        name = f"{self.server.endpoint}/tasks:{tag}"
        self.builder.build(self.spec(*requirements, **changes), name)
        return self.builder.push(name, RegistryLogin(username="AWS", password="unused"))


@pytest.fixture
def dispatcher(server: FakeRegistryServer, tmp_path: Path) -> Dispatcher:
    return Dispatcher(server, tmp_path / "cache")


def manifest_of(server: FakeRegistryServer, tag: str = "tag") -> Any:
    return json.loads(server.repositories["tasks"].manifests[tag][1])


def config_of(server: FakeRegistryServer, tag: str = "tag") -> Any:
    return json.loads(
        server.repositories["tasks"].blobs[manifest_of(server, tag)["config"]["digest"]]
    )


def members(blob: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        return archive.getmembers()


def uploaded(server: FakeRegistryServer) -> int:
    return sum(method == "PATCH" for method, _, _ in server.requests)


def test_an_image_is_whole_and_says_what_it_is(dispatcher: Dispatcher, server: Any) -> None:
    digest = dispatcher.make("numpy", "small==1")
    held = server.repositories["tasks"]
    manifest, config = manifest_of(server), config_of(server)
    assert f"sha256:{hashlib.sha256(held.manifests['tag'][1]).hexdigest()}" == digest
    types = {each["mediaType"] for each in manifest["layers"]}
    assert types == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    unpacked = [gzip.decompress(held.blobs[each["digest"]]) for each in manifest["layers"]]
    diff_ids = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in unpacked]
    assert config["rootfs"]["diff_ids"] == diff_ids
    assert [each["size"] for each in manifest["layers"]] == [
        len(held.blobs[each["digest"]]) for each in manifest["layers"]
    ]
    settings = config["config"]
    assert settings["Env"] == [
        "PATH=/usr/bin",
        "LAMBDA_TASK_ROOT=/var/task",
        "LAMBDA_RUNTIME_DIR=/var/runtime",
    ]
    assert settings["Entrypoint"] == ["/lambda-entrypoint.sh"]
    assert settings["Cmd"] == ["covalent_lambda_runtime.start.handle"]
    assert settings["WorkingDir"] == "/var/task"
    found = contents(settings["Labels"])
    assert found is not None
    assert found.lock == "cloudpickle==3.1.0\nnumpy==2.1\nsmall==1\n"
    layers = [each for each in config["history"] if not each.get("empty_layer")]
    assert [each.get("comment", "") for each in layers if "packages/" in each["created_by"]] == [
        "numpy==2.1: all but its Python code",
        "cloudpickle==3.1.0, numpy==2.1: its Python code, small==1",
    ]


def test_layers_are_what_lambda_unpacks(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy", "small==1")
    own = manifest_of(server)["layers"][2:]
    for each in own:
        found = members(server.repositories["tasks"].blobs[each["digest"]])
        names = [member.name for member in found]
        assert len(names) == len(set(names))
        assert not [member for member in found if not (member.isreg() or member.isdir())]
        for name in names:
            parents = [str(parent) for parent in Path(name).parents if str(parent) != "."]
            assert all(names.index(parent) < names.index(name) for parent in parents)


def test_the_same_archive_is_the_same_blob_without_name_and_time(
    server: Any, tmp_path: Path
) -> None:
    for number in range(2):
        Dispatcher(server, tmp_path / str(number)).make("numpy", tag=f"tag-{number}")
    assert manifest_of(server, "tag-0") == manifest_of(server, "tag-1")
    blob = server.repositories["tasks"].blobs[manifest_of(server, "tag-0")["layers"][-1]["digest"]]
    assert blob[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_what_the_registry_has_is_not_uploaded_again(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    before = uploaded(server)
    dispatcher.make("numpy", "small==1", tag="more")
    # The shared last layer of packages, and the configuration.
    assert uploaded(server) == before + 2


def test_a_changed_runtime_installs_and_reads_nothing(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    installed, read = len(dispatcher.installer.installed), len(server.requests)
    dispatcher.make("numpy", tag="changed", recipe="1" * 64)
    assert len(dispatcher.installer.installed) == installed
    assert not [one for one in server.requests[read:] if one[0] == "GET"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "blobs/uploads", after_bytes=100, times=2),
        Fault("PATCH", "blobs/uploads", times=2),
        Fault("PUT", "blobs/uploads"),
        Fault("PUT", "manifests"),
        Fault("PATCH", "blobs/uploads", status=429, headers={"Retry-After": "7"}),
        Fault("PATCH", "blobs/uploads", status=500),
        Fault("PUT", "blobs/uploads", status=400, code="DIGEST_INVALID"),
        Fault("POST", "blobs/uploads", status=503),
        Fault("HEAD", "blobs", status=502),
        Fault("GET", "blobs", status=500),
        Fault("PUT", "manifests", status=500),
    ],
    ids=lambda fault: f"{fault.method}-{fault.kind}-{fault.status or fault.after_bytes}",
)
def test_what_may_pass_is_tried_again(dispatcher: Dispatcher, server: Any, fault: Fault) -> None:
    server.faults.append(fault)
    dispatcher.make("numpy")
    assert fault.times == 0
    assert dispatcher.waits
    assert max(dispatcher.waits) >= float(fault.headers.get("Retry-After", 0))
    held = server.repositories["tasks"]
    for digest, data in held.blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_a_login_that_has_ended_is_renewed_in_the_middle(
    dispatcher: Dispatcher, server: Any
) -> None:
    dispatcher.make("small==1")
    server.password = "another-secret"
    dispatcher.make("numpy", tag="more")
    assert "more" in server.repositories["tasks"].manifests


def test_a_root_layer_of_other_bytes_is_read_again(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("small==1")
    server.repositories["tasks"] = Stored()
    server.changed_bytes = 1
    dispatcher.make("small==1")
    for digest, data in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_blobs_that_the_registry_forgets_are_uploaded_again(
    dispatcher: Dispatcher, server: Any
) -> None:
    dispatcher.make("numpy")
    largest = manifest_of(server)["layers"][2]["digest"]
    server.forgets.append(largest)
    dispatcher.make("numpy", "small==1", tag="more")
    assert largest in server.repositories["tasks"].blobs
    assert "more" in server.repositories["tasks"].manifests


def test_a_repository_that_is_gone_fails_and_the_next_try_succeeds(
    dispatcher: Dispatcher, server: Any
) -> None:
    held = server.repositories.pop("tasks")
    with pytest.raises(RegistryError, match="NAME_UNKNOWN"):
        dispatcher.make("numpy")
    assert not held.manifests
    server.repositories["tasks"] = Stored()
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_refusal_names_no_password(
    dispatcher: Dispatcher, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults += [
        Fault("PATCH", "blobs/uploads", status=500),
        Fault("POST", "blobs/uploads", status=403, code="DENIED", times=99),
    ]
    with caplog.at_level(logging.DEBUG), pytest.raises(RegistryError, match="DENIED") as refused:
        dispatcher.make("numpy")
    assert server.password not in str(refused.value) + caplog.text
    written = [file.read_bytes() for file in dispatcher.cache.rglob("*") if file.is_file()]
    assert not [content for content in written if server.password.encode() in content]


def test_a_disk_that_is_full_leaves_nothing_and_the_next_try_succeeds(
    dispatcher: Dispatcher, server: Any
) -> None:
    layers = dispatcher.cache / "layers"
    dispatcher.cache.mkdir()
    layers.write_text("in the way, as a full disk is")
    with pytest.raises(ImageBuildError, match="could not be written"):
        dispatcher.make("numpy")
    assert not server.repositories["tasks"].manifests
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))
    layers.unlink()
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_layer_that_was_cut_short_is_made_again(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        file.write_bytes(file.read_bytes()[:10])
    server.repositories["tasks"] = Stored()
    dispatcher.make("numpy")
    for digest, data in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_a_layer_that_was_damaged_is_made_again(
    dispatcher: Dispatcher, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    digest = dispatcher.make("numpy")
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    server.repositories["tasks"] = Stored()
    assert dispatcher.make("numpy") == digest
    assert "was damaged" in caplog.text
    # Another process, whose image lacks no layer now.
    server.repositories["tasks"] = Stored()
    assert Dispatcher(server, dispatcher.cache).make("numpy") == digest


def test_an_image_whose_record_was_damaged_is_made_again(
    dispatcher: Dispatcher, server: Any
) -> None:
    digest = dispatcher.make("numpy")
    for file in (dispatcher.cache / "images").glob("*.json"):
        file.write_text(file.read_text().replace("LAMBDA_TASK_ROOT", "LAMBDA_TASK_LOOT"))
    server.repositories["tasks"] = Stored()
    assert dispatcher.make("numpy") == digest


def test_a_layer_that_is_damaged_between_build_and_push_is_not_pushed(
    dispatcher: Dispatcher, server: Any
) -> None:
    name = f"{server.endpoint}/tasks:tag"
    dispatcher.builder.build(dispatcher.spec("numpy"), name)
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(ImageBuildError, match=r"was damaged(.|\n)*Try again"):
        dispatcher.builder.push(name, RegistryLogin(username="AWS", password="unused"))
    assert "tag" not in server.repositories["tasks"].manifests
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_root_is_downloaded_once(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    read = [rest for method, kind, rest in server.requests if (method, kind) == ("GET", "blobs")]
    assert len(read) == len(set(read))
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))


def test_a_root_that_breaks_off_is_downloaded_again(dispatcher: Dispatcher, server: Any) -> None:
    # Its configuration first, then a layer.
    server.changed_bytes = 2
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


class Unwanted(Exception):
    """Raised by whoever receives reports of an image that nobody wants any more."""


def test_uploads_end_when_nobody_wants_the_image_any_more(
    dispatcher: Dispatcher, server: Any
) -> None:
    server.seconds_per_body = 0.2
    name = f"{server.endpoint}/tasks:tag"
    dispatcher.builder.build(dispatcher.spec("numpy"), name)

    def receive(state: str) -> None:
        raise Unwanted(state)

    with (
        progress.reported_to(receive),
        pytest.raises(Unwanted, match=r"uploading: \d of \d layers"),
    ):
        dispatcher.builder.push(name, RegistryLogin(username="AWS", password="unused"))
    left = uploaded(server)
    time.sleep(0.5)
    assert uploaded(server) == left
    assert "tag" not in server.repositories["tasks"].manifests
    server.seconds_per_body = 0
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_build_that_nobody_wants_any_more_leaves_nothing(
    dispatcher: Dispatcher, server: Any
) -> None:
    def receive(state: str) -> None:
        if state.startswith("adding layer 2"):
            raise Unwanted(state)

    with progress.reported_to(receive), pytest.raises(Unwanted):
        dispatcher.builder.build(dispatcher.spec("numpy"), f"{server.endpoint}/tasks:tag")
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_command_needs_an_engine(dispatcher: Dispatcher) -> None:
    with pytest.raises(ImageBuildError, match=r"'dnf install -y git'(.|\n)*bash_deps='runtime'"):
        dispatcher.make("small==1", commands=("dnf install -y git",))


def test_a_package_without_wheels_needs_an_engine(dispatcher: Dispatcher) -> None:
    with pytest.raises(
        ImageBuildError, match=r"no Docker engine(.|\n)*without wheels \(source==1\)"
    ):
        dispatcher.make("source==1")


def test_a_root_of_another_python_is_refused(dispatcher: Dispatcher, server: Any) -> None:
    add_root(server, "other", "3.9")
    root = f"{server.endpoint}/roots:other"
    with pytest.raises(VersionMismatch, match=r"Python 3\.9(.|\n)*dispatcher's own"):
        dispatcher.make("small==1", base_image=root, python_version="3.9")


def test_a_root_that_only_an_engine_has_is_an_error_that_says_so(
    dispatcher: Dispatcher, server: Any
) -> None:
    with pytest.raises(ImageBuildError, match="must be pushed to one first"):
        dispatcher.make("small==1", base_image=f"{server.endpoint}/roots:absent")
