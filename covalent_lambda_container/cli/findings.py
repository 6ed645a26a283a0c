"""The display of the findings of ``covalent-lambda doctor``."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.parameters import with_own_flags

if TYPE_CHECKING:
    from covalent_lambda_container.doctor.examination import Finding

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "ok": {"fg": "green"},
    "unknown": {"fg": "yellow"},
    "problem": {"fg": "red", "bold": True},
}
_NARROWEST: Final = 30


def documents(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON documents."""
    return [dataclasses.asdict(finding) for finding in findings]


def problems(findings: Iterable[Finding]) -> set[str]:
    """Return the names of the checks that found a problem."""
    from covalent_lambda_container.doctor.examination import PROBLEM

    return {finding.name for finding in findings if finding.status == PROBLEM}


def report_findings(findings: Sequence[Finding], output: Output) -> None:
    """Print findings as the result of a command."""
    output.result(documents(findings), *finding_lines(findings, output))


def finding_lines(findings: Sequence[Finding], output: Output) -> Iterator[str]:
    """Yield the lines that show findings: status, name, message and remedy of each."""
    from covalent_lambda_container.doctor.examination import PROBLEM

    by_cause: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status == PROBLEM and finding.cause:
            by_cause.setdefault(finding.cause, []).append(finding.name)
    width = max(len(finding.name) for finding in findings)
    indent = " " * (len("problem  ") + width + 2)
    for finding in findings:
        same = by_cause.get(finding.cause, [finding.name])
        if finding.name != same[0]:
            # One cause is one problem, however many checks it prevents.
            continue
        first, *others = _broken(with_own_flags(finding.message), indent, output)
        status = output.coloured(f"{finding.status:7}", **_STYLES[finding.status])
        yield f"{status}  {finding.name:{width}}  {first}"
        yield from (indent + line for line in others)
        for remedy in with_own_flags(finding.remedy).splitlines():
            begin, *rest = _broken(remedy, f"{indent}  ", output)
            yield f"{indent}→ {begin}"
            yield from (f"{indent}  {line}" for line in rest)
        if same[1:]:
            text = f"For the same reason, not checked: {', '.join(same[1:])}."
            yield from (indent + line for line in _broken(text, indent, output))


def _broken(text: str, indent: str, output: Output) -> list[str]:
    """Return the lines of a text, as long as a terminal has room for."""
    lines = text.splitlines()
    if output.width is None:
        return lines
    space = max(_NARROWEST, output.width - len(indent))
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, space, break_on_hyphens=False, break_long_words=False)
    ]
