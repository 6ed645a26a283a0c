"""One task, run as Covalent would run it; whatever happens becomes part of the answer.

None of the user's modules is imported before the call, so that an import error is the task's error
and comes back with its traceback.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator
from types import CoroutineType
from typing import Any, BinaryIO

import cloudpickle

from . import covalent_sdk, system_packages, wire
from .provenance import dump

_TEXT_LIMIT = 64 * 1024
"""Characters kept of an error message or a traceback."""

_LARGE_BYTES = 1024 * 1024
_SHOWN_BYTES = 32
_BUILT_IN_COLLECTIONS = (bytes, bytearray, list, tuple, set, frozenset, dict)

_FILES_KEYWORD = "files"
"""Covalent's reserved keyword for file transfers: always a list, even of one."""

_COMMAND_NOT_FOUND = 127
"""Exit status of a shell (POSIX, "Exit Status for Commands")."""

_AWS_REFUSALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_AWS_ADVICE = (
    "A task's calls of AWS, file transfers included, are made as the function's execution role: "
    "allow them in that role's policy, or choose another by the option lambda_role_name. "
    "Credentials and profiles of your machine are not there."
)

_ADVICE = {
    errno.ENOSPC: "/tmp is full: raise the option ephemeral_storage (MB, up to 10240).",
    errno.EROFS: "Lambda's file system is read-only but for /tmp: write there.",
    errno.ENOSYS: "Lambda has no shared memory: multiprocessing's pools, queues and locks do not "
    "work there; use threads or subprocesses.",
}


_COMMANDS = "/opt/covalent-lambda/commands"
"""Where an image has the commands of DepsBash that ran when it was built."""
_FILES_ADVICE = (
    "Commands of ct.DepsBash run while the image is built. What they write under /tmp, in the home "
    "or in the working directory is not there at run time: have them write to a folder such as "
    "/opt/data, or run them before each task with the executor's option bash_deps='runtime'."
)


class Cancelled(BaseException):
    """Raised in the task when it is cancelled; not an Exception, so that tasks let it pass."""


def execute(read: Callable[[], dict[str, Any]], result_file: BinaryIO) -> dict[str, Any]:
    """Run a task.

    Parameters
    ----------
    read
        Returns the task as `wire` defines it; leaves are bytes-like.
    result_file
        Takes the pickle of the task's result.

    Returns
    -------
    dict
        ``status``, ``result`` without its pickle, ``error``.
    """
    answer: dict[str, Any] = {"v": wire.VERSION, "result": None, "error": None}
    progress = _Progress()
    try:
        answer["result"] = _pickle_result(_call(read(), progress), result_file)
        answer["status"] = wire.COMPLETED
    except Cancelled:
        answer["status"] = wire.CANCELLED
    # A task may raise anything, SystemExit included; whatever it is belongs to the task.
    except BaseException as exc:
        answer["status"] = wire.FAILED
        answer["error"] = _describe(exc) | {"loading": progress.loading}
    return answer


class _Progress:
    """How far a task has come: whether its function and values are being unpickled."""

    loading = False


def _call(task: dict[str, Any], progress: _Progress) -> Any:
    """Run hooks and function in Covalent's order, hooks' return values passed on as it does."""

    def load(pickled: Any) -> Any:
        value = cloudpickle.loads(pickled)
        if task.get("context"):
            # Whatever is loaded may be the first to import Covalent.
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
    """Run one of DepsBash's commands as Covalent does, but where writing is possible."""
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


def _pickle_result(output: Any, file: BinaryIO) -> dict[str, Any]:
    """Write the pickle; return what Covalent keeps beside it in a TransportableObject."""
    try:
        requires = dump(output, file)
    except Exception as exc:
        raise TypeError(
            f"The task's return value, a {type(output).__qualname__}, cannot be pickled: "
            f"{_safe_str(exc)}"
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
    return {"header": header, "string": _shown(output, file.tell())}


def _shown(output: Any, pickled_bytes: int) -> str:
    """Return ``str(output)`` as Covalent keeps it, shortened where it would be as long as the data.

    Text stays whole: Covalent reads a sublattice from it.
    """
    if isinstance(output, str):
        return _sendable(output)
    if pickled_bytes > _LARGE_BYTES and isinstance(output, _BUILT_IN_COLLECTIONS):
        import reprlib

        if isinstance(output, bytes | bytearray):
            # reprlib would first make all of them into text.
            return f"{output[:_SHOWN_BYTES]!r}…"
        return reprlib.repr(output)
    text = _safe_str(output)
    return _sendable(text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}…")


def _text_attribute(value: Any, name: str) -> str | None:
    attribute = getattr(value, name, "")
    if attribute is None:
        return None
    return _sendable(attribute) if isinstance(attribute, str) else ""


def _sendable(text: str) -> str:
    """Replace lone surrogates, which JSON in UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _safe_str(value: Any) -> str:
    try:
        return str(value)
    except Exception as exc:
        return f"<{type(value).__qualname__}: str() raised {type(exc).__qualname__}>"


def _describe(exc: BaseException) -> dict[str, Any]:
    kind = type(exc)
    qualified = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        qualified = f"{kind.__module__}.{qualified}"
    try:
        lines = traceback.format_exception(kind, exc, _without_own_frames(exc.__traceback__))
        text = "".join(lines)
    except Exception:
        text = f"{qualified}: {_safe_str(exc)}\n"
    return {
        "type": qualified,
        "message": _sendable(_safe_str(exc)[:_TEXT_LIMIT]),
        "traceback": _sendable(text[-_TEXT_LIMIT:]),
        "advice": _advice(exc),
        "missing_module": _missing_module(exc),
    }


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from; they may be each other's causes.

    An error that was only being handled when another was raised is the reason for one of its own
    kind, as where a library says of a failed import what it is for. Any other came about by itself
    in code that had a way without the module or the file.
    """
    for _ in range(20):
        if exc is None:
            return
        yield exc
        handled = None if exc.__suppress_context__ else exc.__context__
        exc = exc.__cause__ or (handled if isinstance(exc, ImportError | OSError) else None)


def _missing_module(exc: BaseException) -> str:
    for cause in _causes(exc):
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name
    return ""


def _advice(exc: BaseException) -> str:
    """Say which option helps, where the error or one behind it has a cause known to be Lambda's."""
    for cause in _causes(exc):
        if isinstance(cause, MemoryError):
            return "Raise the option memory_size (MB, up to 10240)."
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package, _, part = cause.name.partition(".")
            if part and package in sys.modules:
                return (
                    f"The image has {package}, in a version without {cause.name}: name the version "
                    "that has it in ct.DepsPip, the same in all electrons that pass such values on."
                )
            return (
                f"{cause.name} is not in the image. Name its package in ct.DepsPip, or in the "
                "option requirements; put a module of your own there by the option local_packages, "
                "or send it with ct.DepsModule."
            )
        if isinstance(cause, (ImportError, OSError)):
            library = system_packages.advice(_safe_str(cause))
            if library:
                return library
        if isinstance(cause, OSError) and cause.errno in _ADVICE:
            return _ADVICE[cause.errno]
        if _is_file_of_a_command(cause):
            return _FILES_ADVICE
        if _is_missing_program(cause):
            return (
                "A program is not in the image: install it by a command of ct.DepsBash while the "
                "image is built, or choose a base_image that has it."
            )
        if _is_refusal_of_aws(cause):
            return _AWS_ADVICE
    return ""


def _is_file_of_a_command(exc: BaseException) -> bool:
    """Tell whether a file is missing that a command of DepsBash may have written at build time."""
    if not isinstance(exc, FileNotFoundError) or not isinstance(exc.filename, str):
        return False
    path = os.path.abspath(exc.filename)
    return path.startswith(("/tmp/", "/root/")) and os.path.isdir(_COMMANDS)


# Known by their names: what raises them is imported only if the task has done so.


def _is_missing_program(exc: BaseException) -> bool:
    kind = type(exc)
    if (kind.__module__, kind.__name__) != ("subprocess", "CalledProcessError"):
        return False
    return getattr(exc, "returncode", None) == _COMMAND_NOT_FOUND


def _is_refusal_of_aws(exc: BaseException) -> bool:
    if type(exc).__module__ != "botocore.exceptions":
        return False
    response = getattr(exc, "response", {})
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code in _AWS_REFUSALS or type(exc).__name__ == "ProfileNotFound"


def _without_own_frames(frames: Any) -> Any:
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames
