"""Figures, totals, advice and the page of a dispatch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from covalent_lambda_container.report.dispatch_report import DispatchReport, dollars, seconds
from covalent_lambda_container.tasks.prices import USD_PER_IMAGE_GB_MONTH
from tests.unit.report.dispatches import IMAGE, dispatch, node, usage


def test_totals_are_the_sums_of_the_usage_lines() -> None:
    used = [usage(billed_ms=billed) for billed in (1, 999, 31_415)]
    report = DispatchReport(dispatch(*(node(number, each) for number, each in enumerate(used))))
    printed = [float(found) for each in used for found in re.findall(r"\$([\d.]+)", each.line)]
    assert len(printed) == 3
    assert report.totals.lambda_usd == pytest.approx(sum(printed), abs=3e-8)
    assert [one["cost_usd"] for one in report.document["electrons"]] == pytest.approx(
        printed, abs=1e-8
    )


def test_a_failed_task_is_read_from_its_stderr() -> None:
    used = usage(billed_ms=4321, cold=True)
    failed = node(1, state="FAILED", header={}, stderr=f"Traceback…\n{used.line}\n")
    report = DispatchReport(dispatch(failed))
    assert report.totals.failed == 1
    assert report.totals.cold_starts == 1
    assert report.totals.lambda_usd == used.cost_usd


def test_waiting_time_is_elapsed_time_minus_running_time() -> None:
    report = DispatchReport(dispatch(node(0, usage(duration_ms=2000.0), took_s=12.5)))
    assert report.electrons[0].wait_s == pytest.approx(10.5)
    assert report.totals.elapsed_s == 12.5


def test_nothing_is_claimed_where_nothing_was_billed() -> None:
    report = DispatchReport(dispatch(node(0, usage(region=""))))
    assert report.totals.lambda_usd == 0
    everything = json.dumps(report.document) + " ".join(report.summary) + str(report.rows)
    assert "$" not in everything
    assert "Nothing was billed" in " ".join(report.summary)
    assert "cents" not in report.page.html


def test_images_have_ecrs_monthly_price() -> None:
    report = DispatchReport(dispatch(node(0), node(1)), {IMAGE: 500_000_000, "sha256:2": 1})
    assert report.totals.images_usd_per_month == pytest.approx(0.5 * USD_PER_IMAGE_GB_MONTH)
    assert DispatchReport(dispatch(node(0)), {}).totals.images_usd_per_month is None


def test_a_value_that_was_handed_on_is_paid_for_once() -> None:
    first = node(0)
    handed_on = node(1, name=":postprocess:reconstruct", header=first.header)
    redispatched = node(2, header=first.header)
    report = DispatchReport(dispatch(first, handed_on, redispatched))
    assert report.totals.lambda_usd == usage().cost_usd
    assert [row[-1] for row in report.rows][1:] == ["–"]


def test_nodes_that_are_not_finished_have_a_row() -> None:
    waiting = node(3, state="RUNNING", ended=None, header={})
    report = DispatchReport(dispatch(node(0), waiting))
    assert report.rows[1][2:] == ["running", "–", "–", "–", "–", "–"]
    assert report.page.html


def test_lists_of_outputs_need_no_function_and_have_no_row() -> None:
    made_here = node(1, name=":electron_list:", header={})
    assert len(DispatchReport(dispatch(node(0), made_here)).rows) == 1


@pytest.mark.parametrize(
    ("peak", "memory", "option"),
    [
        (20.0, 1024, 256),
        (100.0, 1024, 256),
        (150.0, 1024, 256),
        (200.0, 1024, 320),
        (400.0, 1024, 512),
        (800.0, 1024, None),
        (1000.0, 1024, 1280),
        (100.0, 128, None),
        (120.0, 128, 256),
        (10_000.0, 10_240, None),
    ],
)
def test_memory_is_the_peak_and_a_margin(peak: float, memory: int, option: int | None) -> None:
    used = usage(peak_memory_mb=peak, memory_mb=memory)
    advice = {one.option: one.value for one in DispatchReport(dispatch(node(0, used))).advice}
    assert advice.get("memory_size") == option


@pytest.mark.parametrize(
    ("duration_ms", "count", "advised"),
    [(5.0, 1000, False), (1200.0, 1, False), (60_000.0, 3, True)],
)
def test_less_memory_is_advised_where_it_saves_something(
    duration_ms: float, count: int, advised: bool
) -> None:
    used = usage(
        duration_ms=duration_ms, billed_ms=round(duration_ms), peak_memory_mb=60.0, timeout_s=300
    )
    nodes = [node(number, used, took_s=duration_ms / 1000) for number in range(count)]
    assert bool(DispatchReport(dispatch(*nodes)).advice) is advised


def test_the_highest_peak_of_electrons_of_one_name_counts() -> None:
    nodes = [node(n, usage(peak_memory_mb=peak)) for n, peak in enumerate((10.0, 500.0, 20.0))]
    (advice,) = DispatchReport(dispatch(*nodes)).advice
    assert advice.value == 640
    assert "500 of 1024 MB" in advice.reason


def test_savings_of_memory_are_the_difference_in_price() -> None:
    used = usage(peak_memory_mb=400.0)
    (advice,) = DispatchReport(dispatch(node(0, used))).advice
    saved = (used.cost_usd or 0) - (replace(used, memory_mb=512).cost_usd or 0)
    assert f"${saved:.6f}" in advice.reason


def test_a_task_close_to_its_timeout_gets_a_longer_one() -> None:
    used = usage(duration_ms=59_000.0, peak_memory_mb=900.0)
    (advice,) = DispatchReport(dispatch(node(0, used, took_s=60))).advice
    assert (advice.option, advice.value) == ("timeout", 180)


def test_cold_starts_that_cost_time_are_answered_with_prewarm() -> None:
    cold = [node(n, usage(cold=True, peak_memory_mb=900.0), took_s=6) for n in range(3)]
    warm = [node(n, usage(peak_memory_mb=900.0), took_s=2.1) for n in range(3, 6)]
    (advice,) = DispatchReport(dispatch(*cold, *warm)).advice
    assert (advice.option, advice.value) == ("prewarm", 3)


class Loaded(HTMLParser):
    """Collects scripts and addresses that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "img", "object"):
            self.found.append(tag)
        for name, value in attrs:
            local = (value or "").startswith(("#", "data:"))
            if name in ("src", "href", "xlink:href") and not local:
                self.found.append(f"{name}={value}")


def test_the_page_loads_nothing_and_names_are_text() -> None:
    hostile = "<script>alert(1)</script>$x_1$ \x1b[31m\u202e"
    nodes = [node(0, usage(), name=hostile), node(1, state="FAILED", name="fails")]
    html = DispatchReport(dispatch(*nodes, name=hostile)).page.html
    page = Loaded()
    page.feed(html)
    assert page.found == []
    assert "\x1b" not in html
    assert "\u202e" not in html.partition("<table>")[2]
    # Three pictures, for wide and for narrow pages.
    assert html.count("<svg") == 3 * 2
    assert "@import" not in html
    assert "url(http" not in html


def test_the_same_dispatch_gives_the_same_page() -> None:
    record = dispatch(*(node(number, start_s=number) for number in range(3)))
    assert DispatchReport(record).page.html == DispatchReport(record).page.html


@pytest.mark.parametrize("count", [0, 1, 500])
def test_any_number_of_electrons_has_a_page(count: int) -> None:
    report = DispatchReport(dispatch(*(node(number, start_s=number) for number in range(count))))
    assert len(report.rows) == count
    assert report.page.html.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12 s"), (42.0, "42.0 s"), (200.0, "3 min 20 s")]
)
def test_seconds_are_written_for_people(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.00001049, "$0.00001049"), (0.0123, "$0.012300"), (12.345, "$12.35")]
)
def test_dollars_have_the_digits_they_need(value: float, text: str) -> None:
    assert dollars(value) == text
