"""Checks that a task ended as the faults during its run allow."""

from __future__ import annotations

from typing import Any

from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    LambdaContainerError,
    ResultNotStored,
    TaskOutOfMemory,
    TaskTimedOut,
)
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes.examples import value_of
from tests.soak import report
from tests.soak.faults import DELETED, FULL, KILLED, STOPPED, Faults
from tests.soak.proxy import BROKEN, CUT_BEFORE, ERROR_LOST, LAMBDA_FAULTS
from tests.soak.report import Report
from tests.soak.sublattice import is_graph_of
from tests.soak.work import SIZES, Marks

_EXPECTED: dict[str, type[LambdaContainerError]] = {
    "exiting": FunctionCrashed,
    "timed out": TaskTimedOut,
}
_NO_CONTAINER = "APIError: 500 Server Error for http+docker"
"""The emulator's engine did not start a container; AWS has no such error."""
_NAMES_THE_STACK = ("localhost:", "credentials")
_MAY_HAVE_RUN = "may have run; it was not run again"
_NO_ANSWER = {CUT_BEFORE, BROKEN, ERROR_LOST}


class Checks:
    """Judges how tasks ended.

    Parameters
    ----------
    marks, faults
        What was seen of their executions, and what broke.
    notes
        Takes what must not have happened.
    """

    def __init__(self, marks: Marks, faults: Faults, notes: Report) -> None:
        self._marks = marks
        self._faults = faults
        self._notes = notes

    def outcome(self, name: str, kind: str, outcome: Outcome, args: list[Any]) -> None:
        """Check an answer."""
        error = outcome.error or {}
        where = f"task {name} ({kind})"
        if kind == "raising":
            if outcome.completed or f"raised by {name}" not in error.get("message", ""):
                self._notes.violated(report.ERROR, f"{where}: {error}")
        elif not outcome.completed:
            self._notes.violated(report.WRONG, f"{where}: {error}")
        elif kind == "sublattice":
            if not is_graph_of(outcome, name, args):
                self._notes.violated(report.WRONG, f"{where}: another graph")
        elif value_of(outcome.pickled) != name.encode() + bytes(SIZES.get(kind, 10)):
            self._notes.violated(report.WRONG, f"{where}: another value")
        elif kind == "printing" and f"line 1999 of {name}" not in outcome.stdout:
            self._notes.violated(report.WRONG, f"{where}: its output is not whole")

    def error(
        self, name: str, node_id: int, kind: str, exc: LambdaContainerError, since: float
    ) -> None:
        """Check an error.

        Parameters
        ----------
        name, node_id, kind
            The task.
        exc
            The error.
        since
            When the task began, by `time.monotonic`.
        """
        met = ", ".join(sorted(self._faults.met(node_id))) or "none"
        where = f"task {name} ({kind}; faults of its requests: {met})"
        if not str(exc).strip():
            self._notes.violated(report.ERROR, f"{where}: no words")
        elif isinstance(exc, _EXPECTED.get(kind, ())):
            return
        elif excuse := self._excuse(name, node_id, exc, since):
            self._notes.excuse(excuse, f"{where}: {type(exc).__name__}: {exc}")
        elif self._marks.ended[name] or isinstance(exc, ResultNotStored):
            self._notes.violated(report.LOST, f"{where}: {type(exc).__name__}: {exc}")
        else:
            self._notes.violated(report.ERROR, f"{where}: {type(exc).__name__}: {exc}")

    def _excuse(self, name: str, node_id: int, exc: LambdaContainerError, since: float) -> str:
        """Return the fault that hit a task and explains its error; empty if there is none."""
        if self._marks.begun[name]:
            # A container that was killed takes what ran in it along.
            taken = self._faults.has_taken(self._marks.containers.get(name, ""), since)
            return "its container was ended" if taken and isinstance(exc, InvocationError) else ""
        said = str(exc)
        if _MAY_HAVE_RUN in said and (met := self._faults.met(node_id) & _NO_ANSWER):
            return f"its request was broken: {min(met)}"
        if "No space left" in said:
            return self._faults.blame((FULL,), since)
        if isinstance(exc, InvocationError) and self._may_lack_container(node_id, exc):
            return self._faults.blame((STOPPED, DELETED, KILLED), since)
        if isinstance(exc, InvocationError) or any(word in said for word in _NAMES_THE_STACK):
            return self._faults.blame((STOPPED,), since)
        return ""

    def _may_lack_container(self, node_id: int, exc: InvocationError) -> bool:
        """Return whether this is the error of a task whose container ended before it began."""
        said = str(exc)
        was_cut = bool(self._faults.met(node_id) & set(LAMBDA_FAULTS))
        ended = isinstance(exc, FunctionCrashed | TaskOutOfMemory)
        return ended or _NO_CONTAINER in said or (was_cut and _MAY_HAVE_RUN in said)
