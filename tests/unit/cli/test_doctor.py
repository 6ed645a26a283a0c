"""``covalent-lambda doctor``: findings as lines or JSON, and exit codes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.findings import problems, report_findings
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.doctor.examination import (
    OK,
    PROBLEM,
    UNKNOWN,
    Finding,
)

NOWHERE = "http://localhost:9"


@pytest.mark.parametrize(
    ("finding", "line", "exit_code"),
    [
        (Finding("bucket", OK, "jobs"), "ok       bucket  jobs", 0),
        (Finding("bucket", UNKNOWN, "hidden"), "unknown  bucket  hidden", 0),
        (
            Finding("bucket", PROBLEM, "gone\nfor good", "Make it."),
            "problem  bucket  gone\n                 for good\n                 → Make it.",
            1,
        ),
    ],
)
def test_each_finding_is_a_line_and_a_problem_is_named(
    finding: Finding, line: str, exit_code: int
) -> None:
    @command()
    @reporting
    def show(output: Output) -> None:
        report_findings([finding], output)

    assert CliRunner().invoke(show, []).stdout == f"{line}\n"
    assert json.loads(CliRunner().invoke(show, ["--json"]).stdout) == [vars(finding)]
    assert problems([finding]) == ({finding.name} if exit_code else set())


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_problem_is_an_exit_code(arguments: list[str]) -> None:
    nowhere = ["--timeout", "0.1", "--endpoint-url", NOWHERE]
    ended = CliRunner().invoke(cli, ["doctor", *nowhere, *arguments])
    assert "problem" in ended.stdout
    assert ended.exit_code == 1
