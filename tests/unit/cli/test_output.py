"""A command's output: results apart from messages, drawn or plain."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.output import Output, reporting, takes_colour

log = logging.getLogger("covalent_lambda_container.images.builder")


def run(body: Any, *arguments: str) -> Result:
    """Run a command, or the body of one."""
    command = body if isinstance(body, click.Command) else click.command("it")(body)
    return CliRunner().invoke(command, arguments)


def test_output_of_others_goes_to_stderr() -> None:
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


def test_a_table_has_a_line_for_each_row() -> None:
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
        step.report("building")
        step.end("done")
    shown = stderr.getvalue()
    if drawn:
        assert "\x1b[" in shown
        assert "[image] 3f2a: done" in shown
    else:
        assert shown.splitlines()[0] == "[image] 3f2a: building"
        assert shown.splitlines()[1].startswith("[image] 3f2a: done (")


def test_messages_appear_above_the_progress_display(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("CI", raising=False)
    terminal = Terminal()
    output = Output(io.StringIO(), terminal, verbose=True)
    lines = [f"line {number} " + "x" * 50 for number in range(20)]

    def talk(part: list[str]) -> None:
        for line in part:
            output.note(line)

    with output.logging(), output.steps() as begin:
        step = begin("image")
        threads = [threading.Thread(target=talk, args=(lines[n::2],)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        output.error("one failed")
        log.info("Step 1/3 : FROM root")
        for thread in threads:
            thread.join()
        step.end("done")
    shown = terminal.getvalue()
    for line in (*lines, "Step 1/3 : FROM root"):
        assert shown.count(f"{line}\n") == 1
    assert "Error:" in shown
    # Whatever was drawn is erased before a line is written.
    assert len(re.findall(r"(?:\n|\x1b\[2K|\r)line \d+ x", shown)) == len(lines)


LONG = (
    "a sentence that is longer than a terminal of eighty columns, which must not break it in words"
)
COMMAND = "  covalent-lambda config set " + " ".join(
    f"option_{number}=value" for number in range(9)
)


def test_a_terminal_gets_sentences_broken_between_words_and_commands_whole() -> None:
    terminal = Terminal()
    output = Output(io.StringIO(), terminal, verbose=True)
    with output.logging():
        output.note(f"{LONG}\n{COMMAND}")
        log.info(LONG)
    first, second, *others = terminal.getvalue().splitlines()
    assert f"{first} {second}" == LONG
    assert len(first) <= 80
    # What others have written is theirs.
    assert others == [COMMAND, LONG]


def test_a_pipe_gets_every_message_on_one_line() -> None:
    stderr = io.StringIO()
    Output(io.StringIO(), stderr).note(LONG)
    assert stderr.getvalue() == f"{LONG}\n"


def test_a_failure_is_said_where_nothing_is_drawn() -> None:
    stderr = io.StringIO()
    Output(io.StringIO(), stderr, quiet=True).error("it broke")
    assert stderr.getvalue() == "Error: it broke\n"


def test_quiet_leaves_the_result_warnings_and_errors() -> None:
    @reporting
    def talk(output: Output) -> None:
        output.note("said")
        with output.steps() as begin:
            begin("image").end("done")
        log.info("a detail")
        log.warning("look out")
        output.result(None, "the answer")

    ended = run(talk, "-q")
    assert (ended.stdout, ended.stderr) == ("the answer\n", "Warning: look out\n")


def test_verbose_shows_log_messages_once() -> None:
    @click.command()
    @reporting
    def talk(output: Output) -> None:
        log.info("a detail")

    assert run(talk).stderr == ""
    assert run(talk, "-v").stderr == "a detail\n"
    assert run(talk, "-v", "-q").exit_code == 2


@pytest.mark.parametrize(
    ("stream", "environment", "takes"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_take_it(
    stream: Any, environment: dict[str, str], takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert takes_colour(stream) is takes
    stderr = stream
    Output(io.StringIO(), stderr).error("it broke")
    assert ("\x1b[" in stderr.getvalue()) is takes


def test_a_step_shown_as_lines_names_each_state_once() -> None:
    stderr = io.StringIO()
    output = Output(io.StringIO(), stderr)
    with output.steps() as begin:
        step = begin("image")
        for done in range(0, 90, 10):
            step.report(f"pushing layer 1 of 2, {done} of 85 MB")
        step.report("creating the function")
    assert stderr.getvalue() == (
        "image: pushing layer 1 of 2, 0 of 85 MB\nimage: creating the function\n"
    )


def test_long_lines_are_broken_between_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    text = "the bucket my-bucket-with-a-long-name-of-its-own is missing\n  as it was"
    for stream, shown in (
        (Terminal(), "the bucket\nmy-bucket-with-a-long-name-of-its-own\nis missing\n  as it was"),
        (io.StringIO(), text),
    ):
        Output(io.StringIO(), stream).error(text)
        assert stream.getvalue() == f"Error: {shown}\n"


def test_indented_lines_stay_indented_where_they_are_broken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    line = "  train: memory_size=256 (at most 60 MB)"
    expected = ["  train:\n    memory_size=256\n    (at most 60 MB)"]
    assert Output(Terminal(), io.StringIO()).fitting([line]) == expected
    assert Output(io.StringIO(), io.StringIO()).fitting([line]) == [line]
