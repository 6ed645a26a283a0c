"""Memory sizes with which a workflow did not complete, and dispatches that find them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.report.electrons import Electron, printable

Run = tuple[int, Sequence[Electron]]
"""The memory size of a dispatch, and its electrons."""

_REASONS: Final = {
    "Raise the option memory_size": "out of memory",
    "Raise the option timeout": "timed out",
}
"""Advice in errors, and the error in few words."""
_TASK: Final = re.compile(r"^The task | \(task \S+ on function \S+(?: \(image \S+\))?\)")
_REASON_CHARACTERS: Final = 60


@dataclass(frozen=True, kw_only=True)
class FailedSize:
    """An electron that failed with a memory size.

    Parameters
    ----------
    electron
        Its name; for an error outside of all electrons, the workflow's.
    memory_mb
        The size.
    reason
        The error in few words: ``"out of memory"``.
    dispatch_id
        The dispatch in which it failed.
    """

    electron: str
    memory_mb: int
    reason: str
    dispatch_id: str

    @property
    def document(self) -> dict[str, Any]:
        """The failure as JSON, without the electron's name."""
        return {key: value for key, value in vars(self).items() if key != "electron"}


@dataclass(frozen=True, kw_only=True)
class EndedDispatch:
    """A dispatch that has ended.

    Parameters
    ----------
    dispatch_id, workflow
        Covalent's id of it, and the lattice's name.
    electrons
        Its electrons on the executor.
    error
        Why it did not complete; empty if it did.
    failed
        Name and error of each node that failed.
    """

    dispatch_id: str
    workflow: str
    electrons: Sequence[Electron]
    error: str = ""
    failed: Sequence[tuple[str, str]] = ()


class Measurement:
    """Dispatches of a workflow with several memory sizes.

    Attributes
    ----------
    ran
        The runs so far.
    failed
        What has failed so far.
    """

    def __init__(self) -> None:
        self.ran: list[Run] = []
        self.failed: list[FailedSize] = []

    def run(
        self,
        sizes: Sequence[int],
        runs: int,
        dispatch: Callable[[int], EndedDispatch],
        note: Callable[[str], None],
    ) -> None:
        """Dispatch the workflow with all sizes.

        Once a dispatch with a size has failed, this size is not tried again.

        Parameters
        ----------
        sizes
            Memory sizes in MB.
        runs
            Dispatches for each size, after one for cold starts.
        dispatch
            Dispatches the workflow with a size, and waits for its end.
        note
            Called with one line before each dispatch, and after one that failed.
        """
        for size in sizes:
            for number in range(runs + 1):
                kind = f"run {number} of {runs}" if number else "cold start"
                note(f"memory_size={size}: {kind}")
                ended = dispatch(size)
                self.ran.append((size, ended.electrons))
                if ended.error:
                    self.failed += _failures(ended, size)
                    note(f"memory_size={size} failed. See: covalent-lambda why {ended.dispatch_id}")
                    break


def refuse_if_all_failed(measured: Sequence[object], failed: Sequence[FailedSize]) -> None:
    """Raise if sizes failed and nothing was measured with any other.

    Raises
    ------
    ConfigurationError
        It names the reason for each size.
    """
    if measured or not failed:
        return
    reasons = "; ".join(f"{one.memory_mb} MB: {one.electron}: {one.reason}" for one in failed)
    raise ConfigurationError(
        f"No size has a run that completed. {reasons}.",
        hint=f"See: covalent-lambda why {failed[-1].dispatch_id}",
    )


def in_few_words(error: str) -> str:
    """Return the reason that an error names."""
    for advice, reason in _REASONS.items():
        if advice in error:
            return reason
    line = next((line for line in error.splitlines() if line.strip()), "no error was recorded")
    words = printable(_TASK.sub("", line)).strip().rstrip(".")
    return words if len(words) <= _REASON_CHARACTERS else f"{words[: _REASON_CHARACTERS - 1]}…"


def _failures(ended: EndedDispatch, memory_mb: int) -> Iterator[FailedSize]:
    nodes: Iterable[tuple[str, str]] = dict(ended.failed).items()
    for name, error in nodes or [(ended.workflow, ended.error)]:
        yield FailedSize(
            electron=printable(name),
            memory_mb=memory_mb,
            reason=in_few_words(error),
            dispatch_id=ended.dispatch_id,
        )
