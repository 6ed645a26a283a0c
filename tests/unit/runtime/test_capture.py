"""Capture: the beginning and the end are kept, the cut is marked."""

from __future__ import annotations

import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.runtime.capture import HEAD_BYTES, TAIL_BYTES, CapturedOutput

LIMIT = HEAD_BYTES + TAIL_BYTES
CUT = re.compile(r"\n\[… (\d+) bytes left out …\]\n")


def captured(*pieces: bytes) -> str:
    output = CapturedOutput()
    for piece in pieces:
        output.add(piece)
    return output.text()


def test_short_output_is_not_changed() -> None:
    assert captured("one zwö\n".encode(), b"three") == "one zwö\nthree"


def test_a_character_may_come_in_pieces() -> None:
    first, second = "ö".encode()[:1], "ö".encode()[1:]
    assert captured(first, second) == "ö"


def test_bytes_that_are_no_text_are_shown() -> None:
    assert captured(b"raw \xff\n") == "raw \\xff\n"


def test_output_up_to_the_limit_is_not_cut() -> None:
    assert captured(b"x" * LIMIT) == "x" * LIMIT


def test_one_byte_more_is_cut_and_the_cut_is_marked() -> None:
    text = captured(b"x" * LIMIT + b"y")
    assert CUT.findall(text) == ["1"]
    assert CUT.sub("", text) == "x" * (LIMIT - 1) + "y"


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("character", ["é", "…", "😀"])
def test_no_character_is_cut(character: str, before: int) -> None:
    written = "x" * before + character * LIMIT
    text = captured(written.encode())
    (left_out,) = CUT.findall(text)
    head, tail = CUT.sub("|", text).split("|")
    assert "\\x" not in text
    assert written.startswith(head)
    assert written.endswith(tail)
    assert len(f"{head}{tail}".encode()) + int(left_out) == len(written.encode())
    assert len(head.encode()) > HEAD_BYTES - 4
    assert len(tail.encode()) > TAIL_BYTES - 4


def test_bytes_that_are_no_text_are_shown_next_to_the_cut() -> None:
    text = captured(b"\xff" * LIMIT + b"y")
    assert text.startswith(r"\xff" * HEAD_BYTES + "\n[… 1 bytes left out …]\n" + r"\xff")


@given(st.lists(st.integers(1, 3 * TAIL_BYTES // 2), max_size=6))
def test_head_and_tail_are_kept_whatever_the_pieces(sizes: list[int]) -> None:
    pieces = [bytes([ord("a") + number]) * size for number, size in enumerate(sizes)]
    written = b"".join(pieces).decode()
    if len(written) <= LIMIT:
        assert captured(*pieces) == written
    else:
        head, tail = written[:HEAD_BYTES], written[-TAIL_BYTES:]
        marker = f"\n[… {len(written) - LIMIT} bytes left out …]\n"
        assert captured(*pieces) == head + marker + tail


def test_200_megabytes_in_small_pieces_stay_small_and_fast() -> None:
    output = CapturedOutput()
    line = b"x" * 199 + b"\n"
    tracemalloc.start()
    try:
        for _ in range(5_000):
            output.add(line)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5_000):
            output.add(line)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 100_000

    started = time.perf_counter()
    for _ in range(990_000):
        output.add(line)
    assert time.perf_counter() - started < 10
    assert len(output.text()) < LIMIT + 100
