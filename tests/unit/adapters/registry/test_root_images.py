"""Root images of all kinds: those that can be built on, and those that are refused by a reason."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from tests.fakes.registry_server import FakeRegistryServer
from tests.unit.adapters.registry.registry_images import (
    CONFIG,
    Dispatcher,
    config_of,
    manifest_of,
    root_layers,
)

INDEX = "application/vnd.oci.image.index.v1+json"


def add_root(server: FakeRegistryServer, tag: str, config: Any = CONFIG, **types: str) -> str:
    """Put a root image into the registry; return its manifest's digest."""
    layers = root_layers()
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    whole = config | {"rootfs": {"type": "layers", "diff_ids": digests}}
    return server.add_image("roots", tag, [gzip.compress(each) for each in layers], whole, **types)


def add_index(server: FakeRegistryServer, tag: str, *entries: tuple[str, str, str]) -> str:
    """Put an index into the registry, of digests and their platforms; return its digest."""
    manifests = [
        {"digest": digest, "platform": {"os": system, "architecture": machine}}
        for digest, system, machine in entries
    ]
    body = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    server.repositories["roots"].manifests |= {tag: (INDEX, body), digest: (INDEX, body)}
    return digest


def make(dispatcher: Dispatcher, root: str, **changes: Any) -> str:
    base_image = f"{dispatcher.server.endpoint}/roots:{root}"
    return dispatcher.make("small==1", base_image=base_image, **changes)


def test_of_an_index_the_image_for_the_processor_is_the_root(
    dispatcher: Dispatcher, server: Any
) -> None:
    other = add_root(server, "other", CONFIG | {"architecture": "arm64", "author": "other"})
    own = add_root(server, "own", CONFIG | {"author": "own"})
    # Builders add what is no image, for an unknown platform.
    attested = add_root(server, "attested")
    add_index(
        server,
        "index",
        (attested, "unknown", "unknown"),
        (other, "linux", "arm64"),
        (other, "windows", "amd64"),
        (own, "linux", "amd64"),
    )
    make(dispatcher, "index")
    assert config_of(server)["author"] == "own"


def test_an_index_without_the_processor_is_refused(dispatcher: Dispatcher, server: Any) -> None:
    other = add_root(server, "other", CONFIG | {"architecture": "arm64"})
    add_index(server, "index", (other, "linux", "arm64"))
    with pytest.raises(ImageBuildError, match=r"roots:index(.|\n)*has no image for linux/amd64"):
        make(dispatcher, "index")


@pytest.mark.parametrize(
    "layer_type",
    [
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_layers_that_lambda_does_not_accept_are_refused_by_name(
    dispatcher: Dispatcher, server: Any, layer_type: str
) -> None:
    add_root(server, "packed", layer_type=layer_type)
    with pytest.raises(ImageBuildError) as caught:
        make(dispatcher, "packed")
    assert f"a layer of type {layer_type}" in str(caught.value)
    assert "builder='docker'" in str(caught.value)


def test_settings_of_the_root_are_kept_unless_the_image_sets_them(
    dispatcher: Dispatcher, server: Any
) -> None:
    settings = {
        "Entrypoint": ["/root-entry"],
        "Cmd": ["sh"],
        "User": "1000",
        "Env": ["PATH=/usr/bin", "EMPTY=", "WITH=a=b"],
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGQUIT",
        "Labels": {"large": "x" * 200_000},
    }
    history = [{"created_by": f"RUN step {number}", "empty_layer": True} for number in range(500)]
    history += [{"created_by": "ADD below"}, {"created_by": "ADD above"}]
    add_root(server, "set", CONFIG | {"config": settings, "history": history})
    make(dispatcher, "set")
    made = config_of(server)
    assert made["history"][:502] == history
    layers = [each for each in made["history"] if not each.get("empty_layer")]
    assert len(layers) == len(manifest_of(server)["layers"]) == len(made["rootfs"]["diff_ids"])
    assert made["config"]["Entrypoint"] == ["/lambda-entrypoint.sh"]
    assert made["config"]["Cmd"] == ["covalent_lambda_runtime.start.handle"]
    assert made["config"]["Labels"]["large"] == "x" * 200_000
    assert {"PATH=/usr/bin", "EMPTY=", "WITH=a=b"} <= {*made["config"]["Env"]}
    for name in ("User", "ExposedPorts", "Volumes", "StopSignal"):
        assert made["config"][name] == settings[name]


def test_a_root_whose_instructions_only_docker_runs_is_refused(
    dispatcher: Dispatcher, server: Any
) -> None:
    add_root(server, "triggers", CONFIG | {"config": {"OnBuild": ["RUN make"]}})
    with pytest.raises(ImageBuildError, match=r"roots:triggers has ONBUILD(.|\n)*builder='docker'"):
        make(dispatcher, "triggers")


def test_a_root_with_a_configuration_of_many_megabytes_is_refused(
    dispatcher: Dispatcher, server: Any
) -> None:
    add_root(server, "large", CONFIG | {"config": {"Labels": {"large": "x" * (8 << 20)}}})
    with pytest.raises(ImageBuildError, match=r"roots:large(.|\n)*more than 8,388,608 bytes"):
        make(dispatcher, "large")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b'{"manifests": 3}'])
def test_an_invalid_manifest_is_refused_with_the_name_of_the_root(
    dispatcher: Dispatcher, server: Any, content: bytes
) -> None:
    server.repositories["roots"].manifests["broken"] = (INDEX, content)
    with pytest.raises(ImageBuildError, match=r"root image .*roots:broken"):
        make(dispatcher, "broken")
