"""Files that commands write where their user says: checked first, written last."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.written_files import write_file
from covalent_lambda_container.errors import ConfigurationError
from tests.fakes.covalent_server import FakeCovalentServer
from tests.unit.cli.test_tune import WORKFLOW
from tests.unit.report.dispatches import usage


@pytest.fixture
def commands(tmp_path: Path) -> list[list[str]]:
    workflow = tmp_path / "workflow.py"
    workflow.write_text(WORKFLOW)
    return [["report", "no-dispatch"], ["tune", str(workflow), "--yes"]]


def refusal(command: list[str], file: str) -> str:
    """Return why a command refuses a file, on one line."""
    ended = CliRunner().invoke(cli, [*command, "--html", file])
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert "dispatches with" not in ended.stderr
    return " ".join(ended.stderr.split())


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(
    commands: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("none/page.html")
    for command in commands:
        said = refusal(command, f"{tmp_path}/none/page.html")
        assert f"'--html': {tmp_path}/none/page.html cannot be written" in said
        assert f"there is no folder {tmp_path}/none." in said
        assert "not a directory" in refusal(command, f"{tmp_path}/file/page.html")
        assert "is a directory" in refusal(command, str(tmp_path))
        assert "there is no folder" in refusal(command, f"{tmp_path}/dangling")
        assert "cannot be written" in refusal(command, "/proc/page.html")
        assert "name too long" in refusal(command, f"{tmp_path}/{'x' * 300}")


def test_nothing_is_left_of_the_check(commands: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("before")
    before = sorted(tmp_path.iterdir())
    for command in commands:
        for name in ("new.html", "old.html"):
            arguments = [*command, "--html", f"{tmp_path}/{name}", "--no-such-option"]
            assert "No such option" in CliRunner().invoke(cli, arguments).stderr
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.html").read_text() == "before"


def test_an_error_while_writing_says_that_the_result_is_complete(tmp_path: Path) -> None:
    output = Output(io.StringIO(), io.StringIO())
    with pytest.raises(ConfigurationError, match=r"cannot be written: .*The result itself is c"):
        write_file(tmp_path / "removed" / "page.html", "text", output)
    with pytest.raises(ConfigurationError, match="no space left on device"):
        write_file(Path("/dev/full"), "text", output)


@ct.electron(executor="awslambda_container")
def train() -> int:
    return 1


@ct.lattice
def workflow() -> Any:
    return train()


def test_the_report_is_shown_even_if_its_page_cannot_be_written() -> None:
    with FakeCovalentServer() as server:
        server.add("an-id", workflow)
        server.end("an-id", "train", header={"usage": usage().record | {"task": "an-id:0"}})
        arguments = ["report", "an-id", "--server", server.url, "--html", "/dev/full"]
        ended = CliRunner().invoke(cli, arguments)
    assert "train" in ended.stdout
    assert ended.exit_code == 2
    assert "/dev/full cannot be written: no space left on device." in ended.stderr
