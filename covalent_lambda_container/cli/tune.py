"""``covalent-lambda tune``: finds the best memory size for a workflow's electrons."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.task_sources import as_json, path_and_lattice
from covalent_lambda_container.cli.written_files import html_option, write_file
from covalent_lambda_container.options.limits import MEMORY_MB

if TYPE_CHECKING:
    from covalent_lambda_container.report.failed_sizes import EndedDispatch, Measurement

_LEAST_SIZES: Final = 2


def _sizes(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    least, most = MEMORY_MB
    words = [word.strip() for word in text.split(",") if word.strip()]
    sizes = sorted({int(word) for word in words if word.isascii() and word.isdigit()})
    wrong = [word for word in words if not word.isdigit()]
    wrong += [str(size) for size in sizes if not least <= size <= most]
    if wrong or len(sizes) < _LEAST_SIZES:
        seen = f"{wrong[0]!r} is not a size" if wrong else f"{text!r} names fewer than two sizes"
        raise click.BadParameter(
            f"{seen}: use at least {_LEAST_SIZES} from {least} to {most} MB, separated by commas."
        )
    return sizes


@command(short="Find the best memory size for electrons.")
@click.argument("workflow", metavar="WORKFLOW.py:LATTICE")
@click.option(
    "--memory",
    metavar="SIZES",
    default="512,1024,1769,3538",
    show_default=True,
    callback=_sizes,
    help="Memory sizes in MB, separated by commas.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Dispatches to measure for each size; one more comes first, for cold starts.",
)
@click.option("--args", metavar="JSON", help="Positional arguments of the lattice, as a list.")
@click.option("--kwargs", metavar="JSON", help="Keyword arguments of the lattice, as an object.")
@html_option("a page with plots")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reporting
def tune(
    workflow: str,
    memory: list[int],
    runs: int,
    args: str | None,
    kwargs: str | None,
    html_file: Path | None,
    yes: bool,
    output: Output,
) -> None:
    """Run a workflow with several memory sizes, and show time and cost of its electrons.

    WORKFLOW is a file and the name of a lattice in it. It is dispatched to Covalent's server; all
    sizes use the same image. Cold starts are not counted. The tasks really run, each time with
    their side effects. A size with which a task fails, for lack of memory or otherwise, is shown as
    failed.

    \b
    Example:
      covalent-lambda tune workflow.py:train --memory 512,1024,1769,3538
    """
    from covalent_lambda_container.covalent_api.resized import options_in_graph
    from covalent_lambda_container.report import highest_cost, tuning
    from covalent_lambda_container.report.failed_sizes import Measurement, refuse_if_all_failed
    from covalent_lambda_container.report.pictures import require_matplotlib

    path, lattice = path_and_lattice(workflow)
    given: dict[str, Any] = {
        "args": as_json(args, "--args", list) or [],
        "kwargs": as_json(kwargs, "--kwargs", dict) or {},
    }
    if html_file is not None:
        require_matplotlib()
    options = options_in_graph(path, lattice, **given)
    dispatches = (runs + 1) * len(memory)
    region = next((one.region for one, _ in options if one.region), "us-east-1")
    most = highest_cost.highest_cost_usd(options, memory, runs + 1, region)
    output.note(
        f"{dispatches} dispatches with {len(options) * dispatches} invocations. On AWS they cost "
        f"{highest_cost.upper_bound(most)} for Lambda, if every task runs into its timeout each "
        "time."
    )
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    measured = Measurement()
    try:
        measured.run(memory, runs, partial(_run, path, lattice, given), output.note)
    except BaseException:
        # What was measured so far is paid for.
        if tuning.tuned(measured.ran):
            _show(workflow, measured, html_file, output)
        raise
    refuse_if_all_failed(tuning.tuned(measured.ran), measured.failed)
    _show(workflow, measured, html_file, output)


def _show(workflow: str, measured: Measurement, html_file: Path | None, output: Output) -> None:
    from covalent_lambda_container.report import tuning

    results, failed = tuning.tuned(measured.ran), measured.failed
    for remark in tuning.remarks(measured.ran, results):
        output.warn(remark)
    document = tuning.document_of(results, failed)
    output.table(document, tuning.COLUMNS, tuning.rows_of(results, failed))
    if html_file is not None:
        write_file(html_file, tuning.page_of(workflow, results, failed).html, output)


def _run(path: Path, lattice: str | None, given: dict[str, Any], memory_mb: int) -> EndedDispatch:
    """Dispatch a lattice with a memory size; return how it ended."""
    from covalent_lambda_container.covalent_api.dispatch_nodes import read_nodes
    from covalent_lambda_container.covalent_api.failures import read_failures
    from covalent_lambda_container.covalent_api.resized import dispatch_resized
    from covalent_lambda_container.report.electrons import electrons_of
    from covalent_lambda_container.report.failed_sizes import EndedDispatch

    ended = dispatch_resized(path, lattice, memory_mb, **given)
    record = read_nodes(ended.dispatch_id)
    failures = read_failures(ended.dispatch_id) if ended.error else None
    return EndedDispatch(
        dispatch_id=ended.dispatch_id,
        workflow=record.name,
        electrons=electrons_of(record.nodes),
        error=(failures.error if failures else "") or ended.error,
        failed=[(node.name, node.error) for node in failures.nodes] if failures else (),
    )
