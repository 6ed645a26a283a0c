"""Tasks that ran out of memory get more, up to the executor's limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.executor.memory_growth import MemoryGrowth
from covalent_lambda_container.tasks.usage import Usage, parse_line
from tests.electron import assembled
from tests.fakes.account_server import Account, Executor, run, run_unopened


def sizes(account: Account) -> list[int]:
    """Return the memory of the functions that were invoked, in order."""
    made = {each["FunctionName"]: each["MemorySize"] for each in account.sent("CreateFunction")}
    return [made[path.split("/")[3]] for name, path, _ in account.requests if name == "Invoke"]


def test_a_task_gets_twice_the_memory_until_it_has_enough(
    account: Account, given: dict[str, Any]
) -> None:
    account.memory_mb = 1500
    result, _, stderr = run_unopened(Executor(**given, max_memory_size=4096))
    assert result.get_deserialized() == 5
    assert sizes(account) == [512, 1024, 2048]
    assert "peak memory 100 of 2048 MB (raised from 512 MB), nothing billed" in stderr
    used = Usage.from_record(result.header["usage"])
    assert used is not None
    assert (used.memory_mb, used.raised_from_mb) == (2048, 512)
    read = parse_line(stderr, architecture="x86_64", ephemeral_storage_mb=512, timeout_s=60)
    assert read is not None
    assert (read.memory_mb, read.raised_from_mb) == (2048, 512)


def test_the_next_task_of_the_electron_begins_there(
    account: Account, given: dict[str, Any]
) -> None:
    account.memory_mb = 1000
    for _ in range(2):
        run(Executor(**given, max_memory_size=4096))
    assert sizes(account) == [512, 1024, 1024]


def test_it_never_gets_more_than_the_executor_allows(
    account: Account, given: dict[str, Any]
) -> None:
    account.memory_mb = 10_000
    with pytest.raises(Exception, match="more than its 700 MB"):
        run(Executor(**given, max_memory_size=700))
    assert sizes(account) == [512, 700]


def test_without_the_option_it_gets_no_more(account: Account, given: dict[str, Any]) -> None:
    account.memory_mb = 1000
    with pytest.raises(Exception, match="or set max_memory_size"):
        run(Executor(**given))
    assert sizes(account) == [512]


def test_retries_are_used_after_the_last_increase_of_memory(
    account: Account, given: dict[str, Any]
) -> None:
    account.memory_mb = 10_000
    with pytest.raises(Exception, match="more than its 1024 MB"):
        run(Executor(**given, max_memory_size=1024, retries=1))
    assert sizes(account) == [512, 1024, 1024]


def failed(kind: str, **more: Any) -> dict[str, Any]:
    """Return the changes of an answer to a task that raised an error."""
    error = {"type": kind, "message": "", "traceback": "", **more}
    return {"status": "failed", "result": None, "error": error}


def test_an_error_for_lack_of_memory_counts_as_well(
    account: Account, given: dict[str, Any]
) -> None:
    account.answer |= failed("mylib.AllocationFailed", out_of_memory=True)
    _, _, stderr = run_unopened(Executor(**given, max_memory_size=1024))
    assert sizes(account) == [512, 1024]
    assert "(raised from 512 MB)" in stderr


@pytest.mark.parametrize("more", [{}, {"out_of_memory": False}])
def test_an_error_that_is_only_called_so_is_not_rerun(
    account: Account, given: dict[str, Any], more: dict[str, Any]
) -> None:
    account.answer |= failed("mylib.NotEnoughQuantumMemoryError", **more)
    run_unopened(Executor(**given, max_memory_size=1024))
    assert sizes(account) == [512]


def test_the_loop_does_not_wait_for_a_large_function() -> None:
    """Hashing 200 MB takes a tenth of a second or more; the loop goes on meanwhile."""
    small = read_task(assembled(abs), [], {})
    assert isinstance(small, Task)
    function = "QUJD" * 50_000_000
    task = replace(
        small, payload=small.payload | {"function": function}, payload_bytes=len(function)
    )
    growth = MemoryGrowth(512, 1024)

    async def turns() -> int:
        working = asyncio.ensure_future(growth.electron(task))
        count = 0
        while not working.done():
            await asyncio.sleep(0.001)
            count += 1
        assert len(await working) == 64
        return count

    assert asyncio.run(turns()) > 3
