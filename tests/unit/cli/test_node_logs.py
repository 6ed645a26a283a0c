"""Lines of nodes' output: each exactly once, as they arrive, and harmless to a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.cli.node_logs import news, node_lines
from covalent_lambda_container.covalent_api.node_outputs import DispatchOutput, NodeOutput
from covalent_lambda_container.errors import ConfigurationError, harmless
from covalent_lambda_container.runtime.capture import CapturedOutput


def node(stdout: str = "", stderr: str = "", *, state: str = "RUNNING", node_id: int = 0) -> Any:
    return NodeOutput(
        dispatch_id="d", node_id=node_id, name="train", state=state, stdout=stdout, stderr=stderr
    )


class Server:
    """Shows one state after the other.

    Parameters
    ----------
    states
        The nodes at each look; an exception is raised instead.
    """

    def __init__(self, *states: Any) -> None:
        self._states = iter(states)
        self.known: list[set[tuple[str, int]]] = []

    def read(self, known: set[tuple[str, int]]) -> DispatchOutput:
        self.known.append(set(known))
        nodes = next(self._states)
        if isinstance(nodes, Exception):
            raise nodes
        ended = all(one.ended for one in nodes)
        left = tuple(one for one in nodes if one.key not in known)
        return DispatchOutput(state="COMPLETED" if ended else "RUNNING", nodes=left)


def shown(*states: Any, follow: bool = True) -> list[tuple[str, str]]:
    lines = node_lines(Server(*states).read, follow=follow, sleep=lambda _: None)
    return [(line.stream, line.text) for line in lines]


def test_lines_come_once_and_whole() -> None:
    assert shown(
        [node("running on Lambda (since 09:00:00 UTC)\n")],
        [node("one\ntw")],
        [node("one\ntwo\n", "warning\n")],
        [node("one\ntwo\nend", "warning\nLambda usage\n", state="COMPLETED")],
    ) == [
        ("stdout", "running on Lambda (since 09:00:00 UTC)"),
        ("stdout", "one"),
        ("stdout", "two"),
        ("stderr", "warning"),
        ("stdout", "end"),
        ("stderr", "Lambda usage"),
        ("state", "completed"),
    ]


def test_without_follow_the_existing_output_is_shown() -> None:
    assert shown([node("one\ntw", "war")], follow=False) == [
        ("stdout", "one"),
        ("stdout", "tw"),
        ("stderr", "war"),
    ]


def test_a_file_that_is_being_written_shows_nothing_twice() -> None:
    assert shown(
        [node("one\ntwo\n")],
        [node("")],
        [node("on")],
        [node("one\ntwo\nthree\n", state="COMPLETED")],
    ) == [("stdout", "one"), ("stdout", "two"), ("stdout", "three"), ("state", "completed")]


def test_nodes_that_ended_are_not_read_again() -> None:
    server = Server(
        [node("a", state="COMPLETED"), node("b", node_id=1)],
        [node("a", state="COMPLETED"), node("b", state="FAILED", node_id=1)],
    )
    lines = [line.text for line in node_lines(server.read, follow=True, sleep=lambda _: None)]
    assert lines == ["a", "completed", "b", "failed"]
    assert server.known == [set(), {("d", 0)}]


def test_a_server_that_is_busy_is_asked_again_and_one_that_was_never_there_is_not() -> None:
    gone = ConfigurationError("no answer")
    assert shown([node("a\n")], gone, gone, [node("a\nb\n", state="COMPLETED")])[:2] == [
        ("stdout", "a"),
        ("stdout", "b"),
    ]
    with pytest.raises(ConfigurationError):
        shown(gone)
    with pytest.raises(ConfigurationError):
        shown([node("a\n")], *[gone] * 40)


def test_the_output_of_a_task_that_prints_without_end_continues() -> None:
    def texts() -> Iterator[str]:
        captured = CapturedOutput()
        for number in range(20_000):
            captured.add(f"line {number}\n".encode())
            if number % 500 == 499:
                yield captured.text()
        yield captured.text()

    states: list[Any] = [[node(text)] for text in texts()]
    states.append([node(states[-1][0].stdout, state="COMPLETED")])
    lines = [text for stream, text in shown(*states) if stream == "stdout"]
    assert lines == [f"line {number}" for number in range(20_000)]


@given(st.text(), st.text())
def test_only_added_lines_are_new(before: str, added: str) -> None:
    assert news(before, before + added) == added


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("10 %\r50 %\r100 %", "100 %"),
        ("10 %\r", "10 %"),
        ("a\r\nb", "a\nb"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\N{GRINNING FACE} ä", "\N{GRINNING FACE} ä"),
        ("\x9b31m\x00", "\\x9b31m\\x00"),
    ],
)
def test_a_terminal_is_shown_text_only(text: str, visible: str) -> None:
    assert harmless(text) == visible
