"""Runs one task as Covalent would; errors become part of the answer.

None of the user's modules is imported before the call, so that an import error becomes the task's
error, with its traceback.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import traceback
from collections.abc import Callable
from types import CoroutineType
from typing import Any, BinaryIO, NoReturn

import cloudpickle

from . import covalent_sdk, wire
from .provenance import dump
from .task_errors import TEXT_LIMIT, describe, safe_str, sendable

_LARGE_BYTES = 1024 * 1024
_SHOWN_BYTES = 32
_BUILT_IN_COLLECTIONS = (bytes, bytearray, list, tuple, set, frozenset, dict)

_FILES_KEYWORD = "files"
"""Covalent's reserved keyword for file transfers: always a list, even with one element."""


class Cancelled(BaseException):
    """Raised in the task when it is cancelled; not an Exception, so that tasks let it pass."""


def execute(read: Callable[[], dict[str, Any]], result_file: BinaryIO) -> dict[str, Any]:
    """Run a task.

    Parameters
    ----------
    read
        Returns the task as `wire` defines it; leaves are bytes-like.
    result_file
        File for the pickle of the task's result.

    Returns
    -------
    dict
        ``status``, ``result`` without its pickle, ``error``.
    """
    answer: dict[str, Any] = {"v": wire.VERSION, "result": None, "error": None}
    progress, own = _Progress(), os.getpid()
    try:
        output = _call(read(), progress)
        if os.getpid() != own:
            _end_fork(0)
        answer["result"] = _pickle_result(
            output, result_file, whole_text=progress.builds_sublattice
        )
        answer["status"] = wire.COMPLETED
    except Cancelled:
        answer["status"] = wire.CANCELLED
    # A task may raise anything, SystemExit included: it is always the task's error.
    except BaseException as exc:
        if os.getpid() != own:
            traceback.print_exception(exc)
            _end_fork(1)
        answer["status"] = wire.FAILED
        answer["error"] = describe(exc) | {"loading": progress.loading}
    return answer


def _end_fork(status: int) -> NoReturn:
    """End a process that the task has forked and let return: the answer is the task's own."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)


class _Progress:
    """How far a task has come: whether its function and values are being unpickled, and whether
    that function builds a sublattice.
    """

    loading = False
    builds_sublattice = False


def _call(task: dict[str, Any], progress: _Progress) -> Any:
    """Run hooks and function in Covalent's order, and pass on hooks' return values as it does."""

    def load(pickled: Any) -> Any:
        value = cloudpickle.loads(pickled)
        if task.get("context"):
            # Any object may be the first to import Covalent.
            covalent_sdk.prepare(task["context"])
        return value

    for command in task.get("commands", ()):
        _run_command(command)
    returned: dict[str, list[Any]] = {}
    for function, args, kwargs, keyword in task["before"]:
        value = load(function)(*load(args), **load(kwargs))
        if keyword:
            returned.setdefault(keyword, []).append(value)
    progress.loading = True
    function = load(task["function"])
    args = [load(leaf) for leaf in task["args"]]
    kwargs = {name: load(leaf) for name, leaf in task["kwargs"].items()}
    progress.loading = False
    progress.builds_sublattice = covalent_sdk.builds_sublattice(function)
    if task.get("context"):
        # The function may import Covalent itself.
        covalent_sdk.import_covalent()
        covalent_sdk.prepare(task["context"])
    covalent_sdk.keep_executors(function, args)
    for keyword, values in returned.items():
        single = len(values) == 1 and keyword != _FILES_KEYWORD
        kwargs[keyword] = values[0] if single else values
    output = function(*args, **kwargs)
    if isinstance(output, CoroutineType):
        output.close()
        raise TypeError(
            "The electron is a coroutine function, which Covalent does not await. Make it a plain "
            "function that calls asyncio.run."
        )
    for function, args, kwargs, _ in task["after"]:
        load(function)(*load(args), **load(kwargs))
    return output


def _run_command(command: str) -> None:
    """Run a DepsBash command as Covalent does, but in a writable folder."""
    import subprocess

    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(ended.stdout)
    sys.stderr.write(ended.stderr)
    ended.check_returncode()


def _pickle_result(output: Any, file: BinaryIO, *, whole_text: bool) -> dict[str, Any]:
    """Write the pickle; return the other parts of Covalent's TransportableObject."""
    try:
        requires = dump(output, file)
    except Exception as exc:
        raise TypeError(
            f"The task's return value, a {type(output).__qualname__}, cannot be pickled: "
            f"{safe_str(exc)}\nReturn data instead: a generator's values as a list, the content of "
            "a file or a connection."
        ) from exc
    header = {
        "py_version": platform.python_version(),
        "cloudpickle_version": cloudpickle.__version__,
        "attrs": {
            "doc": _text_attribute(output, "__doc__"),
            "name": _text_attribute(output, "__name__"),
        },
        "requires": requires,
    }
    return {"header": header, "string": _shown(output, file.tell(), whole_text)}


def _shown(output: Any, pickled_bytes: int, whole_text: bool) -> str:
    """Return ``str(output)`` for Covalent, shortened if it would be as long as the data.

    The text of a sublattice stays whole, since Covalent reads it from there.
    """
    if isinstance(output, str):
        if pickled_bytes > _LARGE_BYTES and not whole_text:
            return f"{sendable(output[:TEXT_LIMIT])}…"
        return sendable(output)
    if pickled_bytes > _LARGE_BYTES and isinstance(output, _BUILT_IN_COLLECTIONS):
        import reprlib

        if isinstance(output, bytes | bytearray):
            # reprlib would first convert all elements to text.
            return f"{output[:_SHOWN_BYTES]!r}…"
        return reprlib.repr(output)
    text = safe_str(output)
    return sendable(text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}…")


def _text_attribute(value: Any, name: str) -> str | None:
    attribute = getattr(value, name, "")
    if attribute is None:
        return None
    return sendable(attribute) if isinstance(attribute, str) else ""
