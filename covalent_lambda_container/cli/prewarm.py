"""``covalent-lambda prewarm``: execution environments started ahead of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from covalent_lambda_container.cli.build_failures import show_all
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options
from covalent_lambda_container.cli.task_sources import arguments_options, tasks_of_workflows
from covalent_lambda_container.cli.wiring import contents_of, wiring
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options.limits import CONCURRENCY_QUOTA

if TYPE_CHECKING:
    from covalent_lambda_container.options.schema import Options


@command()
@click.argument("what", metavar="FUNCTION|WORKFLOW.py[:LATTICE]")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, CONCURRENCY_QUOTA),
    required=True,
    help="Environments per function.",
)
@arguments_options
@executor_options(*ACCOUNT, "ecr_repository", "lambda_role_name", "base_image", "architecture")
@reporting
def prewarm(
    what: str,
    count: int,
    arguments: tuple[str, ...],
    named: tuple[str, ...],
    given: dict[str, Any],
    output: Output,
) -> None:
    """Start execution environments before tasks arrive.

    For one function, or all functions of a workflow. Environments wait for tasks as long as Lambda
    keeps them, usually some minutes; only their start is billed.

    \b
    Example:
      covalent-lambda prewarm workflow.py -n 20
    """
    from covalent_lambda_container.options.resolve import resolve

    found: dict[str, Options]
    if what.endswith(".py") or ".py:" in what:
        found = _functions_of(what, arguments, named, given, output)
    else:
        found = {what: resolve(given)}
    for name, options in found.items():
        if wiring().account_stores_for(options).functions.find(name) is None:
            raise ConfigurationError(
                f"There is no function {name!r}.",
                hint="See the names of all functions: covalent-lambda list",
            )
    started = asyncio.run(_warm(found, count, output))
    output.table(
        [{"function": name, "started": number} for name, number in started.items()],
        ["function", "started"],
        [[name, str(number)] for name, number in started.items()],
    )


async def _warm(found: dict[str, Options], count: int, output: Output) -> dict[str, int]:
    """Prewarm one function after the other: an account's environments are limited."""
    from covalent_lambda_container.executor.prewarm import prewarm as start_environments

    started = {}
    for name, options in found.items():
        output.note(f"Starting {count} environments of {name}")
        invocations = wiring().account_stores_for(options).invocations
        started[name] = await start_environments(
            invocations, name, count, timeout_s=options.timeout
        )
        if started[name] < count:
            output.note(
                f"{count - started[name]} of {count} are not new: they had been started before, "
                "unless a warning says otherwise."
            )
    return started


def _functions_of(
    workflow: str,
    arguments: Sequence[str],
    named: Sequence[str],
    given: dict[str, Any],
    output: Output,
) -> dict[str, Options]:
    """Return the functions of a workflow's tasks, which must exist."""
    from covalent_lambda_container.executor.prebuild import build_targets, look

    tasks, unread = tasks_of_workflows([workflow], arguments, named, output)
    targets, failures = build_targets(tasks, given, None, contents_of)
    if errors := [*unread, *failures]:
        show_all(errors, output)
        click.get_current_context().exit(errors[0].exit_code)
    statuses = [
        look(target, wiring().service_for(target.options), with_function=True) for target in targets
    ]
    if not all(status.function_exists for status in statuses):
        raise ConfigurationError(
            f"Some functions of {workflow} do not exist.",
            hint=f"Create them first: covalent-lambda prebuild {workflow}",
        )
    return {status.function: status.target.options for status in statuses}
