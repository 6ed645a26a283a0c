"""Options of the executor as flags."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options
from covalent_lambda_container.options.declarations import OPTIONS

FLAGS = [name for name, declared in OPTIONS.items() if declared.flag]


@executor_options(*ACCOUNT, "ecr_repository")
@reporting
def show(given: dict[str, Any], output: Output) -> None:
    output.result(given)


def test_options_of_the_executor_are_given_by_their_names() -> None:
    command = click.command("it")(show)
    arguments = ["--region", "eu-north-1", "--repository", "r", "--json"]
    shown = json.loads(CliRunner().invoke(command, arguments).stdout)
    assert shown == dict.fromkeys(ACCOUNT) | {"region": "eu-north-1", "ecr_repository": "r"}


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_and_its_help_are_those_of_the_option(name: str) -> None:
    command = click.command("it")(executor_options(name)(lambda given: click.echo(given[name])))
    declared = OPTIONS[name]
    assert CliRunner().invoke(command, [declared.flag, "text"]).output == "text\n"
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert f"{declared.flag} {declared.placeholder}" in shown
    assert declared.option.description in shown
