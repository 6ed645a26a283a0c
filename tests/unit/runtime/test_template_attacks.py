"""A task that attacks its environment fails by itself: the next one neither waits nor fails."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from tests.unit.runtime.conftest import Process

SOON_S = 15
ANSWER, RESULT = "answer", "result"
_PR_SET_PTRACER = 0x59616D61
_PTRACE_SEIZE = 0x4206


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


def traced_by_a_child() -> None:
    """Leave a process that is told of this one's end in its parent's place."""
    c = ctypes.CDLL(None)
    c.prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    traced, (ready, begun) = os.getpid(), os.pipe()
    if not os.fork():
        os.setsid()
        c.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        c.ptrace(_PTRACE_SEIZE, traced, None, None)
        os.write(begun, b"!")
        time.sleep(600)
    os.read(ready, 1)


def traced_and_crash() -> None:
    traced_by_a_child()
    os._exit(3)


def crash_with_a_child() -> None:
    """Leave a process that keeps everything open."""
    if not os.fork():
        time.sleep(600)
    os._exit(3)


def unusable_tmp() -> None:
    """Give all that is created in /tmp no permissions."""
    entries = [struct.pack("<HHI", tag, 0, 0xFFFFFFFF) for tag in (0x01, 0x04, 0x20)]
    acl = struct.pack("<I", 2) + b"".join(entries)
    with contextlib.suppress(OSError):
        os.setxattr(Path.cwd().parent, "system.posix_acl_default", acl)


def no_files_for_the_template() -> None:
    resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (0, 0))


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
    "a child that traces the task": traced_by_a_child,
    "a child that traces the task, and a crash": traced_and_crash,
    "a child, and a crash": crash_with_a_child,
    "a folder without permissions": unusable_tmp,
    "a template that may not write": no_files_for_the_template,
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
