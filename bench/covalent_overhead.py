"""`covalent_1`, `covalent_100`: the executor's overhead over Covalent's own time.

A real Covalent server runs the same lattice of independent electrons with this executor, its
function warm, and with one that returns at once. A third one, which makes the invocation and does
nothing else, shows how much of the difference is Lambda's.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage
from covalent_lambda_container.local.covalent_server import covalent_server

_WORKERS: Final = Path(__file__).parent / "workers"
_PLUGINS: Final = ("noop.py", "bare_invocation.py")


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
    for plugin in _PLUGINS:
        shutil.copy(_WORKERS / plugin, plugins)
    known = stage.work("event", {"options": stage.stub_options, "stub_port": stage.stub.port})
    executors = {"awslambda_container": stage.options}
    with covalent_server(folder, {}, stage.report, executors=executors) as server:
        request = {
            "electrons": electrons,
            "rounds": rounds,
            "options": stage.options,
            "owner_profile": stage.stack.owner_profile,
            "event": known["event"],
            "invocation_file": str(plugins / "bare_invocation.json"),
        }
        samples = stage.work("dispatches", request, server.environment)
    measured = sampling.ratio(samples["executor"], samples["noop"], "s")
    bare = sampling.ratio(samples["bare invocation"], samples["noop"], "s").value
    least = f"with bare invocations: {sampling.described(samples['bare invocation'], 's')}"
    return dataclasses.replace(measured, detail=f"{measured.detail}; {least} ({bare:.2f})")
