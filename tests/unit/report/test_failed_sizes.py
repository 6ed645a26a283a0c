"""A memory size with which a task fails is shown as failed, and the others are measured."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.report.electrons import Electron
from covalent_lambda_container.report.failed_sizes import (
    EndedDispatch,
    FailedSize,
    Measurement,
    Run,
    in_few_words,
    refuse_if_all_failed,
)
from covalent_lambda_container.report.tuning import document_of, page_of, rows_of, tuned
from covalent_lambda_container.runtime.task_errors import describe
from covalent_lambda_container.tasks import outcome
from tests.fakes.examples import call, task
from tests.unit.report.dispatches import usage
from tests.unit.report.test_tuning import electron
from tests.unit.tasks.invoking import failure_of

PLACE = "covalent-lambda-0123456789abcdef-0123456789abcdef"


def of_invocation(kind: str, message: str) -> str:
    """Return the error of a task that gave no answer, as its node shows it."""
    return str(outcome.failure_of(call(task(abs, -1), PLACE), failure_of(kind, message, "last\n")))


KILLED = of_invocation("Runtime.ExitError", "signal: killed")


class Workflow:
    """A workflow with one electron, which takes as long as memory is scarce.

    Parameters
    ----------
    needs_mb
        Memory that its task needs; it fails on less.
    fails_at
        Numbers of the dispatches that fail as well.
    """

    def __init__(self, needs_mb: int, *, fails_at: tuple[int, ...] = ()) -> None:
        self.needs_mb = needs_mb
        self.fails_at = fails_at
        self.sizes: list[int] = []

    def __call__(self, memory_mb: int) -> EndedDispatch:
        self.sizes.append(memory_mb)
        cold = self.sizes.count(memory_mb) == 1
        one = electron(memory_mb, 1_000_000 / memory_mb, cold=cold, region="us-east-1")
        if memory_mb < self.needs_mb or len(self.sizes) in self.fails_at:
            failed = Electron(**{**vars(one), "state": "FAILED"})
            return EndedDispatch(
                dispatch_id=f"d{len(self.sizes)}",
                workflow="workflow",
                electrons=[failed],
                error="…",
                failed=[("train", KILLED)],
            )
        return EndedDispatch(dispatch_id="d", workflow="workflow", electrons=[one])


def measured(
    sizes: tuple[int, ...],
    runs: int,
    dispatch: Callable[[int], EndedDispatch],
    note: Callable[[str], None] = str,
) -> tuple[list[Run], list[FailedSize]]:
    measurement = Measurement()
    measurement.run(sizes, runs, dispatch, note)
    return measurement.ran, measurement.failed


def test_the_best_size_is_one_of_those_that_completed() -> None:
    workflow, notes = Workflow(needs_mb=1000), []
    runs, failed = measured((512, 1024, 2048), 2, workflow, notes.append)
    assert workflow.sizes == [512] + [1024] * 3 + [2048] * 3
    assert "memory_size=512 failed. See: covalent-lambda why d1" in notes
    results = tuned(runs)
    refuse_if_all_failed(results, failed)
    rows = rows_of(results, failed)
    assert rows[0] == ["train", "512 MB", "–", "–", "–", "–", "failed: out of memory"]
    assert [(row[1], row[2]) for row in rows[1:]] == [("1024 MB", "2"), ("2048 MB", "2")]
    assert (results[0].cheapest.memory_mb, results[0].fastest.memory_mb) == (2048, 2048)
    (document,) = document_of(results, failed)["electrons"]
    assert document["failed"] == [
        {"memory_mb": 512, "reason": "out of memory", "dispatch_id": "d1"}
    ]
    assert document["knee_mb"] == 2048
    assert "failed: out of memory" in page_of("w.py", results, failed).html


def test_a_size_that_failed_once_is_not_measured() -> None:
    runs, failed = measured((512, 1024), 2, Workflow(0, fails_at=(3,)))
    assert [size.memory_mb for size in tuned(runs)[0].sizes] == [1024]
    assert [row[1] for row in rows_of(tuned(runs), failed)] == ["512 MB", "1024 MB"]


def test_what_was_measured_before_an_interruption_is_kept() -> None:
    workflow, measurement = Workflow(0), Measurement()

    def dispatch(memory_mb: int) -> EndedDispatch:
        if len(workflow.sizes) == 4:
            raise KeyboardInterrupt
        return workflow(memory_mb)

    with pytest.raises(KeyboardInterrupt):
        measurement.run((512, 1024), 2, dispatch, str)
    assert [size.runs for size in tuned(measurement.ran)[0].sizes] == [2]


def test_if_no_size_completed_the_error_says_why() -> None:
    runs, failed = measured((512, 1024), 2, Workflow(needs_mb=10_000))
    with pytest.raises(ConfigurationError) as raised:
        refuse_if_all_failed(tuned(runs), failed)
    assert "512 MB: train: out of memory; 1024 MB: train: out of memory." in str(raised.value)
    assert "covalent-lambda why d2" in str(raised.value)


def test_an_error_outside_of_all_electrons_is_the_workflows() -> None:
    def dispatch(_: int) -> EndedDispatch:
        return EndedDispatch(
            dispatch_id="d", workflow="workflow", electrons=[], error="it ended as CANCELLED"
        )

    runs, failed = measured((512,), 2, dispatch)
    assert rows_of(tuned(runs), failed)[0][::6] == ["workflow", "failed: it ended as CANCELLED"]
    (document,) = document_of([], failed)["electrons"]
    assert (document["name"], document["sizes"], document["knee_mb"]) == ("workflow", [], None)
    json.dumps(document)


def test_another_electron_of_a_failed_dispatch_keeps_its_figures() -> None:
    good = electron(512, 100.0, region="")
    used = usage(memory_mb=512, region="")
    bad = Electron(**{**vars(good), "name": "other", "state": "FAILED", "used": used})
    assert [one.electron for one in tuned([(512, [good, bad])])] == ["train"]


def of_task(raised: BaseException) -> str:
    """Return an error of a task as its node shows it."""
    described = describe(raised)
    return f"{described['type']}: {described['message']}\n{described['advice']}"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KILLED, "out of memory"),
        (of_task(MemoryError()), "out of memory"),
        (of_invocation("Sandbox.Timedout", ""), "timed out"),
        (
            of_invocation("Runtime.ExitError", "exit status 3"),
            "ended without an answer: Runtime.ExitError: exit status 3",
        ),
        ("ValueError: a\nb", "ValueError: a"),
        ("ValueError: \x1b[2J" + "x" * 200, "ValueError:  [2J" + "x" * 43 + "…"),
        ("", "no error was recorded"),
    ],
)
def test_a_reason_has_few_words(error: str, words: str) -> None:
    assert in_few_words(error) == words
