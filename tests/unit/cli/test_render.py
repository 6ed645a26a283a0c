"""``covalent-lambda render``."""

from __future__ import annotations

import json
import re
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
    install = shown.stdout.partition("RUN sh /build/pip.sh install")[2].partition("\n\n")[0]
    assert "    'pandas==2.2.3' \\\n    'six'\n" in install
    assert "public.ecr.aws/lambda/python:3.12" in shown.stdout


def test_a_project_may_stand_for_a_requirements_file(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[dependency-groups]\ndev = ['six']\n")
    assert "    'six'\n" in render("-r", f"{file}[dev]").stdout
    ended = render("-r", f"{tmp_path}/no/pyproject.toml[dev]")
    assert ended.exit_code == 2
    assert "no/pyproject.toml' does not exist" in ended.stderr


def test_a_package_of_one_index_is_refused_since_pip_does_not_know_that(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("--package-index six=https://vendor.example.com\nsix\n")
    ended = render("-r", str(file))
    assert ended.exit_code == 2
    assert "six comes from the index https://vendor.example.com and from no other" in ended.stderr


def test_a_file_on_the_web_is_refused_with_the_command_that_helps() -> None:
    ended = render("-r", "https://me:secret@example.com/base.txt")
    assert ended.exit_code == 2
    assert "curl -fL -o base.txt 'https://…@example.com/base.txt'" in ended.stderr
    assert "secret" not in ended.stderr


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
        (["--python", "three"], "write 3.10 or later"),
        (["--python", "2"], "write 3.10 or later"),
        (["--python", "3.9"], "write 3.10 or later"),
        (["--python", "3.11.2"], "write 3.10 or later"),
    ],
)
def test_unusable_arguments_are_named(arguments: list[str], said: str) -> None:
    ended = render(*arguments)
    assert ended.exit_code in (2, 8)
    assert said in ended.stderr
    assert ended.stdout == ""


def test_a_context_has_every_file_that_its_dockerfile_copies(tmp_path: Path) -> None:
    hashed = f"six==1.17.0 --hash=sha256:{'0a' * 32}"
    file = tmp_path / "requirements.txt"
    file.write_text(f"{hashed}\n-c constraints.txt\n")
    (tmp_path / "constraints.txt").write_text("numpy<2\n")
    authorities = tmp_path / "ca.pem"
    authorities.write_text("authorities")
    folder = tmp_path / "context"
    ended = render("-r", str(file), "--context", str(folder), "--ca-bundle", str(authorities))
    assert ended.exit_code == 0, ended.output
    dockerfile = (folder / "Dockerfile").read_text()
    assert dockerfile == render("-r", str(file)).stdout
    for source in re.findall(r"^COPY (?!--from)(\S+)/ ", dockerfile, re.MULTILINE):
        assert (folder / source).is_dir()
    for name in re.findall(r"/build/([\w.-]+)", dockerfile):
        assert (folder / "build" / name).is_file(), name
    assert (folder / "build" / "hashed.txt").read_text() == f"{hashed}\n"
    assert (folder / "build" / "ca-bundle.crt").read_text() == "authorities"
    assert (folder / "task" / "covalent_lambda_runtime" / "start.py").is_file()
    again = render("six", "--context", str(folder))
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)


def test_authorities_that_cannot_be_read_are_an_error_that_names_the_option(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.pem"):
        ended = render("six", "--ca-bundle", str(path), "--context", str(tmp_path / "context"))
        assert ended.exit_code == 2
        assert f"--ca-bundle='{path}' cannot be read" in ended.stderr


def test_a_context_that_cannot_be_written_is_an_error_that_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = render("six", "--context", f"{tmp_path}/file/context")
    assert ended.exit_code == 2
    assert "The build context cannot be written" in ended.stderr
    assert f"{tmp_path}/file/context" in ended.stderr
