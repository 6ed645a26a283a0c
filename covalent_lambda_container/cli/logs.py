"""``covalent-lambda logs``: the output of a dispatch's tasks, and the logs of functions."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.node_logs import show_nodes
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, duration, executor_options
from covalent_lambda_container.cli.wiring import wiring
from covalent_lambda_container.errors import harmless

if TYPE_CHECKING:
    from covalent_lambda_container.covalent_api.dispatch_nodes import DispatchNode
    from covalent_lambda_container.ports.stores import LogLine, Logs

    Source = tuple[str, Logs]
    """A function, and where its log is."""

_SHORT: Final = 21
"""Characters of a function's name that distinguish it from others: prefix and image."""


@command(short="Show what tasks print, even while they run.")
@click.argument("function", required=False)
@click.option(
    "--dispatch",
    "dispatch_id",
    metavar="ID",
    help="Show what the tasks of a dispatch print.",
)
@click.option("--node", "node_id", type=int, metavar="N", help="Only this node of the dispatch.")
@click.option(
    "--cloudwatch",
    is_flag=True,
    help="Show the logs of the functions that a finished dispatch used.",
)
@click.option("--server", metavar="URL", help="Covalent's server, for --dispatch.")
@click.option("-f", "--follow", is_flag=True, help="Keep printing until Ctrl-C.")
@click.option(
    "--since",
    type=duration,
    metavar="TIME",
    help="Start functions' logs this long ago: 10m, 2d.  [default: 1h; with --cloudwatch, when "
    "the dispatch began]",
)
@executor_options(*ACCOUNT)
@reporting
def logs(
    function: str | None,
    dispatch_id: str | None,
    node_id: int | None,
    cloudwatch: bool,
    server: str | None,
    follow: bool,
    since: timedelta | None,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Show what the tasks of a dispatch print, or the log of a function.

    With --dispatch, shows what the nodes show in Covalent's interface: the current step of tasks
    that wait, what running tasks have printed so far, and the whole output of finished ones. This
    needs only Covalent's server, and no access to AWS.
    The log of a FUNCTION, or with --cloudwatch those of a dispatch's functions, comes from
    CloudWatch. It includes Lambda's own lines, and those of other dispatches that use the same
    function. With --json, each line is a JSON document.

    \b
    Example:
      covalent-lambda logs --dispatch 9d8a2f2e-6b5c-4a57-8d0f-0f2b8f2f2c11 -f
      covalent-lambda logs covalent-20193b0346945e4e-ddf6c09f7176e433 --since 10m
    """
    from covalent_lambda_container.options.resolve import resolve

    if bool(function) == bool(dispatch_id):
        raise click.UsageError("Specify a FUNCTION or --dispatch.")
    if cloudwatch and not dispatch_id:
        raise click.UsageError("--cloudwatch needs --dispatch; a FUNCTION's log is always there.")
    if node_id is not None and (cloudwatch or not dispatch_id):
        raise click.UsageError("--node needs --dispatch, and excludes --cloudwatch.")
    if dispatch_id and not cloudwatch:
        if since:
            raise click.UsageError("--since needs a FUNCTION or --cloudwatch.")
        show_nodes(dispatch_id, node_id, server, follow=follow, output=output)
        return
    start = datetime.now(timezone.utc) - (since or timedelta(hours=1))
    if dispatch_id:
        sources, begun = _of_dispatch(dispatch_id, server, given)
        start = start if since else begun
    else:
        sources = [(str(function), wiring().account_stores_for(resolve(given)).logs)]
    for name, line in _lines(sources, start, follow=follow):
        time = line.time.isoformat(timespec="milliseconds")
        text = line.text.rstrip("\n")
        harmless_text = harmless(text)
        document = {"time": time, "text": text}
        shown = f"{time}  {harmless_text}"
        if dispatch_id:
            document["function"] = name
            shown = f"{time}  {name[:_SHORT].removeprefix('covalent-')}  {harmless_text}"
        output.line(document, shown)


def _of_dispatch(
    dispatch_id: str, server: str | None, given: dict[str, Any]
) -> tuple[list[Source], datetime]:
    """Return the functions that a dispatch used, and when it began."""
    from covalent_lambda_container.covalent_api.dispatch import dispatch_started
    from covalent_lambda_container.covalent_api.dispatch_nodes import read_nodes
    from covalent_lambda_container.covalent_api.workflow import executor_options
    from covalent_lambda_container.errors import ConfigurationError
    from covalent_lambda_container.options.resolve import overridden

    found: dict[str, Logs] = {}
    for node in read_nodes(dispatch_id, server).nodes:
        function = function_of(node)
        if function and function not in found:
            options = overridden(executor_options({"attributes": node.attributes}), given)
            found[function] = wiring().account_stores_for(options).logs
    if not found:
        raise ConfigurationError(
            f"No task of dispatch {dispatch_id!r} has recorded a function that it ran on.",
            hint="Show what failed in it: covalent-lambda why " + dispatch_id,
        )
    return list(found.items()), dispatch_started(dispatch_id, server)


def function_of(node: DispatchNode) -> str:
    """Return the function that a node's task ran on; empty if that is not recorded."""
    from covalent_lambda_container.model.places import recorded_place
    from covalent_lambda_container.report.electrons import recorded_usage

    used = recorded_usage(node)
    place = recorded_place(node.stderr, node.error)
    return used.function if used else place.function if place else ""


def _lines(
    sources: Sequence[Source], start: datetime, *, follow: bool
) -> Iterator[tuple[str, LogLine]]:
    """Yield functions' log lines: in order of time or, when following, as they arrive."""
    if len(sources) == 1 or not follow:
        read = [_named(name, logs.read(name, start, follow=follow)) for name, logs in sources]
        yield from heapq.merge(*read, key=lambda entry: entry[1].time)
        return
    arrived: queue.SimpleQueue[tuple[str, LogLine] | Exception] = queue.SimpleQueue()

    def follow_one(name: str, logs: Logs) -> None:
        try:
            for line in logs.read(name, start, follow=True):
                arrived.put((name, line))
        except Exception as exc:
            arrived.put(exc)

    for source in sources:
        threading.Thread(target=follow_one, args=source, daemon=True).start()
    while True:
        entry = arrived.get()
        if isinstance(entry, Exception):
            raise entry
        yield entry


def _named(name: str, lines: Iterator[LogLine]) -> Iterator[tuple[str, LogLine]]:
    return ((name, line) for line in lines)
