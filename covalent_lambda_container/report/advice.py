"""Advice on options, from the usage of electrons."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from covalent_lambda_container.options.limits import LONGEST_TIMEOUT_S, MEMORY_MB
from covalent_lambda_container.report.electrons import Electron
from covalent_lambda_container.tasks.usage import Usage

_MARGIN: Final = 1.25
_MARGIN_MB: Final = 64
"""Memory to reserve beyond the measured peak: relative to it, and at least."""
_STEP_MB: Final = 64
_LEAST_MB: Final = 256
"""Least memory that is suggested: a function has a seventh of a processor with it, and with less,
Python starts so slowly that nothing is saved."""
_TIGHT: Final = 0.9
"""Share of memory or timeout above which it should be raised."""
_TIMEOUT_MARGIN: Final = 3
FULL_PROCESSOR_MB: Final = 1769
"""Memory at which a function has one full processor ("Configure Lambda function memory", Lambda
developer guide, read 2026-11)."""
_WORTH_A_WORD: Final = 0.2
_WORTH_GB_S: Final = 1.0
"""Least savings of memory that are mentioned: relative to the memory paid for, and in GB-seconds of
the dispatch."""
_WORTH_S: Final = 1.0
"""Shortest task for advice on memory: below it, less processor time costs more than is saved."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A suggested change of an option.

    Parameters
    ----------
    electron
        Name of the electrons concerned.
    option, value
        The option of the executor, and its suggested value.
    reason
        The measurements, and the benefit of the change.
    """

    electron: str
    option: str
    value: int
    reason: str


def advice_for(electrons: Sequence[Electron]) -> list[Advice]:
    """Return advice; electrons with the same name and configuration are grouped."""
    groups: dict[tuple[str, int, int], list[Electron]] = defaultdict(list)
    for one in electrons:
        # Failed tasks may not have reached their peak.
        if one.used and one.state == "COMPLETED":
            groups[one.name, one.used.memory_mb, one.timeout_s].append(one)
    return [
        advice
        for (name, _, _), members in groups.items()
        for advice in (*_memory(name, members), *_timeout(name, members), *_prewarm(name, members))
    ]


def _used(members: Sequence[Electron]) -> list[Usage]:
    return [one.used for one in members if one.used]


def _memory(name: str, members: Sequence[Electron]) -> Iterator[Advice]:
    used = _used(members)
    now, peak = used[0].memory_mb, max(usage.peak_memory_mb for usage in used)
    wanted = max(peak * _MARGIN, peak + _MARGIN_MB, _LEAST_MB)
    value = math.ceil(wanted / _STEP_MB) * _STEP_MB
    measured = f"at most {peak:.0f} of {now} MB were used"
    if peak > now * _TIGHT and value > now:
        top = MEMORY_MB[1]
        if now < top:
            reason = f"{measured}: another run may need more"
            yield Advice(electron=name, option="memory_size", value=min(value, top), reason=reason)
    elif value < now * (1 - _WORTH_A_WORD) and _worth_it(used, now - value):
        saved = [
            usage.cost_usd - (replace(usage, memory_mb=value).cost_usd or 0.0)
            for usage in used
            if usage.cost_usd is not None
        ]
        worth = f"; saves ${sum(saved):.6f} of this dispatch if it takes no longer" if saved else ""
        slower = "; it also gets less processor time" if value < FULL_PROCESSOR_MB else ""
        reason = f"{measured}{worth}{slower}: try it with covalent-lambda tune"
        yield Advice(electron=name, option="memory_size", value=value, reason=reason)


def _worth_it(used: Sequence[Usage], saved_mb: int) -> bool:
    run_s = sum(usage.billed_ms for usage in used) / 1000
    return run_s >= _WORTH_S * len(used) and run_s * saved_mb / 1024 >= _WORTH_GB_S


def _timeout(name: str, members: Sequence[Electron]) -> Iterator[Advice]:
    longest_s = max(usage.duration_ms for usage in _used(members)) / 1000
    now = members[0].timeout_s
    value = min(LONGEST_TIMEOUT_S, max(10, math.ceil(longest_s * _TIMEOUT_MARGIN / 10) * 10))
    if longest_s > now * _TIGHT and value > now:
        reason = f"the longest task took {longest_s:.1f} of {now} s"
        yield Advice(electron=name, option="timeout", value=value, reason=reason)
    elif now > 300 and value < now / 4:
        reason = (
            f"the longest task took {longest_s:.1f} of {now} s; a task that hangs is billed until "
            "the timeout"
        )
        yield Advice(electron=name, option="timeout", value=value, reason=reason)


def _prewarm(name: str, members: Sequence[Electron]) -> Iterator[Advice]:
    cold = [one for one in members if one.used and one.used.cold]
    warm = [one for one in members if one.used and not one.used.cold]
    if len(cold) < 2 or not warm:
        return
    lost_s = _mean_wait(cold) - _mean_wait(warm)
    if lost_s > 0.5:
        reason = (
            f"{len(cold)} of {len(members)} tasks started cold and waited {lost_s:.1f} s longer "
            "than warm ones"
        )
        yield Advice(electron=name, option="prewarm", value=len(cold), reason=reason)


def _mean_wait(electrons: Sequence[Electron]) -> float:
    return sum(one.wait_s or 0.0 for one in electrons) / len(electrons)
