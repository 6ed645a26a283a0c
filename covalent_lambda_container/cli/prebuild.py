"""``covalent-lambda prebuild``: images and functions made before anything is dispatched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import (
    ACCOUNT,
    executor_options,
    files_option,
    python_option,
)
from covalent_lambda_container.cli.wanted import (
    as_json,
    tasks_of_dispatches,
    tasks_of_files,
    tasks_of_workflows,
)
from covalent_lambda_container.errors import LambdaContainerError

if TYPE_CHECKING:
    from covalent_lambda_container.executor.prebuild import BuildTarget, TargetStatus

_MISSING: Final = 3
"""Exit code of ``--check`` when something is not there."""

_LOOKS_AT_ONCE: Final = 16
_SHORT: Final = 12
"""Hexadecimal digits of a tag or digest that are shown."""

_THERE: Final = "there"


@click.command()
@click.argument("workflows", nargs=-1, metavar="[WORKFLOW.py[:LATTICE]]...")
@files_option("A set of requirements without a workflow")
@click.option(
    "--dispatch",
    "dispatches",
    multiple=True,
    metavar="ID",
    help="What the tasks of a finished dispatch used, with what their data brought along.",
)
@click.option("--server", metavar="URL", help="Covalent's server, for --dispatch.")
@click.option("--args", "arguments", metavar="JSON", help="Arguments of the lattice: a list.")
@click.option("--kwargs", "named", metavar="JSON", help="Arguments of the lattice: an object.")
@click.option("--plan", is_flag=True, help="Say what would be made, and make nothing.")
@click.option("--check", is_flag=True, help="As --plan; exit with 3 if something is missing.")
@click.option("--no-function", is_flag=True, help="Make images only.")
@click.option("--no-push", is_flag=True, help="Build in the Docker engine only, without AWS.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), default=4, show_default=True, help="Builds at once."
)
@click.option("-v", "--verbose", is_flag=True, help="Show the output of builds.")
@python_option
@executor_options(
    *(*ACCOUNT, "ecr_repository", "lambda_role_name", "base_image", "architecture"),
    *("pip_index_url", "ca_bundle"),
)
@reporting
def prebuild(
    workflows: tuple[str, ...],
    files: tuple[Path, ...],
    dispatches: tuple[str, ...],
    server: str | None,
    arguments: str | None,
    named: str | None,
    plan: bool,
    check: bool,
    no_function: bool,
    no_push: bool,
    jobs: int,
    verbose: bool,
    python_version: str | None,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Make the images and functions that WORKFLOWs need.

    Builds, pushes and creates what is not there yet. A workflow's file is imported and the graphs
    of its lattices are built, as a dispatch does it. Options given here go before those of its
    executors.

    \b
    Example:
      covalent-lambda prebuild workflow.py
      covalent-lambda prebuild workflow.py:train --kwargs '{"copies": 20}' --plan
      covalent-lambda prebuild -r requirements.txt --no-function
    """
    if no_push and (plan or check):
        raise click.UsageError("--no-push builds; it does not go with --plan and --check.")
    if not (workflows or files or dispatches):
        raise click.UsageError("Give a WORKFLOW.py, a requirements file (-r) or a --dispatch.")
    args = as_json(arguments, "--args", list)
    kwargs = as_json(named, "--kwargs", dict)

    from covalent_lambda_container.executor.prebuild import build_targets

    tasks = [
        *tasks_of_workflows(workflows, args, kwargs, output),
        *tasks_of_files(files, given),
        *tasks_of_dispatches(dispatches, server),
    ]
    needs = build_targets(tasks, given, python_version)
    if verbose:
        output.show_log()
    if no_push:
        _build_here(needs, jobs, output)
        return
    standings = _look(needs, with_function=not no_function)
    if plan or check:
        _show(standings, {}, output, with_function=not no_function)
        if check and not all(_is_there(standing, not no_function) for standing in standings):
            click.get_current_context().exit(_MISSING)
        return
    _make(standings, jobs, output, with_function=not no_function)


def _look(needs: Sequence[BuildTarget], *, with_function: bool) -> list[TargetStatus]:
    """Look for everything at once; return it in the order of the needs."""
    from covalent_lambda_container.executor.prebuild import in_parallel, look

    looked: dict[BuildTarget, TargetStatus] = {}
    for need, standing in in_parallel(
        lambda need: look(need, with_function=with_function), needs, at_once=_LOOKS_AT_ONCE
    ):
        if isinstance(standing, Exception):
            raise standing
        looked[need] = standing
    return [looked[need] for need in needs]


def _make(
    standings: Sequence[TargetStatus], jobs: int, output: Output, *, with_function: bool
) -> None:
    """Make what is missing, and show what became of it; end with the first error's exit code."""
    from covalent_lambda_container.executor.prebuild import in_parallel, make

    before = {standing.need: standing for standing in standings}
    after = dict(before)
    states: dict[BuildTarget, str] = {}
    errors: list[LambdaContainerError] = []
    missing = [
        standing.need
        for standing in standings
        if not _is_there(standing, with_function) or standing.need.options.force_rebuild
    ]
    with output.steps() as begin:

        def work(need: BuildTarget) -> TargetStatus:
            step = begin(_title(need))
            try:
                made = make(need, with_function=with_function, tell=step.tell)
            except BaseException:
                step.end("failed")
                raise
            step.end("done")
            return made

        for need, made in in_parallel(work, missing, at_once=jobs):
            if isinstance(made, LambdaContainerError):
                errors.append(made)
                output.note(f"Error: {_title(need)}: {made}")
                states[need] = "failed"
            elif isinstance(made, Exception):
                raise made
            else:
                after[need] = made
                rebuilt = made.image != before[need].image
                states[need] = "built" if rebuilt else "function created"
    _show(list(after.values()), states, output, with_function=with_function)
    if errors:
        click.get_current_context().exit(errors[0].exit_code)


def _build_here(needs: Sequence[BuildTarget], jobs: int, output: Output) -> None:
    from covalent_lambda_container.executor.prebuild import build_here, in_parallel

    names: dict[BuildTarget, str] = {}
    with output.steps() as begin:

        def work(need: BuildTarget) -> str:
            step = begin(_title(need))
            step.tell("building")
            try:
                name = build_here(need)
            except BaseException:
                step.end("failed")
                raise
            step.end("done")
            return name

        for need, name in in_parallel(work, needs, at_once=jobs):
            if isinstance(name, Exception):
                raise name
            names[need] = name
    built = [(need, names[need]) for need in needs]
    output.table(
        [{**_document(need), "local_image": name} for need, name in built],
        ["image", "packages", "for"],
        [[name, _packages(need), _users(need)] for need, name in built],
    )


def _show(
    standings: Sequence[TargetStatus],
    states: dict[BuildTarget, str],
    output: Output,
    *,
    with_function: bool,
) -> None:
    document, rows = [], []
    for standing in standings:
        image = standing.image
        missing = "image missing" if image is None else "function missing"
        there = _is_there(standing, with_function)
        state = states.get(standing.need, _THERE if there else missing)
        document.append(
            {
                **_document(standing.need),
                "digest": image.digest if image else None,
                "image": image.uri if image else None,
                "function": standing.function or None,
                "state": state,
            }
        )
        rows.append(
            [
                standing.need.spec.tag[:_SHORT],
                image.digest[: len("sha256:") + _SHORT] if image else "–",
                standing.function or "–",
                state,
                _packages(standing.need),
                _users(standing.need),
            ]
        )
    output.table(document, ["spec", "digest", "function", "state", "packages", "for"], rows)


def _is_there(standing: TargetStatus, with_function: bool) -> bool:
    return standing.image is not None and (standing.function_exists or not with_function)


def _document(need: BuildTarget) -> dict[str, Any]:
    return {
        "spec": need.spec.tag,
        "python_version": need.spec.python_version,
        "architecture": need.spec.architecture,
        "requirements": list(need.spec.requirements),
        "for": list(need.names),
    }


def _title(need: BuildTarget) -> str:
    return f"{need.spec.tag[:_SHORT]} ({_packages(need)})"


def _packages(need: BuildTarget) -> str:
    return _some(need.spec.requirements) or "no packages"


def _users(need: BuildTarget) -> str:
    return _some(need.names)


def _some(texts: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])
