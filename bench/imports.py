"""`handler_import_ms`: the handler's share of an interpreter's start in its image.

Taken in a container with Lambda's restrictions: a read-only file system but for /tmp.
"""

from __future__ import annotations

import contextlib
import json
import statistics
from pathlib import Path
from typing import Any, Final

import docker

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage, WorkerFailed

_PROGRAM: Final = Path(__file__).parent / "workers" / "imports.py"
#: Each costs more than the handler itself, and none is its business.
_UNWANTED: Final = frozenset({"boto3", "botocore", "covalent", "numpy", "requests"})


def handler(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure the import of the handler, and make sure of what it does not import.

    Raises
    ------
    WorkerFailed
        When it imports boto3, Covalent or their like.
    """
    stage.work("provision", {"options": stage.options})
    found = _in_image(stage, rounds)
    imported = _UNWANTED & set(found["modules"])
    if imported:
        raise WorkerFailed(f"the handler imports {', '.join(sorted(imported))}")
    with_handler, without = found["samples"]["handler"], found["samples"]["client"]
    return {
        "handler_import_ms": Measurement(
            value=statistics.median(with_handler) - statistics.median(without),
            detail=f"{sampling.described(with_handler, 'ms')} − "
            f"{sampling.described(without, 'ms')}",
        )
    }


def _in_image(stage: Stage, rounds: int) -> dict[str, Any]:
    registry = stage.stack.endpoint_url.removeprefix("http://")
    with contextlib.closing(docker.from_env()) as engine:
        image = engine.images.list(name=f"{registry}/{stage.stack.repository}")[0]
        module = image.attrs["Config"]["Cmd"][0].rpartition(".")[0]
        printed = engine.containers.run(
            str(image.id),
            ["-c", _PROGRAM.read_text("utf-8"), str(rounds), module],
            entrypoint="python3",
            # As the entrypoint of the image sets it.
            environment={"PYTHONPATH": "/var/runtime"},
            network_mode="none",
            read_only=True,
            remove=True,
            tmpfs={"/tmp": ""},
        )
    found: dict[str, Any] = json.loads(printed)
    return found
