"""Advice on task errors that only the dispatcher can give: it knows task, values and image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from covalent_lambda_container.covalent_api.node_kinds import NodeKind
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.covalent_api.transport import MADE_IN
from covalent_lambda_container.executor.values import other_versions
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.tasks import missing_modules
from covalent_lambda_container.tasks.outcome import Outcome


def advised(
    outcome: Outcome,
    kind: NodeKind,
    task: Task,
    contents_of: Callable[[str], ImageContents | None],
) -> Outcome:
    """Return a failed task's outcome with this advice, if any, instead of the image's own.

    Parameters
    ----------
    outcome
        How the task ended.
    kind
        The kind of node that ran.
    task
        The task.
    contents_of
        Returns the contents of the image with a tag, if they are known.
    """
    error = outcome.error or {}
    advice = _on_values(outcome, task, contents_of) if error.get("loading") else ""
    if not advice and error.get("missing_module"):
        advice = _on_module(error["missing_module"], kind)
    return replace(outcome, error=error | {"advice": advice}) if advice else outcome


def _on_values(
    outcome: Outcome, task: Task, contents_of: Callable[[str], ImageContents | None]
) -> str:
    """Name the values made with other package versions than the image has."""
    contents = contents_of(str(outcome.header.get(MADE_IN, "")))
    differing = other_versions(task.origins, contents.packages if contents else ())
    if not differing:
        return ""
    return (
        f"The task's values could not be read: {differing}. Name the same versions in both "
        "electrons, or pass the value as plain data."
    )


def _on_module(module: str, kind: NodeKind) -> str:
    if module.partition(".")[0] == missing_modules.COVALENT or kind is NodeKind.USERS:
        return missing_modules.advice(module)
    if kind is NodeKind.OPERATION:
        return (
            f"Covalent runs this operation between outputs in a node of its own, whose image lacks "
            f"{module}. Do it in an electron that names the package in its ct.DepsPip."
        )
    what = "builds the sublattice" if kind is NodeKind.SUBLATTICE else "puts the result together"
    return (
        f"Covalent's own node, which {what}, lacks {module}. Name its package for the lattice that "
        "this node belongs to: @ct.lattice(deps_pip=ct.DepsPip([…]))."
    )
