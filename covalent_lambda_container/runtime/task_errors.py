"""Describes an error that a task raised: type, message, traceback, and advice."""

from __future__ import annotations

import builtins
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from . import library_errors, module_names, system_packages
from .provenance import installed_modules

TEXT_LIMIT = 64 * 1024
"""Characters kept of an error message or a traceback."""

_MOST_CAUSES = 20
"""Most causes of an error, and errors of a group, that are looked at."""

_COMMAND_NOT_FOUND = 127
"""Exit status of a shell (POSIX, "Exit Status for Commands")."""

_AWS_REFUSALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_AWS_ADVICE = (
    "A task's calls of AWS, file transfers included, are made as the function's execution role: "
    "allow them in that role's policy, or choose another by the option lambda_role_name. "
    "Credentials and profiles of your machine are not available there."
)

_SHARED_MEMORY_ADVICE = (
    "Lambda has no shared memory: multiprocessing's pools, queues and locks do not work there; use "
    "threads or subprocesses."
)
_SHARED_MEMORY_MODULES = ("/multiprocessing/synchronize.py", "/multiprocessing/shared_memory.py")

_ADVICE = {
    errno.ENOSPC: "/tmp is full: raise the option ephemeral_storage (MB, up to 10240).",
    errno.EROFS: "Lambda's file system is read-only except for /tmp: write there.",
    errno.ENOSYS: _SHARED_MEMORY_ADVICE,
}


_COMMANDS = "/opt/covalent-lambda/commands"
"""Folder of an image with the DepsBash commands that ran when it was built."""
_FILES_ADVICE = (
    "ct.DepsBash commands run while the image is built. Files that they write under /tmp, in the "
    "home or the working directory are not there at run time: write to a folder such as /opt/data, "
    "or run the commands before each task with the executor's option bash_deps='runtime'."
)
_NO_FOLDER_ADVICE = (
    "There is no folder {} in the function, which sees no files of your machine. Pass data as an "
    "argument, or transfer files through S3 or HTTP (ct.fs_strategies); create the folder if the "
    "task writes there."
)
_NO_FILE_ADVICE = (
    "There is no file {} in the function. A task begins in a folder of its own, and "
    "sees neither files of your machine nor those that other tasks wrote. Pass data as arguments "
    "and results, or transfer files through S3 or HTTP (ct.fs_strategies)."
)
_NO_PROGRAM_ADVICE = (
    "A program is not in the image: install it with a ct.DepsBash command while the image is "
    "built, or choose a base_image that has it."
)


def sendable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


def safe_str(value: Any) -> str:
    """Return ``str(value)``, or a note on the error that it raised."""
    try:
        return str(value)
    except Exception as exc:
        return f"<{type(value).__qualname__}: str() raised {type(exc).__qualname__}>"


def describe(exc: BaseException) -> dict[str, Any]:
    """Return an error in the form of answers, with advice if there is any."""
    kind = type(exc)
    qualified = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        qualified = f"{kind.__module__}.{qualified}"
    try:
        lines = traceback.format_exception(kind, exc, _without_own_frames(exc.__traceback__))
        text = "".join(lines)
    except Exception:
        text = f"{qualified}: {safe_str(exc)}\n"
    return {
        "type": qualified,
        "message": sendable(safe_str(exc)[:TEXT_LIMIT]),
        "traceback": sendable(text[-TEXT_LIMIT:]),
        "advice": sendable(_advice(exc)[:TEXT_LIMIT]),
        "missing_module": sendable(_missing_module(exc)[:TEXT_LIMIT]),
        "out_of_memory": any(map(_lacked_memory, _causes(exc))),
    }


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error, those in it if it is a group, and those that these were raised from.

    They may be each other's causes.

    An error that was being handled when another was raised counts as its cause only if both are of
    the same kind, as when a library explains a failed import. Otherwise, the code had an
    alternative to the missing module or file, and failed independently.
    """
    waiting = [exc]
    for _ in range(_MOST_CAUSES):
        if not waiting:
            return
        exc = waiting.pop(0)
        yield exc
        handled = exc.__context__ if isinstance(exc, ImportError | OSError) else None
        cause = exc.__cause__ or (None if exc.__suppress_context__ else handled)
        waiting += [*_members(exc), *([cause] if cause else ())]


def _members(exc: BaseException) -> Sequence[BaseException]:
    """Return the errors of a group, such as `asyncio.TaskGroup` raises."""
    # Python 3.10 has none, but a package of that name that asynchronous libraries use there.
    groups: Any = getattr(builtins, "BaseExceptionGroup", None) or getattr(
        sys.modules.get("exceptiongroup"), "BaseExceptionGroup", ()
    )
    return exc.exceptions if isinstance(exc, groups) else ()


def _lacked_memory(exc: BaseException) -> bool:
    """Return whether an error is Python's, a library's subclass of it, or the system's own."""
    return isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno == errno.ENOMEM)


def _missing_module(exc: BaseException) -> str:
    for cause in _causes(exc):
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name
    return ""


def _advice(exc: BaseException) -> str:
    """Return which option helps if the error, or one of its causes, is typical of Lambda."""
    for cause in _causes(exc):
        if _lacked_memory(cause):
            return "Raise the option memory_size (MB, up to 10240)."
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package, _, part = cause.name.partition(".")
            # A package whose import failed is no longer among the imported modules.
            if part and (package in sys.modules or package in installed_modules()):
                return (
                    f"The image has {package}, in a version without {cause.name}: name the version "
                    "that has it in ct.DepsPip, the same in all electrons that pass such values on."
                )
            meant = module_names.advice(cause.name, installed_modules())
            if meant and not _is_of_standard_library(package):
                return meant
            return (
                f"{cause.name} is not in the image. Name its package in ct.DepsPip, or in the "
                "option requirements; add a module of your own with the option local_packages, "
                "or import it above the electron and send it with ct.DepsModule."
            )
        if isinstance(cause, (ImportError, OSError)):
            library = system_packages.advice(safe_str(cause))
            if library:
                return library
        if isinstance(cause, OSError) and cause.errno in _ADVICE:
            return _ADVICE[cause.errno]
        if _lacks_shared_memory(cause):
            return _SHARED_MEMORY_ADVICE
        if known := library_errors.advice(safe_str(cause)):
            return known
        if _is_file_of_a_command(cause):
            return _FILES_ADVICE
        if _is_missing_program(cause):
            return _NO_PROGRAM_ADVICE
        if folder := _missing_folder(cause):
            return _NO_FOLDER_ADVICE.format(folder)
        if file := _missing_data(cause):
            return _NO_FILE_ADVICE.format(file)
        if _is_refusal_of_aws(cause):
            return _AWS_ADVICE
    return ""


def _is_of_standard_library(module: str) -> bool:
    return module in sys.stdlib_module_names


def _lacks_shared_memory(exc: BaseException) -> bool:
    """Return whether /dev/shm is missing, which glibc since 2.34 reports as a missing file."""
    return isinstance(exc, OSError) and _raised_in(exc).endswith(_SHARED_MEMORY_MODULES)


def _raised_in(exc: BaseException) -> str:
    """Return the file whose code raised an error, or ``""``."""
    place = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(exc.__traceback__)]
    return place[-1] if place else ""


def _missing_folder(exc: BaseException) -> str:
    """Return the folder of a missing file, if that is missing as well, or ``""``."""
    if not isinstance(exc, FileNotFoundError) or not isinstance(exc.filename, str):
        return ""
    folder = os.path.dirname(exc.filename)
    return "" if os.path.isdir(folder or os.curdir) else folder


def _missing_data(exc: BaseException) -> str:
    """Return a missing file where tasks write files, or ``""``: elsewhere, packages have theirs."""
    if not isinstance(exc, FileNotFoundError) or not isinstance(exc.filename, str):
        return ""
    path = exc.filename
    return path if not os.path.isabs(path) or path.startswith("/tmp/") else ""


def _is_file_of_a_command(exc: BaseException) -> bool:
    """Return whether a missing file may have been written by a DepsBash command at build time."""
    if not isinstance(exc, FileNotFoundError) or not isinstance(exc.filename, str):
        return False
    path = os.path.abspath(exc.filename)
    return path.startswith(("/tmp/", "/root/")) and os.path.isdir(_COMMANDS)


# Identified by name: the libraries that raise them are imported only if the task did so.


def _is_missing_program(exc: BaseException) -> bool:
    kind = type(exc)
    if isinstance(exc, FileNotFoundError) and _raised_in(exc).endswith("/subprocess.py"):
        # The other file that it may name is the working directory.
        return isinstance(exc.filename, str) and os.sep not in exc.filename
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
    own = os.path.dirname(__file__)
    while frames is not None and os.path.dirname(frames.tb_frame.f_code.co_filename) == own:
        frames = frames.tb_next
    return frames
