"""ct.cancel, before and while a task runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def test_a_running_task_is_stopped(dispatcher: Any, aws: Callable[[str], Any], stack: Any):
    # Once to its end beforehand, so that the image is there.
    warm = dispatcher.outcome("cancelled.py", "0", "iniconfig==2.0.0")
    assert warm["status"] == "COMPLETED"
    before = len(dispatcher.steps("task.invoke"))
    cancelled = dispatcher.outcome("cancelled.py", "12", "iniconfig==2.0.0")
    assert cancelled["status"] == "CANCELLED"
    # The dispatcher stops waiting at once; the client asks it once a second.
    assert cancelled["seconds"] < 3
    # What it had printed by then is kept.
    assert cancelled["stdout"] == "sleeping\n"
    deadline = time.monotonic() + 5
    while len(dispatcher.steps("task.invoke")) == before and time.monotonic() < deadline:
        time.sleep(0.1)
    # The handler has seen the sign, ended the task and its child, and answered.
    (ended,) = dispatcher.steps("task.invoke")[before:]
    assert ended["subject"].startswith(cancelled["id"])
    assert ended["status"] == "cancelled"
    assert ended["seconds"] < 12 + 3
    time.sleep(0.5)
    left = aws("s3").list_objects_v2(Bucket=stack.bucket)
    assert left.get("KeyCount", 0) == 0


def test_nothing_is_invoked_for_a_task_that_was_cancelled_before(dispatcher: Any):
    before = len(dispatcher.steps("task.invoke"))
    cancelled = dispatcher.outcome("cancelled.py", "0.5", "inflection==0.5.0")
    assert cancelled["status"] == "CANCELLED"
    time.sleep(8)
    assert len(dispatcher.steps("task.invoke")) == before
