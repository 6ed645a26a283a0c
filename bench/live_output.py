"""`live_output`, `live_output_task`: the cost of showing output while tasks run.

On the dispatcher's side, a real Covalent server runs a lattice whose electrons last for seconds.
The stub stands for Lambda, and for S3, where every task has printed something new at each look. On
the function's side, the real handler runs a task that computes and prints, on one core, with the
stub as S3.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage
from covalent_lambda_container.local.covalent_server import covalent_server

ELECTRONS: Final = 200
TASK_S: Final = 20.0


def dispatcher(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure 200 electrons at once."""
    stub, options = stage.stub, stage.stub_options
    known = stage.work("event", {"options": options, "stub_port": stub.port})
    stub.behave(TASK_S, known["answer"])
    folder = stage.scratch / "covalent-live-output"
    executors = {"awslambda_container": options}
    with covalent_server(folder, {}, stage.report, executors=executors) as server:
        request = {"electrons": ELECTRONS, "rounds": rounds}
        samples = stage.work("live_dispatches", request, server.environment)
    measured = sampling.ratio(samples["shown"], samples["not shown"], "s")
    seen = f"{stub.statistics()['output_reads']} looks at outputs"
    return {"live_output": dataclasses.replace(measured, detail=f"{measured.detail}; {seen}")}


def function(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure a task that computes and prints, in its execution environment."""
    url = f"{stage.stub.endpoint_url}/stub-bucket/live"
    samples = stage.work("live_task", {"live_url": url, "rounds": rounds})
    measured = sampling.ratio(samples["shown"], samples["not shown"], "s")
    seen = f"{stage.stub.statistics()['output_writes']} uploads"
    return {"live_output_task": dataclasses.replace(measured, detail=f"{measured.detail}; {seen}")}
