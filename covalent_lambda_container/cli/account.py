"""``covalent-lambda bootstrap``, ``teardown``, ``policy``: the account and its permissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.config import as_toml, command_for
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, account_number, executor_options
from covalent_lambda_container.cli.wiring import wiring

if TYPE_CHECKING:
    from covalent_lambda_container.account.steps import Step

_IDENTITY: Final = ("profile", "credentials_file")
_NAMES: Final = ("s3_bucket_name", "ecr_repository", "lambda_role_name")


@command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; change nothing.")
@click.option("--vpc", is_flag=True, help="Let the role connect functions to a VPC.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Adopt existing resources that something else created; teardown then removes them.",
)
@click.option(
    "--configure",
    is_flag=True,
    help="Write the given names and region to Covalent's configuration.",
)
@executor_options(*_NAMES, *ACCOUNT)
@reporting
def bootstrap(
    only_plan: bool,
    vpc: bool,
    adopt: bool,
    configure: bool,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Set up an AWS account for the executor.

    Creates a bucket (private and encrypted; tasks' objects expire after a day), an ECR repository
    (with immutable tags, from which Lambda may pull) and an execution role (which may only write
    its functions' logs). Running it again does no harm.

    \b
    Example:
      covalent-lambda bootstrap --bucket my-covalent-lambda-jobs --plan
    """
    from covalent_lambda_container.account import steps as account
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    clients = wiring().clients_of(options)
    names = account.deployment(clients, options)
    wanted = account.resources(
        clients,
        names,
        vpc=vpc or bool(options.subnet_ids),
        file_system=options.file_system.get("arn", ""),
    )
    steps = account.plan_bootstrap(wanted, adopt=adopt)
    if only_plan:
        _show(output, names.account, steps)
        return
    account.apply(steps, lambda step: output.note(str(step)))
    configuration = _configuration(given)
    if configure and configuration:
        from covalent_lambda_container.options.configuration import change_section

        change_section(configuration)
    _show(output, names.account, steps, configuration, written=configure)


@command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Also remove contents that others have put there.")
@executor_options(*_NAMES, *ACCOUNT)
@reporting
def teardown(
    only_plan: bool, yes: bool, force: bool, given: dict[str, Any], output: Output
) -> None:
    """Undo `bootstrap`, and remove all images and temporary objects.

    Resources without this project's tag are kept. If a bucket or a repository has other contents,
    or functions still use the role, nothing is removed: see `covalent-lambda gc`.

    \b
    Example:
      covalent-lambda teardown --bucket my-covalent-lambda-jobs
    """
    from covalent_lambda_container.account import steps as account
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    clients = wiring().clients_of(options)
    names = account.deployment(clients, options)
    steps = account.plan_teardown(account.resources(clients, names), force=force)
    if only_plan:
        _show(output, names.account, steps)
        return
    account.check(steps)
    if not yes and any(step.changes for step in steps):
        for step in steps:
            output.note(str(step))
        click.confirm(f"Remove this from account {names.account}?", abort=True, err=True)
    account.apply(steps, lambda step: output.note(str(step)))
    _show(output, names.account, steps)


@command()
@click.argument(
    "who", type=click.Choice(["dispatcher", "ci", "operator", "bootstrap", "execution-role"])
)
@click.option(
    "--account",
    metavar="NUMBER",
    type=account_number,
    help="AWS account, 12 digits; default: the credentials' own.",
)
@click.option("--no-build", is_flag=True, help="dispatcher: runs only what CI has built.")
@click.option("--no-function", is_flag=True, help="ci: creates images and no functions.")
@click.option("--reserved-concurrency", is_flag=True, help="dispatcher: reserves concurrency.")
@click.option("--vpc", is_flag=True, help="The functions join a VPC.")
@executor_options(*_NAMES, *ACCOUNT)
@reporting
def policy(
    who: str,
    account: str | None,
    no_build: bool,
    no_function: bool,
    reserved_concurrency: bool,
    vpc: bool,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Print the IAM policy that an identity needs.

    WHO runs Covalent's server (dispatcher), builds ahead of time (ci), lists, removes and reads
    logs (operator), sets up the account (bootstrap), or is the role of the functions
    (execution-role). The policy contains only actions that are used, and fits `aws iam
    put-user-policy`. AWS is called only to find the account's number; with --account, it is not
    called at all.

    \b
    Example:
      covalent-lambda policy dispatcher > dispatcher.json
    """
    from covalent_lambda_container.account.steps import deployment
    from covalent_lambda_container.iam import administration, running
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    names = deployment(wiring().clients_of(options), options, account=account)
    in_vpc, mounted = vpc or bool(options.subnet_ids), options.file_system.get("arn", "")
    if who == "dispatcher":
        document = running.dispatcher(
            names,
            builds=not no_build,
            reserves_concurrency=reserved_concurrency or bool(options.reserved_concurrency),
            vpc=in_vpc,
            file_system=mounted,
        )
    elif who == "ci":
        document = running.ci(names, functions=not no_function, vpc=in_vpc, file_system=mounted)
    elif who == "operator":
        document = administration.operator(names)
    elif who == "bootstrap":
        document = administration.bootstrap(names)
    else:
        document = running.execution_role(names, vpc=in_vpc, file_system=mounted)
    output.result(document, json.dumps(document, indent=2))


def _show(
    output: Output,
    number: str,
    steps: Sequence[Step],
    configuration: dict[str, Any] | None = None,
    *,
    written: bool = False,
) -> None:
    document: dict[str, Any] = {
        "account": number,
        "steps": [
            {
                "action": step.action,
                "kind": step.kind,
                "name": step.name,
                "detail": step.detail,
            }
            for step in steps
        ],
    }
    if configuration:
        document["configuration"] = configuration
    lines = _lines(number, steps, configuration, written=written)
    output.result(document, *output.fitting(lines))


def _lines(
    number: str, steps: Sequence[Step], configuration: dict[str, Any] | None, *, written: bool
) -> list[str]:
    """Return the plan or, once it is applied, the remaining steps."""
    if configuration is None:
        return [f"Account {number}:", *(f"  {step}" for step in steps)]
    changed = sum(step.changes for step in steps)
    lines = [f"Account {number}: {changed} changes." if changed else f"Account {number}: ready."]
    if configuration and written:
        lines += ["Written to Covalent's configuration:", "", as_toml(configuration)]
    elif configuration:
        lines += ["Now set it in Covalent's configuration:", "", f"  {command_for(configuration)}"]
    lines += [
        "",
        "The dispatcher needs credentials of its own, with the policy that "
        "'covalent-lambda policy dispatcher' prints.",
    ]
    return lines


def _configuration(given: dict[str, Any]) -> dict[str, Any]:
    """Return the given options that Covalent's configuration lacks.

    The identity that set the account up is left out: the dispatcher must not be its administrator.
    """
    from covalent_lambda_container.options.resolve import resolve, specified

    configured = resolve({}).model_dump()
    return {
        name: value
        for name, value in specified(given).items()
        if value != configured[name] and name not in _IDENTITY
    }
