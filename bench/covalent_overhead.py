"""`covalent_1`, `covalent_100`: what the executor adds to Covalent's own time.

A real Covalent server runs the same lattice of independent electrons with this executor, its
function warm, and with one that returns at once.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage
from covalent_lambda_container.local.covalent_server import covalent_server

_PLUGIN: Final = Path(__file__).parent / "workers" / "noop.py"


def one(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure a lattice of one electron."""
    return {"covalent_1": _measured(stage, 1, rounds)}


def hundred(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure a lattice of a hundred independent electrons."""
    return {"covalent_100": _measured(stage, 100, rounds)}


def _measured(stage: Stage, electrons: int, rounds: int) -> Measurement:
    folder = stage.scratch / f"covalent-{electrons}"
    plugins = folder / "executor_plugins"  # where covalent_server puts COVALENT_EXECUTOR_DIR
    plugins.mkdir(parents=True)
    shutil.copy(_PLUGIN, plugins)
    executors = {"awslambda_container": stage.options}
    with covalent_server(folder, {}, stage.report, executors=executors) as server:
        request = {"electrons": electrons, "rounds": rounds}
        samples = stage.work("dispatches", request, server.environment)
    return sampling.ratio(samples["executor"], samples["noop"], "s")
