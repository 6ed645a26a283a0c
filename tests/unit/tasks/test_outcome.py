"""Tasks that end without an answer: crashed, killed, timed out, or with an invalid answer."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    PayloadTooLarge,
    ResultNotStored,
    TaskOutOfMemory,
    TaskTimedOut,
    VersionMismatch,
)
from covalent_lambda_container.ports.functions import ACTIVE, FunctionState
from covalent_lambda_container.tasks.invoker import Invoker
from tests.fakes import FakeBlobStore, FakeFunctions
from tests.fakes.examples import call, task
from tests.unit.tasks.invoking import LARGE, NAME, Runner, answer_of, failure_of

LOG = (
    "INIT_START Runtime Version: provided.al2\tRuntime Version ARN: arn:aws:lambda\n"
    "START RequestId: 5ba7b391-fb0a Version: $LATEST\n"
    "28 Nov 2026 23:13:23,583 [INFO] (rapid) INIT START(type: on-demand, phase: init)\n"
    "last words\n"
    "END RequestId: 5ba7b391-fb0a\n"
    "REPORT RequestId: 5ba7b391-fb0a\tDuration: 2729.93 ms\tBilled Duration: 2730 ms\n"
)
"""A log as `LogResult` has it: Lambda's own lines, and one that the task printed."""


def test_a_process_that_ends_by_itself_has_crashed(invoker: Runner) -> None:
    def end() -> None:
        print("about to end", flush=True)
        os._exit(3)

    with pytest.raises(FunctionCrashed, match=r"exit status 3\nLast log lines:\nabout to end$"):
        invoker.run(call(task(end), NAME))


def test_a_process_that_was_killed_needed_more_memory(invoker: Runner) -> None:
    def be_killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TaskOutOfMemory, match=r"more than its 512 MB(.|\n)*memory_size"):
        invoker.run(call(task(be_killed), NAME))


def test_a_process_that_ended_in_a_task_of_a_lost_connection_has_crashed_too(
    invoker: Runner, functions: FakeFunctions
) -> None:
    def end() -> None:
        print("about to end")
        os._exit(3)

    functions.lose_connection()
    with pytest.raises(FunctionCrashed, match=r"exit status 3\nLast log lines:\nabout to end$"):
        invoker.run(call(task(end), NAME))


def test_a_result_that_could_not_be_stored_is_an_error_of_its_own(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 999
    with pytest.raises(
        ResultNotStored, match=r"ended, but its result could not be stored in S3: S3 answ.*503"
    ):
        invoker.run(call(task(bytearray, LARGE), NAME, timeout_s=3))
    assert len(functions.executions) == 1


@pytest.mark.parametrize(("argument", "size"), [(LARGE, 0), (0, LARGE)])
def test_a_function_that_s3_denies_its_objects_says_which_permission_is_missing(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore, argument: int, size: int
) -> None:
    blobs.denials = True
    sent = task(lambda _, size: bytearray(size), bytes(argument), size)
    with pytest.raises(InvocationError, match=r"403 Forbidden \(AccessDenied") as caught:
        invoker.run(call(sent, NAME, timeout_s=30))
    assert not isinstance(caught.value, FunctionCrashed), "it would be rerun"
    assert "of the dispatcher's identity: allow it s3:" in str(caught.value)
    said = "did not begin: its function could not read it" if argument else "was not run again"
    assert said in str(caught.value)
    assert functions.offers == 1


def test_a_function_without_room_for_a_task_does_not_blame_s3(
    invoker: Runner, functions: FakeFunctions
) -> None:
    def lower_the_handlers_file_size() -> None:
        template = Path(f"/proc/{os.getppid()}/stat").read_text()
        handler = int(template.rpartition(")")[2].split()[1])
        resource.prlimit(handler, resource.RLIMIT_FSIZE, (1000, 1000))

    assert invoker.run(call(task(lower_the_handlers_file_size), NAME)).completed
    with pytest.raises(InvocationError, match="could not keep it in memory:") as caught:
        invoker.run(call(task(len, bytes(LARGE)), NAME, timeout_s=30))
    assert not isinstance(caught.value, FunctionCrashed), "it would be rerun"
    assert "ephemeral_storage" in str(caught.value)
    assert "read it from S3" not in str(caught.value)


def test_the_measurements_of_a_task_that_died_are_part_of_its_error(invoker: Runner) -> None:
    with pytest.raises(FunctionCrashed) as caught:
        invoker.run(call(task(os._exit, 3), NAME))
    assert caught.value.usage["duration_ms"] > 0
    assert caught.value.usage["cold"] is True


def test_a_small_answer_arrives_although_s3_denies_the_function_its_object(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    blobs.denials = True
    functions.task_duration_s = 42
    assert invoker.run(call(task(abs, -1), NAME)).completed


def test_urls_that_expired_before_the_task_ended_are_named_as_the_reason() -> None:
    class Expired(FakeBlobStore):
        def write_url(self, key: str, *, valid_s: int) -> str:
            return super().write_url(key, valid_s=-1)

    # The answer is too large for the invocation's own.
    with Expired() as blobs, FakeFunctions() as functions:
        functions.states[NAME] = FunctionState(state=ACTIVE)
        expired = Runner(Invoker(functions, blobs))
        with pytest.raises(ResultNotStored, match="credentials that last longer than its tasks"):
            expired.run(call(task(bytearray, LARGE), NAME, timeout_s=30))


def test_a_task_that_takes_too_long_has_timed_out(invoker: Runner) -> None:
    with pytest.raises(TaskTimedOut, match=r"did not end within 1 s(.|\n)*option timeout"):
        invoker.run(call(task(time.sleep, 30), NAME, timeout_s=1))


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("Sandbox.Timedout", "Error: Task timed out after 3.00 seconds", TaskTimedOut),
        ("", "2026-11-01T00:00:00Z 1-2-3 Task timed out after 3.00 seconds", TaskTimedOut),
        ("Runtime.OutOfMemory", "Runtime exited with error: signal: killed", TaskOutOfMemory),
        ("Runtime.ExitError", "Runtime exited with error: signal: killed", TaskOutOfMemory),
        ("Runtime.ExitError", "Runtime exited with error: exit status 1", FunctionCrashed),
        ("Runtime.ExitError", "Runtime exited with error: signal: aborted", FunctionCrashed),
        ("Runtime.ImportModuleError", "No module named 'x'", FunctionCrashed),
        ("Runtime.InvalidEntrypoint", "", FunctionCrashed),
        ("ValueError", "This image reads envelope version 1", FunctionCrashed),
        ("Function.ResponseSizeTooLarge", "exceeded maximum (6291556 bytes).", PayloadTooLarge),
    ],
)
def test_errors_that_lambda_reports_have_their_own_classes(
    invoker: Runner,
    functions: FakeFunctions,
    kind: str,
    message: str,
    error: type[InvocationError],
) -> None:
    functions.reply_next_with(failure_of(kind, message, LOG))
    with pytest.raises(InvocationError) as caught:
        invoker.run(call(task(abs, -1), NAME))
    assert type(caught.value) is error
    text = str(caught.value)
    assert text.startswith("The task ")
    assert f"(task dispatch:7 on function {NAME}" in text
    assert "Last log lines:\nlast words" in text
    if error in (FunctionCrashed, PayloadTooLarge, TaskOutOfMemory):
        assert message in text
    if error in (TaskTimedOut, TaskOutOfMemory):
        assert "Raise the option" in text


@pytest.mark.parametrize("log", [" \n", LOG.replace("last words\n", "")])
def test_a_failure_without_a_log_says_nothing_of_one(
    invoker: Runner, functions: FakeFunctions, log: str
) -> None:
    functions.reply_next_with(failure_of("Runtime.ExitError", "exit status 1", log))
    with pytest.raises(FunctionCrashed, match=r"Runtime.ExitError: exit status 1$"):
        invoker.run(call(task(abs, -1), NAME))


def test_an_answer_of_another_version_is_refused(invoker: Runner, functions: FakeFunctions) -> None:
    functions.reply_next_with(answer_of({"v": 2, "status": "completed"}))
    with pytest.raises(VersionMismatch, match="version 2; this dispatcher reads version 1"):
        invoker.run(call(task(abs, -1), NAME))
