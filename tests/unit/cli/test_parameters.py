"""Options of the executor as flags."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import (
    ACCOUNT,
    account_number,
    executor_options,
    with_flags,
)
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


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "AWSLambdaContainerExecutor option s3_bucket_name='B': no.",
            "option --bucket='B': no.",
        ),
        (
            "Check the options credentials_file, profile and region, or renew the login.",
            "Check the options --credentials-file, --profile and --region, or renew the login.",
        ),
        ("Is the option region right?", "Is the option --region right?"),
        ("The profile's region is not known.", "The profile's region is not known."),
        ("Raise the option memory_size.", "Raise the option memory_size."),
        ("or name another in ecr_repository.", "or name another in --repository."),
        ("FILE_lambda_role_name_x and a-ca_bundle", "FILE_lambda_role_name_x and a-ca_bundle"),
    ],
)
def test_advice_names_the_commands_flags(said: str, shown: str) -> None:
    names = (*ACCOUNT, "s3_bucket_name", "ecr_repository", "lambda_role_name")
    command = click.command("it")(executor_options(*names)(lambda given: click.echo(given)))
    assert with_flags(said, command.params) == shown
    assert with_flags(said, ()) == said.replace("AWSLambdaContainerExecutor ", "")


@pytest.mark.parametrize("given", ["123", "1234567890123", "12345678901x", "", "12345678901\n"])
def test_an_account_has_twelve_digits(given: str) -> None:
    assert account_number("123456789012") == "123456789012"
    with pytest.raises(click.BadParameter, match="12 digits"):
        account_number(given)
