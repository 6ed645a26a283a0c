"""Images composed and uploaded without an engine."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError, VersionMismatch
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.model.image_labels import contents
from tests.unit.adapters.registry.registry_images import (
    Dispatcher,
    add_root,
    config_of,
    manifest_of,
    members,
    uploaded,
)


def test_an_image_is_complete_and_has_its_labels(dispatcher: Dispatcher, server: Any) -> None:
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


def test_layers_have_the_form_that_lambda_unpacks(dispatcher: Dispatcher, server: Any) -> None:
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


def test_blobs_that_the_registry_has_are_not_uploaded_again(
    dispatcher: Dispatcher, server: Any
) -> None:
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


def test_a_root_is_downloaded_once(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    read = [rest for method, kind, rest in server.requests if (method, kind) == ("GET", "blobs")]
    assert len(read) == len(set(read))
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))


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
