"""The frame of the command line: fast help, errors as exit codes, messages apart from results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container import __version__, errors
from covalent_lambda_container.cli import main

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


def run(body: Any, *arguments: str) -> Result:
    """Run a function as the body of a command."""
    command = body if isinstance(body, click.Command) else click.command("it")(body)
    group = main.LazyGroup("covalent-lambda", commands={"it": command})
    return CliRunner().invoke(group, ["it", *arguments])


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
def test_an_error_of_ours_is_a_message_and_an_exit_code(kind: Any) -> None:
    def fail() -> None:
        raise kind("It broke.", hint="Mend it.")

    ended = run(fail)
    assert ended.exit_code == kind.exit_code
    assert ended.stderr == "Error: It broke.\nMend it.\n"
    assert ended.stdout == ""


def test_an_unexpected_error_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(run(fail).exception, ZeroDivisionError)


def test_an_interrupt_is_said_and_counted_as_shells_do() -> None:
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
main.cli.add_command(wait)
main.main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "wait"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "cleaned up\n")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["prebiuld"], "prebuild"),
        (["build"], "prebuild"),
        (["local", "start"], "status"),
        (["config", "sett"], "set"),
        (["log"], "logs"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(words: list[str], meant: str) -> None:
    ended = CliRunner().invoke(main.cli, words)
    assert ended.exit_code == 2
    assert f"No such command {words[-1]!r}. Did you mean {meant}" in ended.stderr


def test_a_usage_error_is_broken_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as ended:
        main.cli(["config", "set", "memory_size=abc"], prog_name="covalent-lambda")
    assert ended.value.code == 2
    shown = capsys.readouterr().err.partition("Error: ")
    assert max(map(len, "".join(shown).splitlines())) <= 60
    said = (
        "Invalid value for NAME=VALUE: memory_size cannot be 'abc': write it as JSON, such as 512."
    )
    assert " ".join(shown[2].split()) == said


def test_help_has_commands_and_options_in_sections() -> None:
    shown = CliRunner().invoke(main.cli, ["--help"]).stdout
    headings = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert headings[-4:] == ["Dispatches", "Images and functions", "Set up", "On this machine"]
    shown = CliRunner().invoke(main.cli, ["prebuild", "--help"]).stdout
    own, executor, output = (
        shown.index(f"\n{heading}:") for heading in ("Options", "Options of the executor", "Output")
    )
    assert own < shown.index("  --plan") < executor < shown.index("  --region") < output
    assert output < shown.index("--quiet")


def test_the_page_lists_the_commands_in_the_order_of_the_help() -> None:
    page = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", page.partition("**Options")[0], re.MULTILINE)
    assert re.findall(r"[a-z]+", " ".join(rows)) == main.cli.list_commands(click.Context(main.cli))


@pytest.mark.parametrize("words", [words for words in ALL if words], ids=" ".join)
def test_help_fits_eighty_columns(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main.cli, [*words, "--help"], terminal_width=80).stdout
    assert max(map(len, shown.splitlines())) <= 80


SECTION = "[executors.awslambda_container]\nregion = 'a'\n"


@pytest.mark.parametrize(
    ("command", "content", "said"),
    [
        (["list"], SECTION * 2, "begins on lines 1 and 3"),
        # Covalent reads it, and its parser fails in a way of its own.
        (["prebuild", "workflow.py"], "d = { = 1}\n", "Correct it in an editor"),
    ],
)
def test_an_invalid_configuration_is_said_without_a_traceback(
    tmp_path: Path, command: list[str], content: str, said: str
) -> None:
    (tmp_path / "workflow.py").write_text("import covalent as ct\n")
    (tmp_path / "covalent.conf").write_text(content)
    ended = subprocess.run(
        [PROGRAM, *command],
        env=os.environ | {"COVALENT_CONFIG_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: Covalent's configuration {tmp_path}/covalent.conf is")
    assert said in ended.stderr


@pytest.mark.parametrize("group", ["config", "local"])
def test_a_group_without_a_command_shows_its_help(group: str) -> None:
    shown = CliRunner().invoke(main.cli, [group])
    assert shown.output.startswith("Usage: ")
    assert "Try" not in shown.output


@pytest.mark.parametrize("status", [0, 3])
def test_connections_that_are_left_open_do_not_abort_the_process(status: int) -> None:
    program = (
        "import atexit, sys\n"
        "import click, pyqwest\n"
        "from covalent_lambda_container.cli import main\n"
        "@main.cli.command()\n"
        "def leaves():\n"
        "    atexit.register(print, 'cleaned up')\n"
        "    print('done')\n"
        f"    sys.exit({status})\n"
        "sys.argv = ['covalent-lambda', 'leaves']\n"
        "main.main()\n"
        "print('not reached')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (status, "done\ncleaned up\n"), ended.stderr
