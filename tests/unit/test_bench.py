"""The arithmetic of the benchmarks: what is reported is what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import results, sampling, stub
from bench.figures import BY_NAME, FIGURES, NAMES, Measurement, selected

positive = st.floats(min_value=1e-3, max_value=1e6)
samples = st.lists(positive, min_size=1, max_size=40)


@given(samples, samples)
def test_a_ratio_is_that_of_the_medians(ours: list[float], yardstick: list[float]):
    expected = statistics.median(ours) / statistics.median(yardstick)
    assert sampling.ratio(ours, yardstick, "ms").value == expected


def test_one_bad_sample_changes_no_ratio():
    usual = sampling.ratio([11, 11, 11, 11, 11], [10, 10, 10, 10, 10], "ms")
    disturbed = sampling.ratio([11, 11, 11, 11, 900], [10, 10, 10, 10, 700], "ms")
    assert disturbed.value == usual.value == 1.1


def test_both_sides_of_a_ratio_are_shown():
    measured = sampling.ratio([12.0, 12.5, 13.0], [10.0, 10.0, 10.0], "ms")
    assert measured.detail == "12.5 ms [12.0…13.0] ÷ 10.0 ms"


@given(samples)
def test_the_spread_holds_the_median(values: list[float]):
    low, high = sampling.spread(values)
    middle = statistics.median(values)
    assert low <= middle or low == pytest.approx(middle)
    assert high >= middle or high == pytest.approx(middle)


def test_few_samples_show_their_range_and_many_their_quartiles():
    assert sampling.spread([3, 1, 2]) == (1, 3)
    assert sampling.spread(list(range(1, 102))) == (26, 76)


@given(st.integers(1, 20))
def test_every_side_takes_its_turn_once_a_round(rounds: int):
    order = list(sampling.turns(("a", "b", "c"), rounds))
    for start in range(0, len(order), 3):
        assert sorted(order[start : start + 3]) == ["a", "b", "c"]
    assert len(order) == 3 * rounds


def test_no_side_is_always_first():
    assert list(sampling.turns(("a", "b"), 3)) == ["a", "b", "b", "a", "a", "b"]


def test_the_better_client_is_the_one_with_the_higher_median():
    assert sampling.better({"threads": [5, 100, 6], "aiohttp": [7, 7, 7]}) == "aiohttp"


def test_a_target_is_reached_from_its_own_side():
    assert BY_NAME["warm"].reached(1.15)
    assert not BY_NAME["warm"].reached(1.16)
    assert BY_NAME["in_flight_1000"].reached(0.9)
    assert not BY_NAME["in_flight_1000"].reached(0.89)


def test_figures_are_selected_in_their_own_order():
    assert selected("") == NAMES
    assert selected("cold, warm") == ("warm", "cold")
    with pytest.raises(ValueError, match=r"no such figure: tepid; there are warm, cold"):
        selected("warm,tepid")


def test_names_are_unique():
    assert len(BY_NAME) == len(FIGURES)


def test_figures_that_were_not_measured_keep_their_values(tmp_path: Path):
    path = tmp_path / "results" / "latest.json"
    results.write({"cold": Measurement(value=1.01), "warm": Measurement(value=1.2)}, path)
    results.write({"warm": Measurement(value=1.123456)}, path)
    record = results.read(path)
    assert record["figures"] == {"warm": 1.1235, "cold": 1.01}
    assert list(record) == ["commit", "machine", "date", "figures"]


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_the_stub_reads_the_length_of_a_body(name: str):
    assert stub.content_length(f"POST / HTTP/1.1\r\nHost: a\r\n{name}: 17".encode()) == 17
    assert stub.content_length(b"GET / HTTP/1.1\r\nHost: a") == 0


def test_the_stub_refuses_unknown_requests():
    assert stub.aws_answer("POST", "/", b"", b"").startswith(b"HTTP/1.1 501 ")
