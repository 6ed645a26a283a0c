"""The Lambda handler: takes one task, runs it as Covalent would, answers with an envelope.

Nothing of the user's is imported before the call, so that an import error is the task's error and
comes back with its traceback.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle

from . import wire
from .capture import CapturedStream
from .provenance import dump

_TEXT_LIMIT = 64 * 1024
"""Characters kept of an error message or a traceback."""

_FILES_KEYWORD = "files"
"""Covalent's reserved keyword for file transfers: always a list, even of one."""

# Lambda's file system is read-only but for /tmp, and its HOME does not exist.
_WRITABLE_DIRECTORIES = {
    "HOME": "/tmp/home",
    "XDG_CACHE_HOME": "/tmp/home/.cache",
    "MPLCONFIGDIR": "/tmp/home/.config/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/home/.cache/numba",
    "COVALENT_CONFIG_DIR": "/tmp/home/.config/covalent",
}

_invocations = 0
_streams: tuple[CapturedStream, CapturedStream] | None = None


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """Run one task.

    Parameters
    ----------
    event
        See `wire` for its form: ``v``, ``task`` or ``task_url``, ``result_url``, ``inline_limit``
        (bytes), ``durable_after_s``.
    context
        Lambda's context; not used.

    Returns
    -------
    dict
        The answer, or ``{"v", "result_at": "s3"}`` when the answer went to S3.
    """
    started = time.perf_counter()
    _check_version(event)
    task = _receive(event)
    answer, pickled = _execute(task)
    elapsed_s = time.perf_counter() - started
    answer["usage"] = _usage(elapsed_s)
    return _send(event, answer, pickled, elapsed_s)


def _check_version(event: dict[str, Any]) -> None:
    if event.get("v") != wire.VERSION:
        raise ValueError(
            f"This image reads envelope version {wire.VERSION} and was sent {event.get('v')!r}. "
            "Dispatcher and image come from different releases of covalent-lambda-container."
        )


def _receive(event: dict[str, Any]) -> dict[str, Any]:
    if "task" in event:
        return wire.map_leaves(event["task"], base64.b64decode)
    from .transfer import download

    return wire.unpack_task(download(event["task_url"]))


def _send(
    event: dict[str, Any], answer: dict[str, Any], pickled: bytes | None, elapsed_s: float
) -> dict[str, Any]:
    if pickled is not None and elapsed_s < event["durable_after_s"]:
        # Base64 makes four bytes of three; the answer's own text is measured as it will be sent.
        size = len(json.dumps(answer)) + 4 * len(pickled) // 3
        if size <= event["inline_limit"]:
            answer["result"]["pickle"] = base64.b64encode(pickled).decode()
            return answer
    elif pickled is None and elapsed_s < event["durable_after_s"]:
        return answer
    from .transfer import upload

    upload(event["result_url"], wire.pack(answer, [] if pickled is None else [pickled]))
    return {"v": wire.VERSION, "result_at": "s3"}


def _execute(task: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    stdout, stderr = _captured_streams()
    answer: dict[str, Any] = {"v": wire.VERSION, "result": None, "error": None}
    pickled = None
    with _task_surroundings():
        try:
            pickled, answer["result"] = _pickle_result(_call(task))
            answer["status"] = wire.COMPLETED
        # A task may raise anything, SystemExit included; whatever it is belongs to the task.
        except BaseException as exc:
            answer["status"] = wire.FAILED
            answer["error"] = _describe(exc)
    answer["stdout"], answer["stderr"] = stdout.take(), stderr.take()
    return answer, pickled


def _call(task: dict[str, Any]) -> Any:
    """Run hooks and function in Covalent's order, hooks' return values passed on as it does."""
    load = cloudpickle.loads
    for command in task.get("commands", ()):
        _run_command(command)
    returned: dict[str, list[Any]] = {}
    for function, args, kwargs, keyword in task["before"]:
        value = load(function)(*load(args), **load(kwargs))
        if keyword:
            returned.setdefault(keyword, []).append(value)
    function = load(task["function"])
    args = [load(leaf) for leaf in task["args"]]
    kwargs = {name: load(leaf) for name, leaf in task["kwargs"].items()}
    for keyword, values in returned.items():
        single = len(values) == 1 and keyword != _FILES_KEYWORD
        kwargs[keyword] = values[0] if single else values
    output = function(*args, **kwargs)
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


def _pickle_result(output: Any) -> tuple[bytes, dict[str, Any]]:
    """Return the pickle and what Covalent keeps beside it in a TransportableObject."""
    try:
        pickled, requires = dump(output)
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
    return pickled, {"header": header, "string": _safe_str(output)}


def _text_attribute(value: Any, name: str) -> str | None:
    attribute = getattr(value, name, "")
    return attribute if isinstance(attribute, str) or attribute is None else ""


def _safe_str(value: Any) -> str:
    try:
        return str(value)
    except Exception as exc:
        return f"<{type(value).__qualname__}: str() raised {type(exc).__qualname__}>"


def _describe(exc: BaseException) -> dict[str, str]:
    kind = type(exc)
    qualified = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        qualified = f"{kind.__module__}.{qualified}"
    try:
        lines = traceback.format_exception(kind, exc, _without_handler_frames(exc.__traceback__))
        text = "".join(lines)
    except Exception:
        text = f"{qualified}: {_safe_str(exc)}\n"
    return {
        "type": qualified,
        "message": _safe_str(exc)[:_TEXT_LIMIT],
        "traceback": text[-_TEXT_LIMIT:],
    }


def _without_handler_frames(frames: Any) -> Any:
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def _captured_streams() -> tuple[CapturedStream, CapturedStream]:
    """Install the capture once: libraries keep references to ``sys.stderr`` between tasks."""
    global _streams
    if _streams is None:
        _streams = CapturedStream(sys.stdout), CapturedStream(sys.stderr)
    sys.stdout, sys.stderr = _streams
    return _streams


@contextmanager
def _task_surroundings() -> Iterator[None]:
    """Give the task a clean directory, environment and logging; put back what it changed."""
    for name, path in _WRITABLE_DIRECTORIES.items():
        if not os.environ.get(name, "").startswith("/tmp/"):
            os.environ[name] = path
        os.makedirs(os.environ[name], exist_ok=True)
    os.environ["COVALENT_PLUGIN_LOAD"] = "false"
    environment = dict(os.environ)
    home = os.getcwd()
    search_path = list(sys.path)
    # The runtime client's log handler writes around sys.stderr: the task would lose its logging.
    handlers, level = logging.root.handlers, logging.root.level
    logging.root.handlers = []
    work_directory = tempfile.mkdtemp(prefix="task-", dir="/tmp")
    os.chdir(work_directory)
    try:
        yield
    finally:
        os.chdir(home)
        shutil.rmtree(work_directory, ignore_errors=True)
        logging.root.handlers, logging.root.level = handlers, level
        sys.path[:] = search_path
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


def _usage(elapsed_s: float) -> dict[str, Any]:
    global _invocations
    _invocations += 1
    return {
        "cold": _invocations == 1,
        "duration_ms": round(elapsed_s * 1000, 3),
        # Linux counts in kB (getrusage(2)).
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
