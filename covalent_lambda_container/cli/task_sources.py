"""The sources of a command's tasks: workflows, requirements files, dispatches."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError

if TYPE_CHECKING:
    from covalent_lambda_container.covalent_api.workflow import Arguments
    from covalent_lambda_container.executor.prebuild import WorkItem

Body = TypeVar("Body", bound=Callable[..., Any])


def arguments_options(body: Body) -> Body:
    """Add ``--args`` and ``--kwargs`` to a command, for one or several lattices."""
    for flag, name, kind in (("--kwargs", "named", "object"), ("--args", "arguments", "list")):
        body = click.option(
            flag,
            name,
            multiple=True,
            metavar="[LATTICE=]JSON",
            help=f"Arguments of a lattice, {'an' if kind == 'object' else 'a'} {kind}; with its "
            "name if there are several.",
        )(body)
    return body


def tasks_of_workflows(
    workflows: Sequence[str], arguments: Sequence[str], named: Sequence[str], output: Output
) -> tuple[list[WorkItem], list[LambdaContainerError]]:
    """Return the tasks of workflows that use the executor, and what could not be read.

    Parameters
    ----------
    arguments, named
        The lattices' arguments, as `arguments_options` has them.
    output
        Where guesses are reported.
    """
    from covalent_lambda_container.covalent_api.workflow import THE_ONLY_ONE, read_workflow

    given = _arguments(arguments, named)
    tasks: list[WorkItem] = []
    failures: list[LambdaContainerError] = []
    lattices: list[str] = []
    for workflow in workflows:
        path, lattice = path_and_lattice(workflow)
        found = read_workflow(path, lattice, given)
        for guess in found.guesses:
            output.note(guess)
        if not (found.tasks or found.failures):
            output.note(f"{workflow} has no task on the executor awslambda_container.")
        tasks += found.tasks
        failures += found.failures
        lattices += found.lattices
    for name in given:
        if name not in (THE_ONLY_ONE, *lattices):
            raise ConfigurationError(
                f"There are arguments for a lattice {name!r}; the lattices are "
                f"{', '.join(lattices) or 'none'}."
            )
    return tasks, failures


def _arguments(arguments: Sequence[str], named: Sequence[str]) -> dict[str, Arguments]:
    """Return arguments by the lattice that they are for."""
    from covalent_lambda_container.covalent_api.workflow import THE_ONLY_ONE, Arguments

    found: dict[str, Arguments] = {}
    for field, flag, kind, texts in (
        ("args", "--args", list, arguments),
        ("kwargs", "--kwargs", dict, named),
    ):
        seen = set()
        for text in texts:
            name, equals, value = text.partition("=")
            if not (equals and name.isidentifier()):
                name, value = THE_ONLY_ONE, text
            if name in seen:
                raise click.BadParameter(
                    f"{text!r} is the second one{f' for {name}' if name else ''}.", param_hint=flag
                )
            seen.add(name)
            change = {field: as_json(value, flag, kind)}
            found[name] = replace(found.get(name, Arguments()), **change)
    return found


def tasks_of_files(files: Sequence[Path], given: dict[str, Any]) -> list[WorkItem]:
    """Return a task for each requirements file."""
    from covalent_lambda_container.covalent_api.task import bare_task
    from covalent_lambda_container.covalent_api.workflow import WorkflowTask
    from covalent_lambda_container.options.resolve import resolve
    from covalent_lambda_container.packages.requirements_files import read_requirements_file

    options = resolve(given)
    return [
        WorkflowTask(name=str(path), task=bare_task(read_requirements_file(path)), options=options)
        for path in files
    ]


def tasks_of_dispatches(dispatches: Sequence[str], server: str | None) -> list[WorkItem]:
    """Return the tasks of finished dispatches that ran on the executor."""
    if not dispatches:
        return []
    from covalent_lambda_container.covalent_api.dispatch import read_dispatch

    return [task for dispatch_id in dispatches for task in read_dispatch(dispatch_id, server)]


def path_and_lattice(workflow: str) -> tuple[Path, str | None]:
    """Split ``WORKFLOW.py[:LATTICE]``."""
    path, colon, lattice = workflow.rpartition(":")
    if not colon or Path(workflow).exists():
        path, lattice = workflow, ""
    if not Path(path).is_file():
        raise ConfigurationError(f"There is no workflow file {path!r}.")
    return Path(path), lattice or None


def as_json(text: str | None, flag: str, kind: type) -> Any:
    """Return the value of a JSON option, which must have this type; None if it was not given."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not JSON: {exc}.", param_hint=flag) from exc
    if not isinstance(value, kind):
        name = "a list" if kind is list else "an object"
        raise click.BadParameter(f"{text!r} is not {name}.", param_hint=flag)
    return value
