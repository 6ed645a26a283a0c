"""pip's configuration without pip is what pip says it is."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from covalent_lambda_container.packages.pip_files import read_pip_files

FILES = {
    "dirs/one/pip/pip.conf": "[global]\nwhich = one\nextra-option = 1\n",
    "dirs/two/pip/pip.conf": "[global]\nwHich = two\n",
    ".pip/pip.conf": "[install]\nfind-links =\n    https://a.example.com\n    /wheels\n",
    "config/pip/pip.conf": "[global]\n--Cert = /user.pem\nproxy: http://p%20x@proxy:3128\n",
    "named.conf": "[global]\nretries = 3\n",
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with all of pip's files."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folders = [str(tmp_path / "dirs" / name) for name in ("one", "two")]
    monkeypatch.setenv("XDG_CONFIG_DIRS", os.pathsep.join(folders))
    return tmp_path


def read() -> dict[str, str]:
    return {f"{section}.{option}": value for section, option, value in read_pip_files()}


@pytest.mark.skipif(find_spec("pip") is None, reason="there is no pip to compare with")
@pytest.mark.parametrize("named", ["", "named.conf", "lost.conf", os.devnull])
def test_the_result_is_the_same_as_pips(
    named: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://env.example.com https://more.example.com")
    if named:
        monkeypatch.setenv("PIP_CONFIG_FILE", str(machine / named))
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.partition("=") for line in listed.splitlines()]
    assert read() == {key: ast.literal_eval(value) for key, _, value in lines}


def test_later_files_win(machine: Path) -> None:
    found = read()
    assert found["global.which"] == "two"
    assert found["global.cert"] == "/user.pem"
    assert found["install.find-links"] == "\nhttps://a.example.com\n/wheels"


def test_a_file_that_cannot_be_read_is_reported_without_its_text(
    machine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = machine / "config" / "pip" / "pip.conf"
    file.write_text("index-url = https://user:hunter2@index.example.com\n")
    with caplog.at_level(logging.WARNING):
        assert read()["global.extra-option"] == "1"
    assert f"{file} is not used: reading it ended with MissingSectionHeaderError" in caplog.text
    assert "hunter2" not in caplog.text
