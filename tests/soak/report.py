"""The report on a soak."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_MEGABYTE = 1024 * 1024
_MORE_MB = 60
_MORE_HANDLES = 100
"""Connections that S3 and Lambda are kept open to, at most: as many as tasks needed at once."""

LOST = "answer lost"
TWICE = "ran twice"
WRONG = "wrong result"
ERROR = "wrong or empty error"
LEAK = "leak"


class Held(NamedTuple):
    """The memory, files and threads of this process."""

    memory_mb: float
    files: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        """Return what it holds now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            memory_mb=pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE,
            files=len(list(Path("/proc/self/fd").iterdir())),
            threads=threading.active_count(),
        )

    def __str__(self) -> str:
        return f"{self.memory_mb:.0f} MB, {self.files} files, {self.threads} threads"


@dataclass
class Report:
    """The report on a soak.

    Attributes
    ----------
    seed
        Of what was random.
    outcomes
        How many tasks of each kind ended in which way.
    faults
        How many of each kind there were.
    violations
        What must not have happened: its kind, and a line on it.
    held
        What this process held at a quarter of the time and at the end.
    begun, tasks
        Executions that were counted, and tasks.
    excuses
        Errors of tasks for which a fault is to blame, by fault.
    """

    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    begun: int = 0
    tasks: int = 0
    excuses: Counter[str] = field(default_factory=Counter)

    def violated(self, kind: str, line: str) -> None:
        """Note something that must not have happened, and say so at once."""
        print(f"VIOLATION {kind}: {line}", flush=True)
        self.violations.append((kind, line))

    def excuse(self, fault: str, line: str) -> None:
        """Note an error that a fault explains."""
        print(f"excused by {fault}: {line}", flush=True)
        self.excuses[fault] += 1

    def check_held(self) -> None:
        """Compare what this process holds at the end with what it held early on."""
        first, last = self.held[0], self.held[-1]
        if last.memory_mb > first.memory_mb + _MORE_MB:
            self.violated(LEAK, f"memory grew: {first} → {last}")
        if max(last.files - first.files, last.threads - first.threads) > _MORE_HANDLES:
            self.violated(LEAK, f"files or threads stayed: {first} → {last}")

    def text(self) -> str:
        """Return it for people."""
        lines = [f"seed {self.seed}: {self.tasks} tasks, {self.begun} executions"]
        lines += [f"  {kind:10} {how:18} {n}" for (kind, how), n in sorted(self.outcomes.items())]
        lines += [f"  fault: {name:42} {n}" for name, n in sorted(self.faults.items())]
        lines += [f"  excused by: {name:37} {n}" for name, n in sorted(self.excuses.items())]
        lines += [f"  held: {' → '.join(map(str, self.held))}"]
        counts = Counter(kind for kind, _ in self.violations)
        kinds = (LOST, TWICE, WRONG, ERROR, LEAK)
        lines += [", ".join(f"{kind}: {counts[kind]}" for kind in kinds)]
        lines += [f"VIOLATION {kind}: {line}" for kind, line in self.violations]
        return "\n".join(lines)
