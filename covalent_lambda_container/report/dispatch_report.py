"""The report on a dispatch: its figures as a JSON document, as table rows, and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from covalent_lambda_container.covalent_api.dispatch_nodes import DispatchRecord
from covalent_lambda_container.report import pictures
from covalent_lambda_container.report.advice import Advice, advice_for
from covalent_lambda_container.report.electrons import Electron, electrons_of, printable
from covalent_lambda_container.report.page import Page
from covalent_lambda_container.report.totals import Totals, totals_of
from covalent_lambda_container.tasks.prices import PRICES_AS_OF

COLUMNS: Final = (
    *("electron", "node", "state", "wait", "start", "duration", "peak memory", "cost"),
)
_UNKNOWN: Final = "–"
_STATES: Final = {"NEW_OBJECT": "not started"}
"""States whose names mean something to Covalent only."""


@dataclass(frozen=True)
class DispatchReport:
    """The report on one dispatch.

    Parameters
    ----------
    record
        The dispatch as Covalent stores it.
    image_bytes
        Compressed size of images by digest; None if the registry was not queried.
    """

    record: DispatchRecord
    image_bytes: Mapping[str, int] | None = None

    @cached_property
    def electrons(self) -> list[Electron]:
        """The electrons, in the order in which they started."""
        return electrons_of(self.record.nodes)

    @cached_property
    def totals(self) -> Totals:
        """The total time and cost."""
        return totals_of(self.electrons, self.image_bytes)

    @cached_property
    def advice(self) -> list[Advice]:
        """Suggested changes."""
        return advice_for(self.electrons)

    @property
    def document(self) -> dict[str, Any]:
        """All figures as JSON. Costs are in US dollars; null: not billed, or not known."""
        return {
            "dispatch_id": self.record.dispatch_id,
            "lattice": self.record.name,
            "state": self.record.state,
            "prices_as_of": PRICES_AS_OF,
            "electrons": [_document(one) for one in self.electrons],
            "totals": asdict(self.totals),
            "advice": [asdict(one) for one in self.advice],
        }

    @property
    def rows(self) -> list[list[str]]:
        """One row of cells for each electron, in the order of `COLUMNS`."""
        return [_row(one) for one in self.electrons]

    @property
    def summary(self) -> list[str]:
        """The totals in sentences."""
        totals = self.totals
        lines = [
            f"{totals.electrons} electrons in {seconds(totals.elapsed_s)}: "
            f"{seconds(totals.run_s)} running, {seconds(totals.wait_s)} waiting, "
            f"{totals.cold_starts} cold starts, {totals.failed} failed."
        ]
        return lines + self.cost_lines

    @property
    def cost_lines(self) -> list[str]:
        """The cost in sentences; no cost if nothing was billed."""
        totals = self.totals
        if not totals.billed:
            return ["Nothing was billed: no electron ran on AWS."]
        lines = [
            f"Lambda: {dollars(totals.lambda_usd)}, of which {dollars(totals.requests_usd)} for "
            f"requests. S3 requests: at most {dollars(totals.s3_usd)}. List prices of "
            f"{PRICES_AS_OF}, before the free tier."
        ]
        if totals.images_usd_per_month is not None:
            lines.append(
                f"Images in ECR: {dollars(totals.images_usd_per_month)} a month, less where they "
                "share layers."
            )
        if not totals.all_billed:
            lines.append("Electrons without a list price, or outside AWS, count as $0.")
        return lines

    @property
    def page(self) -> Page:
        """The report as a page with pictures."""
        totals = self.totals
        cost = dollars(totals.lambda_usd) if totals.billed else "not billed"
        hidden = len(self.electrons) - pictures.MOST_ROWS
        notes = [*self.cost_lines]
        if hidden > 0:
            notes.append(f"The pictures leave out {hidden} electrons; the table has all.")
        return Page(
            title=printable(self.record.name),
            subtitle=f"Dispatch {self.record.dispatch_id}: {self.record.state}",
            cards=[
                (str(totals.electrons), "electrons"),
                (seconds(totals.elapsed_s), "from start to end"),
                (seconds(totals.wait_s), "lost in waiting"),
                (str(totals.cold_starts), "cold starts"),
                (str(totals.failed), "failed"),
                (cost, "Lambda, list price"),
            ],
            notes=notes,
            pictures=[
                ("Timeline", pictures.timeline(self.electrons)),
                ("Memory used and paid for", pictures.memory(self.electrons)),
                ("Cost by electron", pictures.cost(self.electrons)),
            ],
            advice=self.advice,
            table_heading="Electrons",
            columns=COLUMNS,
            rows=self.rows,
        )


def _document(one: Electron) -> dict[str, Any]:
    return {
        "dispatch_id": one.dispatch_id,
        "node_id": one.node_id,
        "name": one.name,
        "state": one.state,
        "started": one.started.isoformat() if one.started else None,
        "ended": one.ended.isoformat() if one.ended else None,
        "wait_s": one.wait_s,
        "usage": one.used.record if one.used else None,
        "cost_usd": one.used.cost_usd if one.used else None,
    }


def _row(one: Electron) -> list[str]:
    used, state = one.used, _STATES.get(one.state, one.state.lower())
    if used is None:
        return [one.name, str(one.node_id), state, *[_UNKNOWN] * 5]
    cost = _UNKNOWN if used.cost_usd is None else dollars(used.cost_usd)
    return [
        one.name,
        str(one.node_id),
        state,
        _UNKNOWN if one.wait_s is None else seconds(one.wait_s),
        "cold" if used.cold else "warm",
        seconds(used.duration_ms / 1000),
        f"{used.peak_memory_mb:.0f} of {used.memory_mb} MB",
        cost,
    ]


def seconds(value: float) -> str:
    """Format a duration: ``0.31 s``, ``42.0 s``, ``3 min 20 s``."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60:02} s"


def dollars(value: float) -> str:
    """Format an amount in US dollars, with more digits for small amounts."""
    return (
        f"${value:.2f}" if value >= 10 else f"${value:.8f}" if value < 0.0001 else f"${value:.6f}"
    )
