"""The figures: their names, their targets, and their yardsticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure.

    Parameters
    ----------
    name
        Its name in results and on the command line.
    target
        The value to reach.
    at_least
        Whether a higher value is better; otherwise a lower one is.
    unit
        ``""`` for a ratio.
    yardstick
        The reference of the value, or how it is measured.
    """

    name: str
    target: float
    unit: str = ""
    at_least: bool = False
    yardstick: str

    def reached(self, value: float) -> bool:
        """Return whether a value reaches the target."""
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A figure's value.

    Parameters
    ----------
    value
        In the figure's unit.
    detail
        The two sides of a ratio, or the spread, for the reader.
    """

    value: float
    detail: str = ""


FIGURES: Final = (
    Figure(
        name="warm",
        target=1.15,
        yardstick="boto3 invoke of the same function with the same event; medians",
    ),
    Figure(
        name="cold",
        target=1.10,
        yardstick="the same, its container removed before every invocation; medians",
    ),
    Figure(
        name="concurrent_20",
        target=1.2,
        yardstick="20 threads, one boto3 invoke each, same event, 20 warm containers; medians",
    ),
    Figure(
        name="covalent_1",
        target=1.05,
        yardstick="lattice of 1 electron with an executor that does nothing, same server; medians",
    ),
    Figure(
        name="covalent_100",
        target=1.05,
        yardstick="lattice of 100 electrons with an executor that does nothing; medians",
    ),
    Figure(
        name="in_flight_1000",
        target=0.9,
        at_least=True,
        yardstick="tasks/s of the best bare client (boto3 threads, aiohttp, pyqwest); 1 s each",
    ),
    Figure(
        name="in_flight_5000",
        target=0.9,
        at_least=True,
        yardstick="the same with 5,000 at once",
    ),
    Figure(
        name="in_flight_mb_each",
        target=0.5,
        unit="MB",
        yardstick="peak resident memory above that before the 5,000, per task; median",
    ),
    Figure(
        name="loop_block_ms",
        target=50,
        unit="ms",
        yardstick="longest delay of a 5 ms sleep in the event loop during the 5,000; median",
    ),
    Figure(
        name="live_output",
        target=1.05,
        yardstick="lattice of 200 electrons of 20 s that print all the time, live_output=False",
    ),
    Figure(
        name="live_output_task",
        target=1.05,
        yardstick="a task of 12 s on one core that computes and prints, without uploads; medians",
    ),
    Figure(
        name="large_result_memory",
        target=2.5,
        yardstick="bytes of the 500 MB result or argument; peak resident memory, the worse",
    ),
    Figure(
        name="large_result_time",
        target=1.3,
        yardstick="boto3 put and get of as many bytes, the faster way of two; medians, the worse",
    ),
    Figure(
        name="handler_import_ms",
        target=60,
        unit="ms",
        yardstick="start of the interpreter and import of awslambdaric, subtracted; medians",
    ),
    Figure(
        name="first_result",
        target=0.65,
        yardstick="pip in a Dockerfile on the base, push, boto3; numpy, pandas, scipy; medians",
    ),
    Figure(
        name="one_more_package",
        target=0.35,
        yardstick="the same Dockerfile, built and pushed, with scikit-learn as well; medians",
    ),
    Figure(
        name="first_result_registry",
        target=0.33,
        yardstick="builder='registry' against the Dockerfile of first_result; medians",
    ),
    Figure(
        name="one_more_package_registry",
        target=0.12,
        yardstick="builder='registry' against the Dockerfile of one_more_package; medians",
    ),
    Figure(
        name="runtime_change_registry_s",
        target=0.5,
        unit="s",
        yardstick="builder='registry': upload of the same packages with another runtime; median",
    ),
    Figure(
        name="registry_build_mb",
        target=150,
        unit="MB",
        yardstick="peak resident memory above that before, of first_result_registry; median",
    ),
    Figure(
        name="first_result_registry_20mbit",
        target=0.9,
        yardstick="first_result_registry, all sent through an uplink of 20 Mbit/s; medians",
    ),
    Figure(
        name="uploaded_registry_20mbit",
        target=1.15,
        yardstick="bytes sent by that Dockerfile's side; medians",
    ),
    Figure(
        name="image_overhead_mb",
        target=1,
        unit="MB",
        yardstick="image of the same Dockerfile, subtracted; uncompressed",
    ),
    Figure(
        name="runtime_change_s",
        target=1,
        unit="s",
        yardstick="build and push of the same packages with another runtime; median",
    ),
    Figure(
        name="known_image_docker_calls",
        target=0,
        yardstick="connections to Docker while a task runs whose image and function exist",
    ),
    Figure(
        name="cold_import",
        target=0.5,
        yardstick="the same image without .pyc files; pandas and scipy.stats; medians",
    ),
    Figure(
        name="layers_reproducible",
        target=1,
        at_least=True,
        yardstick="1: two builds that share nothing produce the same layers",
    ),
)

NAMES: Final = tuple(figure.name for figure in FIGURES)
BY_NAME: Final = {figure.name: figure for figure in FIGURES}


def selected(only: str) -> tuple[str, ...]:
    """Return the figures that a comma-separated list names, all for an empty one.

    Raises
    ------
    ValueError
        When it names something else.
    """
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise ValueError(f"no such figure: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in wanted) if wanted else NAMES
