"""A function's answer, validated once.

A task can replace the handler's answer by anything. Types, sizes and encodings are checked here;
the result is plain data that Covalent can store.
"""

from __future__ import annotations

import binascii
from typing import Annotated, Any, Final, Literal

import pybase64
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from covalent_lambda_container.errors import UnusableAnswer, VersionMismatch
from covalent_lambda_container.runtime import wire

_STREAM_CHARACTERS: Final = 2 * 1024 * 1024
"""Longest output of a task: the handler keeps 128 KB of each stream, and escapes some bytes."""

_ERROR_CHARACTERS: Final = 256 * 1024
"""Longest text of an error; the handler keeps 64 KB."""

_NAME_CHARACTERS: Final = 1024
"""Longest name of a type, a module or a version."""

_REQUIREMENTS: Final = 1024
_REQUIREMENT_CHARACTERS: Final = 512
"""Most packages that a value can require, and the longest line of one."""

_LONGEST_RUN_MS: Final = 1e9
_LARGEST_PEAK_MB: Final = 1e6

_PIECE_CHARACTERS: Final = 4 * 1024 * 1024
_STATUSES: Final = ("completed", "failed", "cancelled", "crashed", "not stored")


def _encodable(text: str) -> str:
    """Refuse lone surrogates, which UTF-8 cannot encode; Pydantic leaves them in long texts."""
    if not text.isascii():
        try:
            # In pieces: encoding holds the interpreter's lock.
            for start in range(0, len(text), _PIECE_CHARACTERS):
                text[start : start + _PIECE_CHARACTERS].encode()
        except UnicodeEncodeError:
            raise ValueError("it cannot be encoded as UTF-8") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[Text, Field(max_length=_NAME_CHARACTERS)]
ErrorText = Annotated[Text, Field(max_length=_ERROR_CHARACTERS)]
StreamText = Annotated[Text, Field(max_length=_STREAM_CHARACTERS)]
Requirement = Annotated[Text, Field(max_length=_REQUIREMENT_CHARACTERS)]


class _Part(BaseModel):
    # Unknown keys are dropped, so that they reach neither Covalent's store nor the step log.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class _Attributes(_Part):
    doc: Text | None = ""
    name: Text | None = ""


class _Header(_Part):
    py_version: Name = ""
    cloudpickle_version: Name = ""
    attrs: _Attributes = _Attributes()
    requires: Annotated[list[Requirement], Field(max_length=_REQUIREMENTS)] = []


class _Result(_Part):
    header: _Header
    string: Text
    pickle: str


class _Error(_Part):
    type: Name
    message: ErrorText
    traceback: ErrorText
    advice: ErrorText = ""
    missing_module: Name = ""
    # Without it, the task is not run again: its side effects would be repeated.
    out_of_memory: bool = False
    loading: bool = False


class _Usage(_Part):
    cold: bool
    duration_ms: Annotated[float, Field(ge=0, le=_LONGEST_RUN_MS, allow_inf_nan=False)]
    peak_memory_mb: Annotated[float, Field(ge=0, le=_LARGEST_PEAK_MB, allow_inf_nan=False)]


class _Ended(_Part):
    stdout: StreamText
    stderr: StreamText
    usage: Annotated[_Usage | None, BeforeValidator(lambda value: value or None)] = None


class _Completed(_Ended):
    status: Literal["completed"]
    result: _Result


class _Failed(_Ended):
    status: Literal["failed"]
    error: _Error


class _Cancelled(_Part):
    status: Literal["cancelled"]


class _Crashed(_Ended):
    status: Literal["crashed", "not stored"]
    error: _Error


class _Answer(_Part):
    answer: Annotated[_Completed | _Failed | _Cancelled | _Crashed, Field(discriminator="status")]


def validated(answer: Any, function_name: str) -> dict[str, Any]:
    """Return an answer with all fields that its status requires, each of the right type.

    Parameters
    ----------
    answer
        The answer that a function returned, or stored in S3: anything that JSON can express.
    function_name
        The function's name, for the error.

    Returns
    -------
    dict
        ``v``, ``status``, ``result``, ``error``, ``stdout``, ``stderr``, ``usage``. ``error`` is
        None unless the task failed, ``result`` unless it completed; ``usage`` may be empty. Every
        text can be encoded as UTF-8, and ``result["pickle"]`` is base64 text.

    Raises
    ------
    VersionMismatch
        The image was built by another release.
    UnusableAnswer
        The answer does not have the form of the handler's answers.
    """
    if not isinstance(answer, dict):
        raise _unusable(function_name, f"it is a {type(answer).__name__}, not an object")
    version = answer.get("v")
    if type(version) is not int or version != wire.VERSION:
        raise VersionMismatch(
            f"Function {function_name} answered with envelope version {str(version)[:40]}; this "
            f"dispatcher reads version {wire.VERSION}."
        )
    try:
        ended = _Answer(answer=answer).answer  # type: ignore[arg-type]
        fields = ended.model_dump()
        if isinstance(ended, _Completed):
            _check_base64(ended.result.pickle)
    except ValidationError as exc:
        raise _unusable(function_name, _explained(exc)) from None
    except (ValueError, binascii.Error):
        raise _unusable(function_name, "result.pickle is not base64 text") from None
    fields["usage"] = fields.get("usage") or {}
    empty = {"v": version, "result": None, "error": None, "stdout": "", "stderr": ""}
    return empty | fields


def in_s3(answer: Any) -> bool:
    """Return whether a function says that its answer is in S3."""
    return isinstance(answer, dict) and answer.get("result_at") == "s3"


def _check_base64(text: str) -> None:
    if len(text) % 4 or not text.isascii():
        raise ValueError
    # In pieces: the decoded pickle of a large result is not needed.
    for start in range(0, len(text), _PIECE_CHARACTERS):
        pybase64.b64decode(text[start : start + _PIECE_CHARACTERS], validate=True)


def _explained(problem: ValidationError) -> str:
    """Describe the first faults, without the values seen."""
    faults = []
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in error["loc"][1:] if part not in _STATUSES)
        faults.append(f"{where or 'status'}: {error['msg']}"[:200])
    return "; ".join(faults[:3])


def _unusable(function_name: str, reason: str) -> UnusableAnswer:
    return UnusableAnswer(
        f"Function {function_name} returned an unusable answer: {reason}.",
        hint="A task, or a package in its image, may have replaced or patched the handler.",
    )
