"""Capture: everything is passed on, head and tail are kept, the cut is marked."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
import tracemalloc
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.runtime.capture import (
    HEAD_CHARACTERS,
    TAIL_CHARACTERS,
    CapturedStream,
)

LIMIT = HEAD_CHARACTERS + TAIL_CHARACTERS
CUT = re.compile(r"\n\[… (\d+) characters left out …\]\n")


class Nowhere(io.TextIOBase):
    """Takes text and counts it."""

    def __init__(self) -> None:
        self.characters = 0

    def write(self, text: str) -> int:
        self.characters += len(text)
        return len(text)


@pytest.fixture
def target() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stream(target: TextIO) -> CapturedStream:
    return CapturedStream(target)


def test_short_output_is_kept_as_it_is(stream: CapturedStream, target: io.StringIO) -> None:
    print("one", "zwö", file=stream)
    print("three", end="", file=stream)
    assert stream.take() == target.getvalue() == "one zwö\nthree"


def test_output_up_to_the_limit_is_not_cut(stream: CapturedStream) -> None:
    stream.write("x" * LIMIT)
    assert stream.take() == "x" * LIMIT


def test_one_character_more_is_cut_and_the_cut_is_marked(stream: CapturedStream) -> None:
    stream.write("x" * LIMIT + "y")
    text = stream.take()
    assert CUT.findall(text) == ["1"]
    assert CUT.sub("", text) == "x" * (LIMIT - 1) + "y"


@given(st.lists(st.integers(1, 3 * TAIL_CHARACTERS // 2), max_size=6))
def test_head_and_tail_are_kept_whatever_the_pieces(sizes: list[int]) -> None:
    target = io.StringIO()
    stream = CapturedStream(target)
    for number, size in enumerate(sizes):
        stream.write(chr(ord("a") + number) * size)
    written = target.getvalue()
    if len(written) <= LIMIT:
        assert stream.take() == written
    else:
        head, tail = written[:HEAD_CHARACTERS], written[-TAIL_CHARACTERS:]
        marker = f"\n[… {len(written) - LIMIT} characters left out …]\n"
        assert stream.take() == head + marker + tail


def test_200_megabytes_in_small_pieces_stay_small_and_fast() -> None:
    target = Nowhere()
    stream = CapturedStream(target)  # type: ignore[arg-type]
    line = "x" * 199 + "\n"
    tracemalloc.start()
    try:
        for _ in range(5_000):
            stream.write(line)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5_000):
            stream.write(line)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 100_000

    started = time.perf_counter()
    for _ in range(990_000):
        stream.write(line)
    assert time.perf_counter() - started < 10
    assert target.characters == 200_000_000
    assert len(stream.take()) < LIMIT + 100


def test_a_stream_starts_afresh_for_the_next_task(stream: CapturedStream) -> None:
    stream.write("x" * 2 * LIMIT)
    stream.take()
    assert stream.take() == ""
    stream.write("next")
    assert stream.take() == "next"


def test_a_stream_looks_like_the_one_underneath() -> None:
    underneath = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    stream = CapturedStream(underneath)
    stream.write("ä")
    stream.flush()
    stream.buffer.write(b"raw")
    assert isinstance(underneath.buffer, io.BytesIO)
    assert underneath.buffer.getvalue() == b"\xe4raw"
    assert (stream.encoding, stream.writable(), stream.isatty()) == ("latin-1", True, False)
    assert stream.take() == "ä"


def test_the_file_descriptor_is_the_one_underneath() -> None:
    assert CapturedStream(sys.__stdout__).fileno() == sys.__stdout__.fileno()  # type: ignore


def test_threads_may_print_at_once() -> None:
    stream = CapturedStream(Nowhere())  # type: ignore[arg-type]
    stream.write("x" * HEAD_CHARACTERS)
    failures: list[Exception] = []

    def write() -> None:
        try:
            for _ in range(1_000):
                stream.write("y" * 300_000)
        except Exception as exc:
            failures.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    assert len(CUT.sub("", stream.take())) == LIMIT
