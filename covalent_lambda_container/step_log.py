"""A record of what was built, pushed, created and run, and how long each step took.

Each step is one INFO record of the logger ``covalent_lambda_container.step_log``. When the
environment variable ``COVALENT_LAMBDA_STEP_LOG`` names a file, it is also appended to that file
as a line of JSON: ``{"time": epoch seconds, "step", "subject", "seconds", …}``.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "COVALENT_LAMBDA_STEP_LOG"

log = logging.getLogger(__name__)


@contextmanager
def step(name: str, subject: str) -> Iterator[dict[str, Any]]:
    """Time a step and record it when it has succeeded.

    Parameters
    ----------
    name
        ``"image.build"``, ``"image.push"``, ``"function.create"``, ``"task.invoke"``.
    subject
        Image, function or task.

    Yields
    ------
    dict
        Further facts to record; filled by the caller.
    """
    facts: dict[str, Any] = {}
    started = time.perf_counter()
    yield facts
    record(name, subject, started, facts)


def record(name: str, subject: str, started: float, facts: Mapping[str, Any]) -> None:
    """Record a step that has succeeded.

    Parameters
    ----------
    name, subject
        See `step`.
    started
        Value of `time.perf_counter` at its start.
    facts
        Further facts.
    """
    seconds = round(time.perf_counter() - started, 4)
    log.info("%s %s: %.3f s %s", name, subject, seconds, facts or "")
    path = os.environ.get(VARIABLE)
    if path:
        own = {"time": time.time(), "step": name, "subject": subject, "seconds": seconds}
        line = json.dumps({**own, **facts}) + "\n"
        try:
            # A single write in append mode, so that lines of several processes do not mix.
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as exc:
            # The step itself succeeded; only its record is lost.
            log.warning("%s=%s cannot be written to: %s", VARIABLE, path, exc)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the steps recorded in a file, oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
