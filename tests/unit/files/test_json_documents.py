"""Untrusted JSON: what is accepted, what is refused, and how long others wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from covalent_lambda_container.files.json_documents import (
    UNQUOTED_BYTES,
    TooManyValues,
    parsed,
)

SIX_MEGABYTES = 6 * 1024 * 1024
LONGEST_WAIT_S = 0.05

TEXTS = [
    "",
    "A" * 200_000,
    '"' * 100_000,
    "\\" * 100_001,
    '\\"' * 70_000,
    "[],{}:1," * 30_000,
    "\ud800" * 30_000,
    "ü\n\x00" * 40_000,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_long_texts_are_read_as_the_standard_library_reads_them(text: str, ascii_only: bool):
    value = {"v": 1, text[:70_000]: [text, 1.5, None, {"last": text}], "stdout": text}
    if "\ud800" in text and not ascii_only:
        pytest.skip("UTF-8 cannot carry it")
    document = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parsed(document) == value


@pytest.mark.parametrize(
    "document",
    [
        b'{"v":1,"a":[' + b"[]," * 2_000_000 + b"[]]}",
        b'{"v":1,"a":[' + b'{"":1},' * 800_000 + b"[]]}",
        json.dumps({str(number): 1 for number in range(400_000)}).encode(),
        b'["' + b"\\\\" * 50_000 + b'",' + b"1," * 40_000 + b"1]",
        b'"a"' + b" " * (UNQUOTED_BYTES + 1),
        b'["' + b'\\"' * 1_000_000 + b'",' + b"[]," * 1_000_000 + b"1]",
    ],
)
def test_documents_of_many_values_are_refused_before_they_are_parsed(document: bytes):
    with pytest.raises(TooManyValues):
        parsed(document)


@pytest.mark.parametrize("depth", [3_000, 60_000, 200_000])
@pytest.mark.parametrize("kind", ["[", '{"a":'])
def test_values_that_are_nested_too_deep_are_refused(depth: int, kind: str):
    # How deep a parser goes depends on Python: beyond that, it sees that the end is missing.
    with pytest.raises(ValueError):
        parsed((kind * depth).encode())


@pytest.mark.parametrize("document", [b"", b"{", b'"' + b"a" * 100_000, b"\xff" * 70_000 + b'"'])
def test_invalid_json_is_a_value_error(document: bytes):
    with pytest.raises(ValueError, match=r"."):
        parsed(document)


@pytest.mark.parametrize(
    "document",
    [
        b'{"v":1,"a":[' + b"[]," * 2_000_000 + b"[]]}",
        b'{"v":1,"a":[' + b'{"":1},' * 800_000 + b"[]]}",
        json.dumps({"pickle": "QUJD" * (SIX_MEGABYTES // 4)}).encode(),
        json.dumps({"stdout": '"' * (SIX_MEGABYTES // 2)}).encode(),
    ],
)
def test_others_do_not_wait_while_the_largest_documents_are_read(document: bytes):
    def read() -> None:
        try:
            parsed(document)
        except TooManyValues:
            return

    # The machine may be busy: what others wait for a thread of plain Python is the control.
    excess = [waited(read) - waited(count) for _ in range(5)]
    assert min(excess) < LONGEST_WAIT_S


def count() -> None:
    """Keep the interpreter busy, without keeping its lock."""
    ends = time.monotonic() + 0.3
    while time.monotonic() < ends:
        pass


def waited(work: Callable[[], Any]) -> float:
    """Return the longest time that another thread waited for its turn during the work."""
    thread = threading.Thread(target=work)
    thread.start()
    worst = 0.0
    while thread.is_alive():
        started = time.perf_counter()
        time.sleep(0.001)
        worst = max(worst, time.perf_counter() - started)
    return worst
