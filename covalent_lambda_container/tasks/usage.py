"""A task's usage of Lambda and its cost, as a record and as a line of its stderr."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from covalent_lambda_container.model.specs import FunctionSpec
from covalent_lambda_container.tasks.prices import PRICES_AS_OF, cost_usd, region_of

_REPORT = re.compile(r"^REPORT RequestId: .*?\bBilled Duration: (\d{1,9}) ms\b", re.MULTILINE)


def parse_report(log_tail: str) -> int | None:
    """Return the milliseconds that Lambda bills, or None if the log does not report them.

    Parameters
    ----------
    log_tail
        End of an invocation's log. Lambda's REPORT line is its last; lines that a task prints in
        that form come before it.
    """
    found = _REPORT.findall(log_tail)
    return int(found[-1]) if found else None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The usage of one task.

    Parameters
    ----------
    duration_ms
        Duration measured by the handler.
    billed_ms
        Duration that Lambda bills.
    billed_reported
        Whether Lambda reported `billed_ms`. Otherwise it is the measured duration, rounded up as
        Lambda does, without the start of a new environment, which Lambda also bills.
    cold
        Whether the task started a new execution environment.
    peak_memory_mb
        Peak memory of the environment so far, measured by the handler.
    memory_mb, architecture, ephemeral_storage_mb, timeout_s
        The function's configuration.
    region
        AWS region; empty outside AWS (a local stack), where nothing is billed.
    image
        ``"sha256:…"`` of the function's image; empty if it is not known.
    function, image_tag
        The function's name, and the tag of its image; empty if they are not known.
    raised_from_mb
        The option memory_size, if the task got more after running out of memory; else 0.
    """

    duration_ms: float
    billed_ms: int
    billed_reported: bool
    cold: bool
    peak_memory_mb: float
    memory_mb: int
    architecture: str
    ephemeral_storage_mb: int
    timeout_s: int
    region: str
    image: str = ""
    function: str = ""
    image_tag: str = ""
    raised_from_mb: int = 0

    @classmethod
    def measured(
        cls,
        handler: Mapping[str, Any],
        function: FunctionSpec,
        log_tail: str,
        image_tag: str = "",
    ) -> Usage:
        """Return the usage of a task from its parts.

        Parameters
        ----------
        handler
            The handler's measurements: ``{"cold": bool, "duration_ms": float, "peak_memory_mb":
            float}``.
        function
            The function that ran the task.
        log_tail
            End of the invocation's log; empty if there is none.
        image_tag
            Tag of the function's image.
        """
        billed_ms = parse_report(log_tail)
        duration_ms = float(handler["duration_ms"])
        return cls(
            duration_ms=duration_ms,
            billed_ms=math.ceil(duration_ms) if billed_ms is None else billed_ms,
            billed_reported=billed_ms is not None,
            cold=bool(handler["cold"]),
            peak_memory_mb=float(handler["peak_memory_mb"]),
            memory_mb=function.memory_mb,
            architecture=function.architecture,
            ephemeral_storage_mb=function.ephemeral_storage_mb,
            timeout_s=function.timeout_s,
            region=region_of(function.image.repository_uri),
            image=function.image.digest,
            function=function.name,
            image_tag=image_tag,
        )

    @classmethod
    def from_record(cls, record: Any) -> Usage | None:
        """Return the usage that `record` wrote, or None for anything else.

        Records come from Covalent's database, where others may also write.
        """
        if not isinstance(record, Mapping):
            return None
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = record.get(field.name, field.default)
            if not _is_a(field.type, value):
                return None
            values[field.name] = value
        return cls(**values)

    @property
    def record(self) -> dict[str, Any]:
        """All fields as JSON."""
        return asdict(self)

    @property
    def cost_usd(self) -> float | None:
        """List price in US dollars; None if nothing is billed, or not in US dollars (China)."""
        if not self.region or self.region.startswith("cn-"):
            return None
        return cost_usd(
            self.billed_ms,
            region=self.region,
            memory_mb=self.memory_mb,
            architecture=self.architecture,
            ephemeral_storage_mb=self.ephemeral_storage_mb,
        )

    @property
    def line(self) -> str:
        """The usage as one line for people; `parse_line` reads it."""
        cost = self.cost_usd
        billed = f"billed {'' if self.billed_reported else 'about '}{self.billed_ms} ms, "
        if not self.region:
            billed, price = "", "nothing billed (not on AWS)"
        elif cost is None:
            price = f"cost unknown ({self.region})"
        else:
            price = f"about ${cost:.8f} ({self.region} list prices of {PRICES_AS_OF})"
        raised = f" (raised from {self.raised_from_mb} MB)" if self.raised_from_mb else ""
        return (
            f"Lambda usage: {self.duration_ms:.1f} ms ({'cold' if self.cold else 'warm'} start), "
            f"{billed}peak memory {self.peak_memory_mb:.0f} of {self.memory_mb} MB{raised}, {price}"
        )


_LINE: Final = re.compile(
    r"^Lambda usage: (?P<duration>[\d.]{1,12}) ms \((?P<start>cold|warm) start\), "
    r"(?:billed (?P<about>about )?(?P<billed>\d{1,9}) ms, )?"
    r"peak memory (?P<peak>\d{1,6}) of (?P<memory>\d{1,6}) MB"
    r"(?: \(raised from (?P<raised>\d{1,6}) MB\))?, "
    r"(?:nothing billed \(not on AWS\)|(?:about \$[\d.]{1,20}|cost unknown) "
    r"\((?P<region>[a-z0-9-]{1,30})[^)]{0,40}\))$",
    re.MULTILINE,
)


def parse_line(
    stderr: str, *, architecture: str, ephemeral_storage_mb: int, timeout_s: int
) -> Usage | None:
    """Return the usage that the last usage line of a task's stderr reports, or None without one.

    Parameters
    ----------
    stderr
        A task's stderr.
    architecture, ephemeral_storage_mb, timeout_s
        Options of the task's executor that the line does not contain.
    """
    found = list(_LINE.finditer(stderr))
    if not found:
        return None
    line = found[-1]
    try:
        duration_ms = float(line["duration"])
    except ValueError:
        return None
    return Usage(
        duration_ms=duration_ms,
        billed_ms=int(line["billed"]) if line["billed"] else math.ceil(duration_ms),
        billed_reported=line["billed"] is not None and line["about"] is None,
        cold=line["start"] == "cold",
        peak_memory_mb=float(line["peak"]),
        memory_mb=int(line["memory"]),
        architecture=architecture,
        ephemeral_storage_mb=ephemeral_storage_mb,
        timeout_s=timeout_s,
        region=line["region"] or "",
        raised_from_mb=int(line["raised"] or 0),
    )


def _is_a(name: Any, value: Any) -> bool:
    """Return whether a value has a field's type; numbers are finite and not negative."""
    if name == "bool":
        return isinstance(value, bool)
    if name == "str":
        return isinstance(value, str) and len(value) <= 128
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value < 1e12 and (name == "float" or isinstance(value, int))
