"""The executor's section of Covalent's configuration file."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import toml
from covalent._shared_files.config import get_config

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options.configuration import (
    change_section,
    configuration_file,
    read_section,
    unknown_names,
)

OTHERS = """\
[sdk]
log_level = "info"

[executors.local]
retries = 2
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covalent.conf"


def test_the_file_is_the_one_that_covalent_reads() -> None:
    assert str(configuration_file()) == get_config("sdk.config_file")


def test_without_a_file_or_a_section_nothing_is_said(path: Path) -> None:
    assert read_section(path) == {}
    path.write_text(OTHERS)
    assert read_section(path) == {}


def test_only_the_section_changes(path: Path) -> None:
    path.write_text(OTHERS)
    path.chmod(0o640)
    change_section({"memory_size": 1024, "requirements": ["six"]}, path=path)
    change_section({"region": "eu-central-1"}, removed=["memory_size", "absent"], path=path)
    assert read_section(path) == {"requirements": ["six"], "region": "eu-central-1"}
    content = toml.loads(path.read_text())
    del content["executors"]["awslambda_container"]
    assert content == toml.loads(OTHERS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {each.name for each in path.parent.iterdir()} <= {path.name, f"{path.name}.lock"}


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere" / "covalent.conf"
    there.parent.mkdir()
    there.write_text(OTHERS)
    path.symlink_to(there)
    change_section({"region": "eu-central-1"}, path=path)
    assert path.is_symlink()
    assert read_section(there) == {"region": "eu-central-1"}


def test_two_sections_are_reported_by_their_lines_and_nothing_is_written(path: Path) -> None:
    section = '[executors.awslambda_container]\nregion = "a"\n'
    path.write_text(f"{section}{OTHERS}{section}")
    before = path.read_bytes()
    for use in (lambda: read_section(path), lambda: change_section({"region": "b"}, path=path)):
        with pytest.raises(ConfigurationError, match="is not valid TOML") as caught:
            use()
        assert "begins on lines 1 and 8" in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a.b]\nc = "s3cret"\n[a.b]\n', "in line 3: b already exists."),
        ('[a]\n"s3cret" s3cret\n', "in line 2"),
        ("[a]\ntoken = s3cret\n", "in line 2"),
        ('[a]\ntoken = "s3cret\n', "in line 2: Unbalanced quotes."),
        ('token = "\\qs3cret"\n', "in line 1: Reserved escape sequence used."),
        ("token = {s3cret\n", "is not valid TOML"),
    ],
)
def test_a_broken_file_is_reported_without_its_values(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="is not valid TOML") as caught:
        read_section(path)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        change_section({"region": "b"}, path=tmp_path / "file" / "covalent.conf")


def test_unknown_options_are_reported_with_the_nearest_one() -> None:
    section = {"timeot": 1, "region": "a", "credentials": "", "qqqq": 1}
    assert unknown_names(section) == {"timeot": "Did you mean timeout?", "qqqq": ""}


def test_the_executor_warns_once_about_an_unknown_option(tmp_path: Path) -> None:
    (tmp_path / "covalent.conf").write_text("[executors.awslambda_container]\nmemory = 1024\n")
    script = """
import covalent as ct
for _ in range(2):
    ct.executor.AWSLambdaContainerExecutor()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": "", "HOME": str(tmp_path), "COVALENT_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = ended.stdout + ended.stderr
    assert printed.count("there is no option memory. Did you mean memory_size") == 1
