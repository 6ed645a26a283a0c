"""The engine's address, resolved as by Docker's own command line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.docker.address import EngineAddress, engine_address
from covalent_lambda_container.errors import ImageBuildError


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Docker's configuration, which names no context yet."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def add_context(folder: Path, name: str, host: str, *, certificates: bool = False) -> Path:
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / identity
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    (meta / "meta.json").write_text(json.dumps(document))
    tls = folder / "contexts" / "tls" / identity / "docker"
    if certificates:
        tls.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (tls / file).write_text("PEM")
    return tls


def choose(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_settings_it_is_the_machines_socket(docker_config: Path) -> None:
    address = engine_address({})
    assert address.host == "unix:///var/run/docker.sock"
    assert not address.is_chosen
    assert address.is_local


def test_the_current_context_is_used(docker_config: Path) -> None:
    add_context(docker_config, "colima", "unix:///home/me/.colima/docker.sock")
    choose(docker_config, "colima")
    address = engine_address({})
    assert address.host == "unix:///home/me/.colima/docker.sock"
    assert address.is_chosen
    assert "'colima'" in str(address)


def test_the_environment_wins_over_the_configuration(docker_config: Path) -> None:
    add_context(docker_config, "one", "tcp://one.example.com:2375")
    add_context(docker_config, "two", "tcp://two.example.com:2375")
    choose(docker_config, "one")
    assert engine_address({"DOCKER_CONTEXT": "two"}).host == "tcp://two.example.com:2375"
    assert engine_address({"DOCKER_CONTEXT": "default"}).host.startswith("unix:")
    both = {"DOCKER_CONTEXT": "two", "DOCKER_HOST": "tcp://three.example.com:2375"}
    assert engine_address(both).host == "tcp://three.example.com:2375"


def test_a_contexts_certificates_are_handed_on_to_child_processes(docker_config: Path) -> None:
    folder = add_context(docker_config, "far", "tcp://far.example.com:2376", certificates=True)
    assert engine_address({"DOCKER_CONTEXT": "far"}).environment == {
        "DOCKER_HOST": "tcp://far.example.com:2376",
        "DOCKER_CERT_PATH": str(folder),
        "DOCKER_TLS_VERIFY": "1",
    }


def test_a_child_process_uses_the_same_engine(docker_config: Path) -> None:
    add_context(docker_config, "far", "tcp://far.example.com:2376", certificates=True)
    address = engine_address({"DOCKER_CONTEXT": "far"})
    again = engine_address(address.environment)
    assert (again.host, again.certificates, again.verifies) == (
        address.host,
        address.certificates,
        address.verifies,
    )


def test_a_variable_that_is_empty_counts_as_absent(docker_config: Path) -> None:
    address = engine_address({"DOCKER_HOST": "", "DOCKER_CONTEXT": "", "DOCKER_TLS_VERIFY": ""})
    assert not address.is_chosen


@pytest.mark.parametrize("where", ["DOCKER_CONTEXT", "configuration"])
def test_a_context_that_does_not_exist_is_named(docker_config: Path, where: str) -> None:
    environment = {}
    if where == "DOCKER_CONTEXT":
        environment = {"DOCKER_CONTEXT": "gone"}
    else:
        choose(docker_config, "gone")
    with pytest.raises(ImageBuildError, match=r"context 'gone'.* does not exist(.|\n)*docker con"):
        engine_address(environment)


def test_a_context_that_cannot_be_read_is_named(docker_config: Path) -> None:
    add_context(docker_config, "spoilt", "tcp://x:1")
    (file,) = docker_config.glob("contexts/meta/*/meta.json")
    file.write_text("{")
    with pytest.raises(ImageBuildError, match=r"context 'spoilt'.* cannot be read"):
        engine_address({"DOCKER_CONTEXT": "spoilt"})


@pytest.mark.parametrize(
    ("host", "local"),
    [("unix:///run/x.sock", True), ("tcp://a.example:2376", False), ("ssh://me@a.example", False)],
)
def test_an_engine_behind_a_socket_of_this_machine_is_local(host: str, local: bool) -> None:
    assert EngineAddress(host=host, source="DOCKER_HOST").is_local is local


@pytest.mark.parametrize(
    "host",
    [
        "tcp://me:hunter2@engine.example.com:2376",
        "ssh://me:hunter2@engine.example.com",
        "http://hunter2@engine.example.com",
        "tcp://me:hunt@er2@engine.example.com",
    ],
)
def test_an_address_with_a_password_is_refused_without_it(docker_config: Path, host: str) -> None:
    with pytest.raises(
        ImageBuildError, match=r"DOCKER_HOST has .*…@engine\.example\.com"
    ) as raised:
        engine_address({"DOCKER_HOST": host})
    assert "hunt" not in str(raised.value)
    add_context(docker_config, "remote", host)
    with pytest.raises(ImageBuildError, match="'remote', from DOCKER_CONTEXT has a user") as raised:
        engine_address({"DOCKER_CONTEXT": "remote"})
    assert "hunt" not in str(raised.value)
    assert engine_address({"DOCKER_HOST": "ssh://me@engine.example.com"}).host.startswith("ssh:")
