"""A task that attacks its environment fails by itself: the next one neither waits nor fails."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from tests.unit.runtime.conftest import Process

SOON_S = 15
ANSWER, RESULT = "answer", "result"


def parents(count: int) -> list[int]:
    """Return this process's parent, and its parent."""
    found, pid = [], os.getpid()
    for _ in range(count):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def descriptor(name: str) -> int:
    """Return the file in memory with this name."""
    for path in Path("/proc/self/fd").iterdir():
        if path.is_symlink() and f"memfd:{name}" in str(path.readlink()):
            return int(path.name)
    raise FileNotFoundError(name)


def forge(content: Any) -> None:
    """Answer in the runtime's place, and end."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    os.pwrite(descriptor(ANSWER), text, 0)
    for path in Path("/proc/self/fd").iterdir():
        if path.is_symlink() and "socket" in str(path.readlink()):
            os.write(int(path.name), b"{}")
    time.sleep(60)


def deep_folders() -> None:
    for _ in range(1500):
        Path("d").mkdir()
        os.chdir("d")


def stop_template() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)


def stop_template_and_crash() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)
    os._exit(3)


def stop_template_for_ever() -> None:
    template = os.getppid()
    if not os.fork():
        os.setsid()
        while True:
            os.kill(template, signal.SIGSTOP)


def comet() -> None:
    """Leave a process that is another one all the time."""
    if os.fork():
        return
    while True:
        if os.fork():
            os._exit(0)


def huge_answer() -> None:
    os.ftruncate(descriptor(ANSWER), 1 << 42)
    forge(b"{")


def nested_answer() -> None:
    forge(b"[" * 1_000_000)


def completed(**result: Any) -> Callable[[], None]:
    def forged() -> None:
        forge({"status": "completed", "result": result})

    return forged


ATTACKS: dict[str, Callable[[], None]] = {
    "folders in folders": deep_folders,
    "a template that is stopped": stop_template,
    "a template that is stopped, and a crash": stop_template_and_crash,
    "a template that is stopped again and again": stop_template_for_ever,
    "a process that is another one all the time": comet,
    "a huge answer": huge_answer,
    "a nested answer": nested_answer,
    "no text": completed(),
    "a text that is a number": completed(string=5),
    "a text that is half a character": completed(string="\ud800" * 300_000),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("durable_after_s", [30, 0])
def test_the_task_after_an_attack_neither_waits_nor_fails(
    process: Process, attack: Callable[[], None], durable_after_s: int
) -> None:
    answer = process.run(attack, event={"durable_after_s": durable_after_s}, timeout_s=SOON_S)
    assert answer["status"] in (wire.COMPLETED, wire.FAILED, wire.CRASHED)
    started = time.monotonic()
    for _ in range(3):
        assert process.value(abs, -1) == 1
    assert time.monotonic() - started < SOON_S
