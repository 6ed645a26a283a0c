"""The excerpt of a task's output in ``covalent-lambda why``."""

from __future__ import annotations

import io

import pytest

from covalent_lambda_container.cli.formats import number_of
from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.why import failure_lines, without_stdout
from covalent_lambda_container.covalent_api.failures import FailedNode
from tests.unit.cli.test_output import Terminal


@pytest.mark.parametrize(
    ("stderr", "stdout", "shown"),
    [
        ("one\ntwo\n", "one\ntwo\n", ""),
        ("one\nwarning\n", "one\n", "warning\n"),
        ("one\nwarning\n", "one", "warning\n"),
        ("\nwarning", "", "\nwarning"),
        ("warning", "one", "warning"),
        ("about", "a", "about"),
        ("one\n", "one", ""),
    ],
)
def test_output_that_both_streams_hold_is_shown_once(stderr: str, stdout: str, shown: str) -> None:
    assert without_stdout(stderr, stdout) == shown


def test_one_is_not_many() -> None:
    texts = [number_of(range(count), "failed task") for count in range(3)]
    assert texts == ["0 failed tasks", "1 failed task", "2 failed tasks"]


ADVICE = (
    "Name its package in ct.DepsPip, or in the option requirements, or send it with DepsModule."
)
PRINTED = (
    "a line of the task that is longer than eighty columns, and not for anybody to break in two"
)


def failed(**changes: str) -> FailedNode:
    fields = {"error": f"ModuleNotFoundError: No module named 'x'\n{ADVICE}", "stdout": PRINTED}
    return FailedNode(
        dispatch_id="9d8a2f2e-6b5c-4a57-8d0f-0f2b8f2f2c11",
        node_id=0,
        executor="awslambda_container",
        stderr="",
        place=None,
        task=None,
        **{"name": "train", **fields, **changes},
    )


def lines(stdout: io.StringIO, node: FailedNode) -> list[str]:
    shown = failure_lines(node, Output(stdout, io.StringIO()), most=None)
    return "\n".join(shown).splitlines()


def test_a_terminal_gets_sentences_broken_between_words_and_output_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    *sentences, heading, output = lines(Terminal(), failed())
    assert max(map(len, sentences)) <= 80
    assert ADVICE in " ".join(" ".join(sentences).split())
    assert (heading, output) == ("  stdout:", f"  | {PRINTED}")


def test_a_pipe_gets_each_sentence_on_one_line() -> None:
    assert lines(io.StringIO(), failed())[2] == f"  {ADVICE}"


def test_a_name_cannot_move_the_cursor_of_a_terminal() -> None:
    assert "\x1b[2J" not in "".join(lines(Terminal(), failed(name="\x1b[2Jtrain")))
