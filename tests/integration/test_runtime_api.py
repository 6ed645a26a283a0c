"""A task that speaks to Lambda's runtime API in the handler's place."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import cloudpickle
import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.errors import FunctionCrashed, InvocationError
from tests.electron import Ended, run

TAKEN_S = 4.0
"""How long the task keeps its environment."""


def take_environment(seconds: float) -> None:
    """Answer this invocation and all that follow; then end as if nothing had been."""
    import contextlib
    import http.client
    import time

    ends = time.monotonic() + seconds
    api = http.client.HTTPConnection("127.0.0.1", 9001, timeout=seconds)
    with contextlib.suppress(OSError):
        while time.monotonic() < ends:
            api.request("GET", "/2018-06-01/runtime/invocation/next")
            reply = api.getresponse()
            reply.read()
            name = reply.getheader("Lambda-Runtime-Aws-Request-Id")
            path = f"/2018-06-01/runtime/invocation/{name}/response"
            api.request("POST", path, b'{"v": 1, "forged": true}')
            api.getresponse().read()


@pytest.mark.slow
def test_an_environment_that_a_task_has_taken_ends_with_that_task(
    options: dict[str, Any], cache_dir: str
):
    executor = AWSLambdaContainerExecutor(
        **options, cache_dir=cache_dir, memory_size=777, timeout=20, poll_freq=1
    )
    # This module is not in the image.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    run(executor, abs, -1)
    with pytest.raises(InvocationError, match="unusable answer"):
        run(executor, take_environment, TAKEN_S)
    # Whoever is served meanwhile is served by the task: nothing in a function prevents that.
    with pytest.raises(InvocationError, match="unusable answer"):
        run(executor, abs, -1)
    time.sleep(TAKEN_S + 1)

    def next_one() -> Ended | None:
        # The emulator reports the end of the environment to the invocation that finds it ended.
        with contextlib.suppress(FunctionCrashed):
            return run(executor, abs, -1)
        return None

    first, *others = [next_one() for _ in range(3)]
    assert first is None or first.value == 1
    assert [ended and ended.value for ended in others] == [1, 1]
