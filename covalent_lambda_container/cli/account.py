"""``covalent-lambda bootstrap``, ``teardown``, ``policy``: an account, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options
from covalent_lambda_container.cli.wiring import wiring

if TYPE_CHECKING:
    from covalent_lambda_container.account.steps import Step

_NAMES: Final = ("s3_bucket_name", "ecr_repository", "lambda_role_name")


@command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--vpc", is_flag=True, help="Let the role connect functions to a VPC.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Take over what exists and was made by something else; teardown removes it then.",
)
@executor_options(*_NAMES, *ACCOUNT)
@reporting
def bootstrap(
    only_plan: bool, vpc: bool, adopt: bool, given: dict[str, Any], output: Output
) -> None:
    """Give an AWS account what the executor needs: once, and again without harm.

    A bucket: private, encrypted, what tasks leave in it expires after a day. An ECR repository:
    tags are immutable, Lambda may pull. An execution role: it may write its functions' logs, and
    nothing else.

    \b
    Example:
      covalent-lambda bootstrap --bucket my-covalent-lambda-jobs --plan
    """
    from covalent_lambda_container.account import steps as account
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    clients = wiring().clients_of(options)
    names = account.deployment(clients, options)
    wanted = account.resources(clients, names, vpc=vpc or bool(options.subnet_ids))
    steps = account.plan_bootstrap(wanted, adopt=adopt)
    if only_plan:
        _show(output, names.account, steps)
        return
    account.apply(steps, lambda step: output.note(str(step)))
    _show(output, names.account, steps, _configuration(given))


@command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Remove what others have put into it, too.")
@executor_options(*_NAMES, *ACCOUNT)
@reporting
def teardown(
    only_plan: bool, yes: bool, force: bool, given: dict[str, Any], output: Output
) -> None:
    """Remove from an AWS account what `bootstrap` made, with all images and temporary objects.

    What bears no tag of this project stays. So does everything if a bucket or a repository holds
    something else, or functions still run as the role: see `covalent-lambda gc`.

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
@click.option("--account", metavar="NUMBER", help="AWS account; default: the credentials' own.")
@click.option("--no-build", is_flag=True, help="dispatcher: it runs only what CI has built.")
@click.option("--no-function", is_flag=True, help="ci: it makes images and no functions.")
@click.option("--reserved-concurrency", is_flag=True, help="dispatcher: it reserves concurrency.")
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
    """Print the IAM policy of WHO, with no action that is not used: for aws iam put-user-policy.

    WHO runs Covalent's server (dispatcher), prebuilds (ci), lists, collects garbage and reads logs
    (operator), sets the account up (bootstrap), or is what functions run as (execution-role).

    Asks AWS for nothing but the number of the account, and with --account for nothing.

    \b
    Example:
      covalent-lambda policy dispatcher > dispatcher.json
    """
    from covalent_lambda_container.account.steps import deployment
    from covalent_lambda_container.iam import administration, running
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    names = deployment(wiring().clients_of(options), options, account=account)
    in_vpc = vpc or bool(options.subnet_ids)
    if who == "dispatcher":
        document = running.dispatcher(
            names,
            builds=not no_build,
            reserves_concurrency=reserved_concurrency or bool(options.reserved_concurrency),
            vpc=in_vpc,
        )
    elif who == "ci":
        document = running.ci(names, functions=not no_function, vpc=in_vpc)
    elif who == "operator":
        document = administration.operator(names)
    elif who == "bootstrap":
        document = administration.bootstrap(names)
    else:
        document = running.execution_role(names, vpc=in_vpc)
    output.result(document, json.dumps(document, indent=2))


def _show(
    output: Output, number: str, steps: Sequence[Step], configuration: dict[str, Any] | None = None
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
    output.result(document, *_lines(number, steps, configuration))


def _lines(number: str, steps: Sequence[Step], configuration: dict[str, Any] | None) -> list[str]:
    """Return the plan, or what is left to do after it has been carried out."""
    if configuration is None:
        return [f"Account {number}:", *(f"  {step}" for step in steps)]
    changed = sum(step.changes for step in steps)
    lines = [f"Account {number}: {changed} changes." if changed else f"Account {number}: ready."]
    if configuration:
        import toml

        from covalent_lambda_container.model.names import SHORT_NAME

        section = toml.dumps({"executors": {SHORT_NAME: configuration}})
        lines += ["Now set in Covalent's configuration:", "", section.rstrip()]
    return lines


def _configuration(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given and that Covalent's configuration does not have."""
    from covalent_lambda_container.options.resolve import resolve

    configured = resolve({}).model_dump()
    return {
        name: value
        for name, value in given.items()
        if value is not None and value != configured[name]
    }
