"""The executor plugin: ``executor="awslambda_container"``.

Covalent derives the plugin's short name from this module's name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from covalent._shared_files import TaskRuntimeError
from covalent._shared_files.exceptions import TaskCancelledError
from covalent._shared_files.logger import app_log

from covalent_lambda_container.concurrency.cancellation import (
    Cancellation,
    CancellationRegistry,
    Cancelled,
    unless_cancelled,
)
from covalent_lambda_container.concurrency.event_loop import (
    PerLoop,
    StartLimiter,
    in_thread,
)
from covalent_lambda_container.covalent_api import (
    client_values,
    collections,
    node_updates,
    post_processing,
    server,
    sublattice_archives,
    sublattices,
    task_groups,
    transport,
    web_page,
)
from covalent_lambda_container.covalent_api import task as covalent_task
from covalent_lambda_container.covalent_api.configured_executor import ConfiguredExecutor
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.executor.node_progress import NodeProgress
from covalent_lambda_container.model.names import SHORT_NAME
from covalent_lambda_container.model.places import Place
from covalent_lambda_container.options.schema import Options

if TYPE_CHECKING:
    from covalent_lambda_container.tasks.outcome import Outcome

EXECUTOR_PLUGIN_NAME = "AWSLambdaContainerExecutor"
_EXECUTOR_PLUGIN_DEFAULTS = Options.defaults()

_READ_ON_LOOP = 64 * 1024
"""Largest task, in characters, parsed on the event loop: 48 KB of opcodes take 25 ms."""

# Covalent cancels through another instance of the executor than the one that runs the task.
_running = CancellationRegistry()
_start_limiter = PerLoop(StartLimiter)
_node_progress = PerLoop(lambda: NodeProgress(node_updates.show_output))

_wiring: Any = None

# Covalent shows the records of its own logger's handlers, which this logger joins.
_log = logging.getLogger("covalent_lambda_container")
_log.setLevel(app_log.level)
for _handler in app_log.handlers:
    _log.addHandler(_handler)
_log.propagate = False


class AWSLambdaContainerExecutor(ConfiguredExecutor):
    __doc__ = ConfiguredExecutor.__doc__

    async def run(
        self,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        task_metadata: dict[str, Any],
    ) -> Any:
        """Run one electron; called by Covalent's dispatcher.

        Returns
        -------
        TransportableObject
            The electron's result, still pickled.

        Raises
        ------
        TaskRuntimeError
            The electron raised an exception; its traceback is in the task's stderr.
        LambdaContainerError
            It could not be run.
        """
        dispatch_id, node_id = str(task_metadata["dispatch_id"]), int(task_metadata["node_id"])
        await _start_limiter.get().take()
        try:
            cancellation = _running.begin(dispatch_id, node_id)
            try:
                work = self._outcome(function, args, kwargs, dispatch_id, node_id, cancellation)
                ended = await unless_cancelled(work, cancellation)
            finally:
                _running.end(dispatch_id, node_id, cancellation)
        except Cancelled:
            printed = await _node_progress.get().leave(dispatch_id, node_id)
            if self.task_stdout is not None:
                # Covalent replaces what the node has shown so far by these.
                self.task_stdout.write(printed.stdout)
                self.task_stderr.write(printed.stderr)
            raise TaskCancelledError from None
        if transport.is_transportable(ended):
            return ended
        if ended.error is None:
            self._write_streams(ended)
        else:
            message = _message(ended.error)
            has_error = await node_updates.record_error(dispatch_id, node_id, message)
            # Covalent's page shows a node's error below its stderr: the advice stands in one.
            self._write_streams(ended, "" if has_error else ended.error.get("advice", ""))
            raise TaskRuntimeError(message)
        return transport.transportable(ended.header, ended.text, ended.pickled)

    async def _outcome(
        self,
        function: Any,
        args: list[Any],
        kwargs: dict[str, Any],
        dispatch_id: str,
        node_id: int,
        cancellation: Cancellation,
    ) -> Outcome | Any:
        with _errors_of_form():
            if covalent_task.size_of(function, args, kwargs) < _READ_ON_LOOP:
                task = _read(function, args, kwargs)
            else:
                task = await in_thread(_read, function, args, kwargs)
        if not isinstance(task, covalent_task.Task):
            return task
        if task.refers_to_covalent:
            version = await server.covalent_version(self)
            task = dataclasses.replace(task, covalent_version=version)
        wiring = await _loaded_wiring()
        web_page.let_page_find_output(dispatch_id)
        await post_processing.reassign(dispatch_id, self.stored)
        service = wiring.service_for(self.options())
        contents_of = service.targets.contents_of
        async with _node_progress.get().shown(dispatch_id, node_id) as waiting:
            outcome: Outcome = await service.run(
                task,
                dispatch_id,
                node_id,
                cancellation=cancellation,
                retries=self.retries,
                # Elsewhere, nobody would see it.
                waiting=waiting if node_updates.in_dispatcher() else None,
            )
        # A user's own function may have that name, and be large.
        if outcome.completed and sublattices.has_builders_name(function.args[0]):
            await in_thread(self._check_sublattice, function.args[0], args, outcome, contents_of)
        error = outcome.error or {}
        if not error.get("missing_module") and not error.get("loading"):
            return outcome
        return await in_thread(_advised, outcome, function.args[0], task, contents_of)

    def _check_sublattice(
        self, function: Any, args: list[Any], outcome: Outcome, contents_of: Callable[[str], Any]
    ) -> None:
        if not sublattices.builds_sublattice(function):
            return
        options = self.stored()["attributes"]
        image = str(outcome.header[transport.MADE_IN])
        contents = contents_of(image)
        limits = sublattices.limits_of(
            args,
            options,
            options["sublattice_executors"],
            image=image,
            pins=frozenset(contents.packages) if contents else frozenset(),
        )
        sublattice_archives.check_archive(outcome.text, limits)

    def _write_streams(self, outcome: Outcome, advice: str = "") -> None:
        if self.task_stdout is None:
            # Run without Covalent's `execute`, which provides the streams.
            return
        lines = [outcome.stderr]
        if outcome.error is not None:
            lines += [outcome.error["traceback"], advice]
            if outcome.used:
                lines.append(Place(outcome.used.function, outcome.used.image_tag).line)
        if self.options().usage_report and outcome.used:
            lines.append(outcome.used.line)
        self.task_stdout.write(outcome.stdout)
        # Each part begins on its own line.
        self.task_stderr.write("\n".join(line.removesuffix("\n") for line in lines if line))
        if any(lines[1:]) or outcome.stderr.endswith("\n"):
            self.task_stderr.write("\n")

    async def cancel(self, task_metadata: dict[str, Any], job_handle: Any) -> bool:  # noqa: ARG002
        """Cancel a task; called by Covalent's dispatcher.

        The dispatcher stops waiting at once. A running task is cancelled through an object in S3,
        for which its handler checks every `poll_freq` / 2 seconds, at least every second.

        Returns
        -------
        bool
            Whether the task is running here. A task cancelled before it starts never runs.
        """
        cancellation = _running.cancel_task(
            str(task_metadata["dispatch_id"]), int(task_metadata["node_id"])
        )
        if cancellation is None:
            return False
        await in_thread(cancellation.request)
        return True


async def _loaded_wiring() -> Any:
    """Return the module `executor.wiring`, imported in a thread.

    Not imported at the top: Covalent imports its plugins with every `import covalent`, and boto3
    and docker take longer than all the rest. Not taken from `sys.modules`, which contains modules
    whose import has only begun: simultaneous tasks would find it half imported.
    """
    global _wiring
    if _wiring is None:
        _wiring = await in_thread(importlib.import_module, f"{__package__}.executor.wiring")
    return _wiring


def _advised(
    outcome: Outcome,
    function: Any,
    task: covalent_task.Task,
    contents_of: Callable[[str], Any],
) -> Outcome:
    # Imported here: Covalent imports this module while those are being imported.
    from covalent_lambda_container.covalent_api.node_kinds import kind_of
    from covalent_lambda_container.executor.failure_advice import advised

    return advised(outcome, kind_of(function), task, contents_of)


def _message(error: Mapping[str, str]) -> str:
    """Return the task's error and the advice on it, for Covalent to show."""
    message = f"{error['type']}: {error['message']}"
    return f"{message}\n{error['advice']}" if error.get("advice") else message


def _read(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return the task to run; or its result, if that can be assembled unopened."""
    result = collections.collection(function, args, kwargs)
    if result is None:
        result = post_processing.lattice_result(function, args, kwargs)
    return covalent_task.read_task(function, args, kwargs) if result is None else result


@contextlib.contextmanager
def _errors_of_form() -> Iterator[None]:
    """Explain the errors raised by values that Covalent does not pass on by itself."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, ValueError) as exc:
        raise InvocationError(
            "The electron does not have the form in which Covalent passes it on: "
            f"{type(exc).__name__}: {str(exc)[:200]}.",
            hint="If it belongs to a sublattice, a task or a package may have forged its graph.",
        ) from exc


def _complete_registration() -> None:
    """Register the plugin with a Covalent that this module has just imported.

    Covalent loads its plugins while it is imported. When this module imports it, it finds the
    module only partly initialized and skips it.
    """
    executors = sys.modules.get("covalent.executor")
    manager = getattr(executors, "_executor_manager", None)
    if manager is not None and SHORT_NAME not in manager.executor_plugins_map:
        manager._populate_executor_map_from_module(sys.modules[__name__])
        setattr(executors, EXECUTOR_PLUGIN_NAME, AWSLambdaContainerExecutor)


_complete_registration()
client_values.note_packages()
client_values.explain_missing_packages()
task_groups.keep_apart()
