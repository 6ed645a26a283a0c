"""Pages in a real browser: no errors, and no requests to other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covalent_lambda_container.report.dispatch_report import DispatchReport
from covalent_lambda_container.report.page import Page as ReportPage
from covalent_lambda_container.report.tuning import page_of
from tests import chromium
from tests.unit.report.dispatches import dispatch, node, usage
from tests.unit.report.test_tuning import SIZES, runs_of

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="needs chromium")

PICTURES = """
[...document.querySelectorAll('svg')].filter(one => one.getClientRects().length).map(one => [
  one.getBoundingClientRect().right,
  Math.min(...[...one.querySelectorAll('text')].map(text => text.getBoundingClientRect().height)),
])
"""
"""The right edge of each picture that is shown, and the height of its smallest text, in pixels."""

LONG = "a_name_of_an_electron_that_is_longer_than_what_a_narrow_page_has_room_for"


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Page]:
    with chromium.browser() as page:
        yield page


def report_page() -> ReportPage:
    nodes = [
        node(
            number,
            usage(cold=number < 4, duration_ms=1000.0 * number, peak_memory_mb=90.0 + 20 * number),
            start_s=number / 3,
            took_s=number + 2,
            name=LONG if number == 3 else "train",
        )
        for number in range(12)
    ]
    failed = node(12, state="FAILED", header={}, name="<script>alert(1)</script>")
    return DispatchReport(dispatch(*nodes, failed)).page


def tune_page() -> ReportPage:
    return page_of("w.py", [runs_of({size: 1000 * max(1.0, 1769 / size) for size in SIZES})])


@pytest.mark.parametrize("make", [report_page, tune_page])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_a_page_loads_without_an_error_or_a_request(
    browser: chromium.Page, tmp_path: Path, make: object, width: int, dark: bool
) -> None:
    file = tmp_path / "page.html"
    file.write_text(make().html, "utf-8")  # type: ignore[operator]
    browser.size(width, 900, dark=dark)
    browser.open(file.as_uri())
    assert browser.problems == []
    assert browser.requests == [file.as_uri()]
    assert browser.evaluate("document.images.length + document.querySelectorAll('svg').length")
    # Pictures are seen whole, and their text can be read.
    pictures = browser.evaluate(PICTURES)
    assert pictures
    for right, text_height in pictures:
        assert right <= width
        assert text_height >= 9
    # No scrolling sideways, save within a table.
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, colour[4:-1].split(","))) < 3 * 128) is dark
