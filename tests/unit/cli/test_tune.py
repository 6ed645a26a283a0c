"""``covalent-lambda tune``: its confirmation, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.main import cli

WORKFLOW = """
import covalent as ct

executor = ct.executor.AWSLambdaContainerExecutor(timeout=100)


@ct.electron(executor=executor)
def double(x):
    return 2 * x


@ct.lattice
def workflow(x=1):
    return double(double(x))
"""


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    path = tmp_path / "workflow.py"
    path.write_text(WORKFLOW)
    return str(path)


def test_the_number_of_runs_is_shown_before_the_question(workflow: str) -> None:
    arguments = ["tune", workflow, "--memory", "512,1024", "--runs", "2"]
    ended = CliRunner().invoke(cli, arguments, input="n\n")
    assert ended.exit_code == 1
    assert "6 dispatches with 12 invocations" in ended.stderr
    assert "at most $0.02" in ended.stderr
    assert "Go on?" in ended.stderr
    assert ended.stdout == ""


def test_retries_count(workflow: str) -> None:
    Path(workflow).write_text(WORKFLOW.replace("timeout=100", "timeout=100, retries=2"))
    arguments = ["tune", workflow, "--memory", "512,1024", "--runs", "2"]
    ended = CliRunner().invoke(cli, arguments, input="n\n")
    assert "at most $0.05" in ended.stderr


def test_a_file_with_two_lattices_is_refused_before_anything_is_asked(workflow: str) -> None:
    path = Path(workflow)
    other = WORKFLOW.partition("@ct.lattice")[2].replace("workflow", "other")
    path.write_text(f"{WORKFLOW}\n\n@ct.lattice{other}")
    ended = CliRunner().invoke(cli, ["tune", workflow], input="n\n")
    assert ended.exit_code == 2
    assert "has the lattices workflow, other" in ended.stderr
    assert "Go on?" not in ended.stderr


@pytest.mark.parametrize(
    "sizes", ["", "512", "512,512", "512,64", "512,20000", "512,many", "²,512"]
)
def test_sizes_that_lambda_does_not_have_are_refused(workflow: str, sizes: str) -> None:
    ended = CliRunner().invoke(cli, ["tune", workflow, "--memory", sizes, "--yes"])
    assert ended.exit_code == 2
    assert "from 128 to 10240 MB" in ended.stderr
