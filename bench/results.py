"""Output of figures: a table for readers, a JSON file for comparison."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from bench.figures import BY_NAME, NAMES, Measurement

LATEST: Final = Path(__file__).parent / "results" / "latest.json"


def table(measured: Mapping[str, Measurement]) -> Table:
    """Return a table of what was measured."""
    made = Table(title="Benchmarks", caption=machine(), show_lines=True)
    for heading in ("figure", "value", "target", "yardstick", "measured"):
        made.add_column(heading, justify="right" if heading in ("value", "target") else "left")
    for name in (name for name in NAMES if name in measured):
        figure, measurement = BY_NAME[name], measured[name]
        colour = "green" if figure.reached(measurement.value) else "red"
        sign = "≥" if figure.at_least else "≤"
        made.add_row(
            name,
            f"[{colour}]{measurement.value:.3f}[/{colour}] {figure.unit}".rstrip(),
            f"{sign} {figure.target:g} {figure.unit}".rstrip(),
            figure.yardstick,
            measurement.detail,
        )
    return made


def merged(before: Mapping[str, Any], measured: Mapping[str, Measurement]) -> dict[str, Any]:
    """Return the record to write: figures that were not measured now keep their values."""
    figures = {**before.get("figures", {})}
    figures.update({name: round(measured[name].value, 4) for name in measured})
    return {
        "commit": commit(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "figures": {name: figures[name] for name in NAMES if name in figures},
    }


def write(measured: Mapping[str, Measurement], path: Path = LATEST) -> None:
    """Add figures to the file of results."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(merged(read(path), measured), indent=2) + "\n", "utf-8")


def read(path: Path = LATEST) -> dict[str, Any]:
    """Return the file's record, an empty one if there is no file."""
    record: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return record


def commit() -> str:
    """Return the checkout's commit, marked when there are changes on top of it."""
    folder = Path(__file__).parent.parent
    try:
        head = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def machine() -> str:
    """Return processor, cores, memory and Python: what the figures depend on, and no names."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
