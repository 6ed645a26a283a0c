"""``covalent-lambda config``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import toml
from click.testing import CliRunner, Result
from covalent._shared_files.config import reload_config

from covalent_lambda_container.cli.config import as_toml, command_for
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.options.configuration import (
    change_section,
    configuration_file,
    read_section,
)


def config(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["config", *arguments])


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The test session's configuration, as it was."""
    before = configuration_file().read_bytes()
    yield
    configuration_file().write_bytes(before)
    reload_config()


def test_options_are_set_shown_and_removed() -> None:
    changed = config("set", "memory_size=1024", "region=eu-central-1", 'requirements=["six"]')
    assert changed.exit_code == 0, changed.stderr
    assert changed.stdout.splitlines()[0] == "[executors.awslambda_container]"
    shown = config("show")
    assert 'region = "eu-central-1"' in shown.stdout
    assert "timeout" not in shown.stdout
    assert str(configuration_file()) in shown.stderr
    assert json.loads(config("show", "--json").stdout)["options"] == {
        "memory_size": 1024,
        "region": "eu-central-1",
        "requirements": ["six"],
    }
    assert "timeout = 60" in config("show", "--all").stdout
    assert config("unset", "memory_size", "requirements").exit_code == 0
    assert read_section()["region"] == "eu-central-1"
    assert "memory_size" not in read_section()


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("memory=1024", "there is no option 'memory'. Did you mean memory_size"),
        ("memory_size", "'memory_size' is not NAME=VALUE"),
        ("memory_size=1 GB", "memory_size cannot be '1 GB': write it as JSON, such as 512"),
        ("memory_size=64", "option memory_size=64: "),
        ("requirements=six", """write it as JSON, such as '["six"]'"""),
        ("requirements=[1]", "option requirements=1: "),
        ("cleanup=yes", "such as true"),
        ("s3_bucket_name=Bad_Bucket", "option s3_bucket_name='Bad_Bucket'"),
    ],
)
def test_an_invalid_assignment_is_refused_and_nothing_is_written(
    assignment: str, said: str
) -> None:
    before = configuration_file().read_bytes()
    ended = config("set", "region=eu-north-1", assignment)
    assert ended.exit_code == 2
    assert said.replace("'[", "[").replace("]'", "]") in " ".join(ended.stderr.split()).replace(
        "'[", "["
    ).replace("]'", "]")
    assert configuration_file().read_bytes() == before


def test_a_wrong_value_can_be_corrected() -> None:
    change_section({"memory_size": 1})
    assert config("set", "region=eu-north-1").exit_code == 2
    assert config("set", "memory_size=128").exit_code == 0


def test_unknown_names_are_shown_and_can_be_removed() -> None:
    change_section({"memory": 1024})
    shown = config("show")
    assert "there is no option memory. Did you mean memory_size" in shown.stderr
    assert json.loads(config("show", "--json").stdout)["unknown"] == ["memory"]
    assert config("unset", "memory").stdout == "memory\n"
    assert config("unset", "memory").exit_code == 2


def test_values_are_written_as_a_shell_and_toml_take_them(tmp_path: Path) -> None:
    values = {"region": "a b", "memory_size": 512, "requirements": ["six"]}
    assert command_for(values) == (
        "covalent-lambda config set 'region=a b' memory_size=512 'requirements=[\"six\"]'"
    )
    assert as_toml({}) == "[executors.awslambda_container]"
    assert as_toml({"region": "x"}) == '[executors.awslambda_container]\nregion = "x"'


@pytest.mark.parametrize("flags", [(), ("--all",)])
def test_the_printed_section_is_the_files_own(flags: tuple[str, ...]) -> None:
    for shown in (config("set", 'environment={"MODE": "b"}'), config("show", *flags)):
        section = toml.loads(shown.stdout)["executors"]["awslambda_container"]
        assert section["environment"] == read_section()["environment"] == {"MODE": "b"}
        assert list(toml.loads(shown.stdout)) == ["executors"]


def test_an_option_that_is_not_set_is_not_removed() -> None:
    config("unset", "memory_size")
    assert config("unset", "memory_size").stdout == "Not set: memory_size\n"
