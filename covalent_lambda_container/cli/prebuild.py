"""``covalent-lambda prebuild``: images and functions created ahead of a dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.build_failures import BuildFailures, show_all
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import (
    ACCOUNT,
    executor_options,
    files_option,
    python_option,
)
from covalent_lambda_container.cli.task_sources import (
    arguments_options,
    tasks_of_dispatches,
    tasks_of_files,
    tasks_of_workflows,
)
from covalent_lambda_container.cli.wiring import contents_of, wiring
from covalent_lambda_container.errors import LambdaContainerError

if TYPE_CHECKING:
    from covalent_lambda_container.executor.prebuild import BuildTarget, TargetStatus

_MISSING: Final = 3
"""Exit code of ``--check`` when something is missing."""

_LOOKS_AT_ONCE: Final = 16
_SHORT: Final = 12
"""Hexadecimal digits of a tag or digest that are shown."""

_THERE: Final = "there"


@command()
@click.argument("workflows", nargs=-1, metavar="[WORKFLOW.py[:LATTICE]]...")
@files_option("A set of requirements without a workflow")
@click.option(
    "--dispatch",
    "dispatches",
    multiple=True,
    metavar="ID",
    help="The tasks of a finished dispatch, with the packages that their data needed, and "
    "local_packages as they are now.",
)
@click.option("--server", metavar="URL", help="Covalent's server, for --dispatch.")
@arguments_options
@click.option("--plan", is_flag=True, help="Show what would be created, and create nothing.")
@click.option("--check", is_flag=True, help="Like --plan; exit with 3 if something is missing.")
@click.option("--no-function", is_flag=True, help="Create images only.")
@click.option("--no-push", is_flag=True, help="Build in the Docker engine only, without AWS.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), default=4, show_default=True, help="Builds at once."
)
@python_option
@executor_options(
    *(*ACCOUNT, "ecr_repository", "lambda_role_name", "base_image", "architecture"),
    *("pip_index_url", "ca_bundle", "builder"),
)
@reporting
def prebuild(
    workflows: tuple[str, ...],
    files: tuple[Path, ...],
    dispatches: tuple[str, ...],
    server: str | None,
    arguments: tuple[str, ...],
    named: tuple[str, ...],
    plan: bool,
    check: bool,
    no_function: bool,
    no_push: bool,
    jobs: int,
    python_version: str | None,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Create the images and functions that WORKFLOWs need.

    Builds, pushes and creates only what is missing. The workflow's file is imported and the graphs
    of its lattices are built, as in a dispatch. Options given here take precedence over those of
    its executors. What cannot be created is named, and does not keep the rest from being created.

    \b
    Example:
      covalent-lambda prebuild workflow.py
      covalent-lambda prebuild workflow.py --kwargs 'train={"copies": 20}'
      covalent-lambda prebuild workflow.py:train --kwargs '{"copies": 20}' --plan
      covalent-lambda prebuild -r requirements.txt --no-function
    """
    if no_push and (plan or check):
        raise click.UsageError("--no-push builds: it excludes --plan and --check.")
    if not (workflows or files or dispatches):
        raise click.UsageError("Specify a WORKFLOW.py, a requirements file (-r) or --dispatch.")

    from covalent_lambda_container.executor.prebuild import build_targets

    found, errors = tasks_of_workflows(workflows, arguments, named, output)
    tasks = [*found, *tasks_of_files(files, given), *tasks_of_dispatches(dispatches, server)]
    targets, failures = build_targets(tasks, given, python_version, contents_of)
    errors += failures
    show_all(errors, output)
    if errors and not targets:
        click.get_current_context().exit(errors[0].exit_code)
    if no_push:
        errors += _build_here(targets, jobs, output)
    else:
        statuses = _look(targets, with_function=not no_function)
        if plan or check:
            _show(statuses, {}, output, with_function=not no_function)
        else:
            errors += _make(statuses, jobs, output, with_function=not no_function)
    if errors:
        click.get_current_context().exit(errors[0].exit_code)
    if check and not all(_is_there(status, not no_function) for status in statuses):
        click.get_current_context().exit(_MISSING)


def _look(targets: Sequence[BuildTarget], *, with_function: bool) -> list[TargetStatus]:
    """Look for all targets at once; return their statuses in the same order."""
    from covalent_lambda_container.executor.prebuild import in_parallel, look

    looked: dict[BuildTarget, TargetStatus] = {}
    service_for = wiring().service_for

    def work(target: BuildTarget) -> TargetStatus:
        return look(target, service_for(target.options), with_function=with_function)

    for target, status in in_parallel(work, targets, at_once=_LOOKS_AT_ONCE):
        if isinstance(status, Exception):
            raise status
        looked[target] = status
    return [looked[target] for target in targets]


def _make(
    statuses: Sequence[TargetStatus], jobs: int, output: Output, *, with_function: bool
) -> list[LambdaContainerError]:
    """Create what is missing and show the outcome; return the errors, which have been shown."""
    from covalent_lambda_container.executor.prebuild import in_parallel, make

    before = {status.target: status for status in statuses}
    after = dict(before)
    states: dict[BuildTarget, str] = {}
    failures = BuildFailures(output)
    missing = [
        status.target
        for status in statuses
        if not _is_there(status, with_function) or status.target.options.force_rebuild
    ]
    service_for = wiring().service_for
    with output.steps() as begin:

        def work(target: BuildTarget) -> TargetStatus:
            step = begin(_title(target))
            try:
                service = service_for(target.options)
                created = make(target, service, with_function=with_function, report=step.report)
            except BaseException:
                step.end("failed")
                raise
            step.end("done")
            return created

        for target, created in in_parallel(work, missing, at_once=jobs):
            if isinstance(created, LambdaContainerError):
                failures.add(_title(target), created)
                states[target] = "failed"
            elif isinstance(created, Exception):
                raise created
            else:
                after[target] = created
                rebuilt = created.image != before[target].image
                states[target] = "built" if rebuilt else "function created"
    _show(list(after.values()), states, output, with_function=with_function)
    return failures.errors


def _build_here(
    targets: Sequence[BuildTarget], jobs: int, output: Output
) -> list[LambdaContainerError]:
    """Build images in the engine and list them; return the errors, which have been shown."""
    from covalent_lambda_container.executor.prebuild import build_here, in_parallel

    names: dict[BuildTarget, str] = {}
    failures = BuildFailures(output)
    service_for = wiring().service_for
    with output.steps() as begin:

        def work(target: BuildTarget) -> str:
            step = begin(_title(target))
            step.report("building")
            try:
                name = build_here(target, service_for(target.options))
            except BaseException:
                step.end("failed")
                raise
            step.end("done")
            return name

        for target, name in in_parallel(work, targets, at_once=jobs):
            if isinstance(name, LambdaContainerError):
                failures.add(_title(target), name)
            elif isinstance(name, Exception):
                raise name
            else:
                names[target] = name
    built = [(target, names[target]) for target in targets if target in names]
    output.table(
        [{**_document(target), "local_image": name} for target, name in built],
        ["image", "packages", "for"],
        [[name, _packages(target), _users(target)] for target, name in built],
    )
    return failures.errors


def _show(
    statuses: Sequence[TargetStatus],
    states: dict[BuildTarget, str],
    output: Output,
    *,
    with_function: bool,
) -> None:
    document, rows = [], []
    for status in statuses:
        image = status.image
        missing = "image missing" if image is None else "function missing"
        there = _is_there(status, with_function)
        state = states.get(status.target, _THERE if there else missing)
        document.append(
            {
                **_document(status.target),
                "digest": image.digest if image else None,
                "image": image.uri if image else None,
                "function": status.function or None,
                "state": state,
            }
        )
        rows.append(
            [
                status.target.spec.tag[:_SHORT],
                image.digest[: len("sha256:") + _SHORT] if image else "–",
                status.function or "–",
                state,
                _packages(status.target),
                _users(status.target),
            ]
        )
    output.table(document, ["spec", "digest", "function", "state", "packages", "for"], rows)


def _is_there(status: TargetStatus, with_function: bool) -> bool:
    return status.image is not None and (status.function_exists or not with_function)


def _document(target: BuildTarget) -> dict[str, Any]:
    return {
        "spec": target.spec.tag,
        "python_version": target.spec.python_version,
        "architecture": target.spec.architecture,
        "requirements": list(target.spec.requirements),
        "for": list(target.names),
    }


def _title(target: BuildTarget) -> str:
    return f"{target.spec.tag[:_SHORT]} ({_packages(target)})"


def _packages(target: BuildTarget) -> str:
    from covalent_lambda_container.packages.requirements import without_hashes

    return _some([without_hashes(line) for line in target.spec.requirements]) or "no packages"


def _users(target: BuildTarget) -> str:
    return _some(target.names)


def _some(texts: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])
