"""Where a command's tasks come from: workflows, requirements files, dispatches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.errors import ConfigurationError

if TYPE_CHECKING:
    from covalent_lambda_container.executor.prebuild import WorkItem


def tasks_of_workflows(
    workflows: Sequence[str],
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    output: Output,
) -> list[WorkItem]:
    """Return the tasks of workflows that use the executor; report guesses."""
    from covalent_lambda_container.covalent_api.workflow import read_workflow

    tasks: list[WorkItem] = []
    for workflow in workflows:
        path, lattice = path_and_lattice(workflow)
        found = read_workflow(path, lattice, args=args, kwargs=kwargs)
        for guess in found.guesses:
            output.note(guess)
        if not found.tasks:
            output.note(f"{workflow} has no task on the executor awslambda_container.")
        tasks += found.tasks
    return tasks


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
