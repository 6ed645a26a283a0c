"""``covalent-lambda render``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from covalent._shared_files import config

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.model.names import SECTION


def render(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["render", *arguments])


@pytest.fixture
def configured_base() -> Any:
    """An option in Covalent's configuration."""
    config.set_config(f"{SECTION}.base_image", "registry.example.com/python:3.11")
    yield
    config.set_config(f"{SECTION}.base_image", "")


def test_the_requirements_are_in_the_dockerfile(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("Pandas == 2.2.3  # data\n")
    shown = render("six", "-r", str(file), "--python", "3.12")
    assert "\nFROM " in shown.stdout
    assert "six\n" in shown.stdout
    assert "pandas==2.2.3\n" in shown.stdout
    assert "public.ecr.aws/lambda/python:3.12" in shown.stdout


def test_order_and_case_make_no_other_image() -> None:
    one, other = (render(*names, "--json").stdout for names in (("six", "A"), ("a", "SIX")))
    assert json.loads(one)["tag"]
    assert one == other


def test_a_flag_goes_before_the_configuration(configured_base: None) -> None:
    assert "registry.example.com/python:3.11" in render("six").stdout
    assert "other.example.com/python" in render("--base-image", "other.example.com/python").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["../local"], "'../local'"),
        (["--architecture", "sparc"], "architecture='sparc'"),
        (["--python", "three"], "python_version 'three'"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: list[str], said: str) -> None:
    ended = render(*arguments)
    assert ended.exit_code in (2, 8)
    assert said in ended.stderr
    assert ended.stdout == ""
