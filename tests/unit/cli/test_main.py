"""The frame of the command line: quick help, errors as exit codes, talk apart from the result."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container import __version__, errors
from covalent_lambda_container.cli import main
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options

HEAVY = {"boto3", "botocore", "covalent", "docker", "ministack", "pydantic", "rich"}
PROGRAM = Path(sys.executable).with_name("covalent-lambda")


def commands(group: click.Command = main.cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of every command there is, groups included."""
    found = [path]
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found += commands(command, (*path, name))
    return found


ALL = commands()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a function as the body of a command."""

    def invoke(body: Any, *arguments: str) -> Result:
        command = body if isinstance(body, click.Command) else click.command("it")(body)
        monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)
        return CliRunner().invoke(main.cli, ["it", *arguments])

    return invoke


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_shows_an_example(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main.cli, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"Example:\n    {' '.join(('covalent-lambda', *words))}" in shown.output


@pytest.mark.parametrize("environment", [{}, {"_COVALENT_LAMBDA_COMPLETE": "bash_complete"}])
def test_help_and_completion_import_nothing_heavy(environment: dict[str, str]) -> None:
    script = f"""
import json, sys
sys.argv = ["covalent-lambda", "--help"]
from covalent_lambda_container.cli.main import _COMMANDS, cli
for words in {ALL!r}:
    try:
        cli([*words, "--help"], prog_name="covalent-lambda")
    except SystemExit as ended:
        assert not ended.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    given = {"COMP_WORDS": "covalent-lambda re", "COMP_CWORD": "1"} | environment
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(json.loads(ended.stdout.splitlines()[-1]))
    assert ("plain,render" in ended.stdout) == bool(environment)


def test_the_program_is_installed() -> None:
    shown = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith(__version__)


@pytest.mark.parametrize(
    "kind", [errors.ConfigurationError, errors.ImageBuildError, errors.VersionMismatch]
)
def test_an_error_of_ours_is_a_message_and_an_exit_code(run: Any, kind: Any) -> None:
    def fail() -> None:
        raise kind("It broke.", hint="Mend it.")

    ended = run(fail)
    assert ended.exit_code == kind.exit_code
    assert ended.stderr == "Error: It broke.\nMend it.\n"
    assert ended.stdout == ""


def test_an_unexpected_error_keeps_its_traceback(run: Any) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(run(fail).exception, ZeroDivisionError)


def test_an_interrupt_is_said_and_counted_as_shells_do(run: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    ended = run(interrupt)
    assert ended.exit_code == 130
    assert ended.stderr == "Error: interrupted\n"


def test_termination_is_an_interrupt() -> None:
    script = """
import os, signal
import click
from covalent_lambda_container.cli import main
@click.command()
def wait():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    finally:
        print("cleaned up")
main.LazyGroup.get_command = lambda *_: wait
main.main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "wait"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "cleaned up\n")


def test_whatever_is_printed_meanwhile_is_talk(run: Any) -> None:
    @click.command()
    @reporting
    def talk(output: Output) -> None:
        print("printed by a workflow")
        output.note("said")
        output.result({"answer": 42}, "the answer", "is 42")

    ended = run(talk)
    assert ended.stdout == "the answer\nis 42\n"
    assert ended.stderr == "printed by a workflow\nsaid\n"
    assert json.loads(run(talk, "--json").stdout) == {"answer": 42}


def test_a_table_has_a_line_for_each_row(run: Any) -> None:
    @reporting
    def tabulate(output: Output) -> None:
        output.table([], ["name", "size"], [["a", "12 MB"], ["long name", ""]])

    assert run(tabulate).stdout == "NAME       SIZE\na          12 MB\nlong name\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stderr", "progress", "ci", "drawn"),
    [
        (Terminal(), True, None, True),
        (Terminal(), True, "false", True),
        (Terminal(), False, None, False),
        (Terminal(), True, "true", False),
        (io.StringIO(), True, None, False),
    ],
)
def test_progress_is_drawn_on_a_terminal_and_nowhere_else(
    stderr: Any, progress: bool, ci: Any, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    output = Output(io.StringIO(), stderr, as_json=False, progress=progress)
    with output.steps() as begin:
        step = begin("[image] 3f2a")
        step.tell("building")
        step.end("done")
    shown = stderr.getvalue()
    if drawn:
        assert "\x1b[" in shown
        assert "[image] 3f2a: done" in shown
    else:
        assert shown.splitlines()[0] == "[image] 3f2a: building"
        assert shown.splitlines()[1].startswith("[image] 3f2a: done (")


def test_options_of_the_executor_are_given_by_their_names(run: Any) -> None:
    @executor_options(*ACCOUNT, "ecr_repository")
    @reporting
    def show(given: dict[str, Any], output: Output) -> None:
        output.result(given)

    shown = json.loads(run(show, "--region", "eu-north-1", "--repository", "r", "--json").stdout)
    assert shown == dict.fromkeys(ACCOUNT) | {"region": "eu-north-1", "ecr_repository": "r"}
