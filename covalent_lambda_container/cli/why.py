"""``covalent-lambda why``: what failed in a dispatch, and what helps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.formats import number_of
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.errors import harmless

if TYPE_CHECKING:
    from covalent_lambda_container.covalent_api.failures import FailedNode

_MOST_LINES: Final = 40
"""Lines shown of an output without ``--full``."""


@command()
@click.argument("dispatch_id")
@click.option("--full", is_flag=True, help="Show complete outputs and tracebacks.")
@click.option("--server", metavar="URL", help="Covalent's server.")
@reporting
def why(dispatch_id: str, full: bool, server: str | None, output: Output) -> None:
    """Show what failed in a dispatch, and what helps.

    For each failed task, those of sublattices included: its error and advice, its traceback, its
    output, its packages, and where it ran. The exit code is 1 if something failed.

    \b
    Example:
      covalent-lambda why 9d8a2f2e-6b5c-4a57-8d0f-0f2b8f2f2c11
    """
    from covalent_lambda_container.covalent_api.failures import read_failures

    failures = read_failures(dispatch_id, server)
    document = {
        "dispatch_id": dispatch_id,
        "workflow": failures.name,
        "status": failures.status,
        "error": failures.error,
        "failed": [_document(node) for node in failures.nodes],
    }
    lines = [f"{failures.name}: {failures.status}, {number_of(failures.nodes, 'failed task')}"]
    if failures.error:
        shown = textwrap.indent(harmless(failures.error), "  ").splitlines()
        lines += ["", *output.fitting(shown)]
    for node in failures.nodes:
        lines += ["", *failure_lines(node, output, most=None if full else _MOST_LINES)]
    output.result(document, *lines)
    if failures.nodes or failures.error:
        click.get_current_context().exit(1)


def _packages(node: FailedNode) -> list[str] | None:
    """Return what a task asked for; packages that came with its values are not among it."""
    if node.task is None:
        return None
    return list((node.task.options.wanted() | node.task.task.requirements).packages)


def _document(node: FailedNode) -> dict[str, Any]:
    return {
        "dispatch_id": node.dispatch_id,
        "node_id": node.node_id,
        "name": node.name,
        "executor": node.executor,
        "error": node.error,
        "stdout": node.stdout,
        "stderr": node.stderr,
        "function": node.place.function if node.place else None,
        "image": (node.place.image or None) if node.place else None,
        "requirements": _packages(node),
    }


def failure_lines(node: FailedNode, output: Output, *, most: int | None) -> Iterator[str]:
    """Yield the lines on a failed node, with at most so many of each output; None for all."""
    name, packages = harmless(node.name), _packages(node)
    reason, *others = harmless(node.error).splitlines() or ["no error was recorded"]
    head, reason, *rest = output.fitting(
        [
            f"{name} (node {node.node_id} of {node.dispatch_id}, executor {node.executor})",
            *(f"  {line}" for line in (reason, *others)),
            *([f"  ran on: {node.place}"] if node.place else ()),
            *([] if packages is None else [f"  packages: {', '.join(packages) or 'none'}"]),
        ]
    )
    yield head.replace(name, output.coloured(name, fg="red", bold=True), 1)
    yield output.coloured(reason, bold=True)
    yield from rest
    # A task that gave no answer left what it had printed: Covalent keeps both streams as stderr.
    stderr = without_stdout(node.stderr, node.stdout)
    for name, text in (("stderr", stderr), ("stdout", node.stdout)):
        # Without a task there is no output: Covalent then writes the error in its place.
        if text.strip() and text.strip() != node.error.strip():
            yield f"  {name}:"
            yield from (f"  | {line}" for line in _end_of(text, most))


def without_stdout(stderr: str, stdout: str) -> str:
    """Return what a node's stderr has that its stdout has not."""
    rest = stderr.removeprefix(stdout)
    if not stdout or rest == stderr or not (stdout.endswith("\n") or rest[:1] in ("", "\n")):
        return stderr
    return rest if stdout.endswith("\n") else rest.removeprefix("\n")


def _end_of(text: str, most: int | None) -> list[str]:
    lines = harmless(text).rstrip("\n").split("\n")
    if most is None or len(lines) <= most:
        return lines
    return [f"… {len(lines) - most} more lines: --full", *lines[-most:]]
