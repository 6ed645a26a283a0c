"""``python -m bench [--only FIGURE,…] [--quick]``: measure, print a table, write the results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import click
from rich.console import Console
from rich.markup import escape

from bench import (
    covalent_overhead,
    images,
    imports,
    in_flight,
    large,
    latency,
    live_output,
    results,
)
from bench.figures import Measurement, selected
from bench.stage import Stage, WorkerFailed, stage


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run on the stage that gives one or more figures.

    Parameters
    ----------
    figures
        The figures it gives.
    measure
        Function of the stage and the number of rounds.
    rounds, quick_rounds
        How often each side takes its turn: in a full run, and with ``--quick``.
    """

    figures: tuple[str, ...]
    measure: Callable[[Stage, int], dict[str, Measurement]]
    rounds: int
    quick_rounds: int


_WIDTH: Final = 160

RUNS: Final = (
    Run(figures=("warm",), measure=latency.warm, rounds=100, quick_rounds=10),
    Run(figures=("cold",), measure=latency.cold, rounds=20, quick_rounds=3),
    Run(figures=("concurrent_20",), measure=latency.concurrent, rounds=20, quick_rounds=3),
    Run(figures=("covalent_1",), measure=covalent_overhead.one, rounds=40, quick_rounds=3),
    Run(figures=("covalent_100",), measure=covalent_overhead.hundred, rounds=5, quick_rounds=1),
    Run(figures=("in_flight_1000",), measure=in_flight.thousand, rounds=5, quick_rounds=1),
    Run(
        figures=("in_flight_5000", "in_flight_mb_each", "loop_block_ms"),
        measure=in_flight.five_thousand,
        rounds=5,
        quick_rounds=1,
    ),
    Run(figures=("live_output",), measure=live_output.dispatcher, rounds=5, quick_rounds=1),
    Run(figures=("live_output_task",), measure=live_output.function, rounds=7, quick_rounds=1),
    Run(
        figures=("large_result_memory", "large_result_time"),
        measure=large.result_and_argument,
        rounds=5,
        quick_rounds=1,
    ),
    Run(figures=("handler_import_ms",), measure=imports.handler, rounds=40, quick_rounds=5),
    Run(
        figures=(
            "first_result",
            "one_more_package",
            "first_result_registry",
            "one_more_package_registry",
            "runtime_change_registry_s",
            "registry_build_mb",
            "image_overhead_mb",
            "runtime_change_s",
        ),
        measure=images.sizes_and_times,
        rounds=3,
        quick_rounds=1,
    ),
    Run(
        figures=("first_result_registry_20mbit", "uploaded_registry_20mbit"),
        measure=images.slow_uplink,
        rounds=3,
        quick_rounds=1,
    ),
    Run(
        figures=("known_image_docker_calls", "cold_import", "layers_reproducible"),
        measure=images.use,
        rounds=10,
        quick_rounds=2,
    ),
)


@click.command()
@click.option("--only", default="", help="Figures to measure, separated by commas; default: all.")
@click.option("--quick", is_flag=True, help="Run a few rounds, and write no results.")
def main(only: str, quick: bool) -> None:
    """Measure what the executor costs. Results go to bench/results/latest.json."""
    console = _console(stderr=True)
    try:
        wanted = selected(only)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--only") from None
    measured: dict[str, Measurement] = {}
    failed = False
    with stage(console.log) as shared:
        for run in (run for run in RUNS if set(run.figures) & set(wanted)):
            console.log(f"Measuring {', '.join(run.figures)}")
            try:
                found = run.measure(shared, run.quick_rounds if quick else run.rounds)
            except WorkerFailed as exc:
                # The other figures are still useful.
                console.print(f"[red]Not measured:[/red] {escape(str(exc))}")
                failed = True
                continue
            measured.update({name: found[name] for name in wanted if name in found})
            if not quick:
                results.write(measured)
    _console().print(results.table(measured))
    sys.exit(1 if failed else 0)


def _console(*, stderr: bool = False) -> Console:
    made = Console(stderr=stderr)
    # Files and pipes have no width, and a narrow table is hard to read.
    return made if made.is_terminal else Console(stderr=stderr, width=_WIDTH)


if __name__ == "__main__":
    main()
