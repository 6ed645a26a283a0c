"""The handler in a separate process, as Lambda starts it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from covalent_lambda_container.runtime import wire
from tests.fakes import examples
from tests.fakes.environment import Environment

Run = Callable[..., dict[str, Any]]

TIMEOUT_S = 30


class InvocationFailed(Exception):
    """The handler raised, or its process ended."""


class Process:
    """A handler's process.

    Parameters
    ----------
    environment
        The function's own variables.

    Attributes
    ----------
    log
        Log of the last invocation.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._environment = Environment(environment)
        self._numbers = itertools.count(1)
        self.log = ""

    @property
    def scratch(self) -> Path:
        """The folder that stands for /tmp."""
        return self._environment.scratch

    def run(
        self,
        function: Callable[..., Any] | None,
        *args: Any,
        event: dict[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a function as task 1, 2, …; return the answer.

        Parameters
        ----------
        function, args, kwargs
            See `tests.fakes.examples.task`.
        event
            Changes of the event.
        timeout_s
            The function's timeout.
        """
        sent = {
            "v": wire.VERSION,
            "id": f"task {next(self._numbers)}",
            "result_url": "http://127.0.0.1:1/not-expected",
            "inline_limit": wire.LAMBDA_PAYLOAD_LIMIT,
            "durable_after_s": 30,
        }
        if function is not None:
            sent["task"] = examples.task(function, *args, **kwargs)
        return self._invoke(sent | (event or {}), timeout_s)

    def value(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function and return what it returned."""
        return examples.value_of(self.run(function, *args)["result"]["pickle"])

    def ping(self, *, timeout_s: float = TIMEOUT_S, **question: Any) -> dict[str, Any]:
        """Ask the handler something; return what it answers."""
        asked = {"v": wire.VERSION, "ping": True, "hold_s": 0} | question
        return self._invoke(asked, timeout_s)

    def close(self) -> None:
        self._environment.close()

    def _invoke(self, event: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        reply = self._environment.invoke(event, timeout_s)
        self.log = reply.log_tail
        if reply.function_error:
            raise InvocationFailed("{errorType}: {errorMessage}".format_map(reply.payload))
        return reply.payload


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Process]]:
    """Start a handler's process; functions of the test's module travel by value."""
    processes: list[Process] = []

    def start(environment: dict[str, str] | None = None) -> Process:
        processes.append(Process(environment))
        return processes[-1]

    cloudpickle.register_pickle_by_value(request.module)
    yield start
    cloudpickle.unregister_pickle_by_value(request.module)
    for process in processes:
        process.close()


@pytest.fixture
def process(start: Callable[..., Process]) -> Process:
    return start()


@pytest.fixture
def run(process: Process) -> Run:
    return process.run
