"""The handler in this process, as Lambda starts it: once, with streams of its own."""

from __future__ import annotations

import collections
import io
import itertools
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import handler, processes, surroundings, wire
from tests.fakes import examples

Run = Callable[..., dict[str, Any]]


class Process:
    """A process before its first task.

    Attributes
    ----------
    stdout, stderr
        What reaches CloudWatch.
    """

    def __init__(self) -> None:
        self.stdout = io.StringIO()
        self.stderr = io.StringIO()
        self._numbers = itertools.count(1)

    def run(
        self,
        function: Callable[..., Any] | None,
        *args: Any,
        before: Any = (),
        after: Any = (),
        event: dict[str, Any] | None = None,
        task: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a function as task 1, 2, …; return the answer.

        Parameters
        ----------
        function, args, kwargs, before, after
            See `tests.fakes.examples.task`.
        event, task
            Changes of the event and of the task in it.
        """
        sent = {
            "v": wire.VERSION,
            "id": f"task {next(self._numbers)}",
            "result_url": "http://127.0.0.1:1/not-expected",
            "inline_limit": wire.LAMBDA_PAYLOAD_LIMIT,
            "durable_after_s": 30,
        }
        if function is not None:
            made = examples.task(function, *args, before=before, after=after, **kwargs)
            sent["task"] = made | (task or {})
        with redirect_stdout(self.stdout), redirect_stderr(self.stderr):
            return handler.handle(sent | (event or {}), None)

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask the handler something; return what it says."""
        return handler.handle({"v": wire.VERSION} | question, None)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Process:
    # This is no machine of its own: strangers' processes and files stay untouched.
    monkeypatch.setattr(processes, "_BEFORE", frozenset())
    monkeypatch.setattr(surroundings, "_SCRATCH", str(tmp_path))
    monkeypatch.setattr(surroundings, "_scratch_before", None)
    monkeypatch.setattr(surroundings, "_streams", None)
    monkeypatch.setattr(handler, "_invocations", 0)
    monkeypatch.setattr(handler, "_recent", collections.OrderedDict())
    folders = {name: str(tmp_path / name) for name in surroundings._WRITABLE_DIRECTORIES}
    monkeypatch.setattr(surroundings, "_WRITABLE_DIRECTORIES", folders)
    for name in folders:
        monkeypatch.delenv(name, raising=False)
    return Process()


@pytest.fixture
def run(process: Process) -> Run:
    return process.run
