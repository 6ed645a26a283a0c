"""The cheapest memory size, the fastest one, and the knee."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.report.electrons import Electron, electrons_of
from covalent_lambda_container.report.highest_cost import highest_cost_usd, upper_bound
from covalent_lambda_container.report.tuning import (
    Tuned,
    document_of,
    page_of,
    remarks,
    rows_of,
    tuned,
)
from covalent_lambda_container.tasks.prices import cost_usd
from tests.unit.report.dispatches import node, usage

SIZES = (512, 1024, 1769, 3538, 7076)


def electron(memory_mb: int, duration_ms: float, *, cold: bool = False, region: str) -> Electron:
    used = usage(
        memory_mb=memory_mb,
        duration_ms=duration_ms,
        billed_ms=round(duration_ms),
        cold=cold,
        region=region,
    )
    return electrons_of([node(0, used)])[0]


def runs_of(duration_ms: dict[int, float], region: str = "us-east-1") -> Tuned:
    """Return an electron that took so long: a cold run, and three warm ones with one outlier."""
    runs = [
        (size, [electron(size, took * factor, cold=cold, region=region)])
        for size, took in duration_ms.items()
        for factor, cold in ((50, True), (1, False), (1.01, False), (9, False))
    ]
    (found,) = tuned(runs)
    return found


@pytest.mark.parametrize("region", ["us-east-1", ""])
def test_the_knee_is_where_more_memory_brings_no_more_speed(region: str) -> None:
    found = runs_of({size: 1000 * max(1.0, 1769 / size) for size in SIZES}, region)
    assert found.knee.memory_mb == 1769
    assert found.fastest.memory_mb == 1769


def test_a_task_that_only_waits_is_best_small() -> None:
    found = runs_of(dict.fromkeys(SIZES, 1000.0))
    assert {found.knee.memory_mb, found.cheapest.memory_mb, found.fastest.memory_mb} == {512}


def test_a_task_that_uses_all_processors_is_best_large() -> None:
    found = runs_of({size: 1_000_000 / size for size in SIZES})
    assert found.knee.memory_mb == found.fastest.memory_mb == 7076


def test_cold_runs_and_outliers_do_not_count() -> None:
    found = runs_of({512: 1000.0, 1024: 500.0})
    assert [size.runs for size in found.sizes] == [3, 3]
    assert [size.duration_s for size in found.sizes] == pytest.approx([1.01, 0.505])


def test_a_size_without_a_warm_run_is_excluded() -> None:
    cold = [(512, [electron(512, 1.0, cold=True, region="")])]
    assert tuned(cold) == []
    warm = [(1024, [electron(1024, 1.0, region="")])]
    assert [size.memory_mb for size in tuned(cold + warm)[0].sizes] == [1024]


def test_electrons_with_another_size_and_covalents_own_nodes_take_no_part() -> None:
    other = electron(2048, 1.0, region="")
    own = replace(electron(512, 1.0, region=""), name=":sublattice:x")
    assert tuned([(512, [other, own])]) == []


def test_no_cost_is_shown_where_nothing_was_billed() -> None:
    found = [runs_of({512: 1000.0, 1024: 500.0}, region="")]
    assert "$" not in json.dumps(document_of(found)) + str(rows_of(found))
    assert "cents" not in page_of("w.py", found).html
    assert "cents" in page_of("w.py", [runs_of({512: 1000.0, 1024: 500.0})]).html


def test_the_table_marks_the_sizes() -> None:
    rows = rows_of([runs_of({size: 1000 * max(1.0, 1769 / size) for size in SIZES})])
    assert rows[2][-1] == "cheapest, fastest, knee"


def test_the_highest_cost_is_known_beforehand() -> None:
    options = [Options(timeout=100), Options(timeout=10, architecture="arm64")]
    expected = 4 * sum(
        cost_usd(
            one.timeout * 1000,
            region="us-east-1",
            memory_mb=size,
            architecture=one.architecture,
            ephemeral_storage_mb=512,
        )
        for one in options
        for size in (512, 1024)
    )
    assert highest_cost_usd(
        [(one, 0) for one in options], (512, 1024), 4, "us-east-1"
    ) == pytest.approx(expected)


def test_the_bound_counts_retries_and_runs_with_more_memory() -> None:
    def bound(*, retries: int = 0, most_mb: int = 0) -> float:
        one = Options(timeout=10, max_memory_size=most_mb)
        return highest_cost_usd([(one, retries)], (512,), 1, "us-east-1")

    assert bound(retries=2) == pytest.approx(3 * bound(), rel=1e-3)
    assert bound(most_mb=2048) > 6.9 * bound()
    assert bound(most_mb=2048, retries=1) > 10.9 * bound()
    assert bound(most_mb=512) == bound()


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.003, "less than $0.01"), (0.01, "at most $0.01"), (0.011, "at most $0.02")],
)
def test_the_bound_is_not_rounded_down(usd: float, text: str) -> None:
    assert upper_bound(usd) == text


def test_all_sizes_are_compared_by_the_same() -> None:
    found = tuned(
        [
            (512, [electron(512, 4000.0, region="")]),
            (1024, [electron(1024, 1000.0, region="us-east-1")]),
            (2048, [electron(2048, 5000.0, region="us-east-1")]),
        ]
    )[0]
    assert (found.cheapest.memory_mb, found.knee.memory_mb) == (1024, 1024)


def test_differences_within_the_noise_make_no_size_the_fastest() -> None:
    def runs(first: float, second: float) -> list[tuple[int, list[Electron]]]:
        return [
            (size, [electron(size, took + shift, region="us-east-1")])
            for size, took in ((512, first), (1024, second))
            for shift in (-200, 0, 200)
        ]

    for first, second in ((1000, 900), (205, 203)):
        found = tuned(runs(first, second))
        assert [row[-1] for row in rows_of(found)] == ["cheapest", ""]
        assert document_of(found)["electrons"][0]["within_noise"] is True
        assert "no size is faster" in page_of("w.py", found).html
        (said,) = remarks(runs(first, second), found)
        assert "do not differ more in time" in said
    assert list(remarks(runs(4000, 2000), tuned(runs(4000, 2000)))) == []


def test_it_says_which_electrons_had_more_memory_and_that_a_local_stack_limits_none() -> None:
    grown = electrons_of([node(0, usage(memory_mb=1024, raised_from_mb=512, region=""))])
    local, raised = remarks([(512, grown)], tuned([(512, grown)]))
    assert "did not run on AWS" in local
    assert raised.startswith("train ran out of 512 MB and got 1024 MB")
