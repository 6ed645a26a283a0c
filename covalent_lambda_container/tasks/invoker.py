"""Runs one task to one outcome: how it is sent, and when it may be sent again."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from covalent_lambda_container import progress, step_log
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.errors import InvocationError, LambdaContainerError, UnusableAnswer
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    CredentialsRefused,
    Invocations,
    NotAccepted,
    Reply,
)
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.answers import in_s3, validated
from covalent_lambda_container.tasks.call import Call, TaskObjects
from covalent_lambda_container.tasks.cancel_signs import CancelSign, CancelSigns
from covalent_lambda_container.tasks.events import SENT_WITHIN_S, TaskEvents
from covalent_lambda_container.tasks.live_output import LiveOutputs, Printed, ShowOutput
from covalent_lambda_container.tasks.outcome import Outcome, failure_of, outcome_of
from covalent_lambda_container.tasks.recovery import Recovery
from covalent_lambda_container.tasks.transfers import (
    LONGEST_DELAY_S,
    UNREACHABLE_PATIENCE_S,
    Transfers,
)

log = logging.getLogger(__name__)


class Invoker:
    """Runs tasks on functions.

    Parameters
    ----------
    invocations, blobs
        The outside systems.
    sleep, now
        Clock; replaced in tests.
    """

    def __init__(
        self,
        invocations: Invocations,
        blobs: BlobStore,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invocations = invocations
        self._blobs = blobs
        self._signs = CancelSigns(blobs)
        self._live = LiveOutputs(blobs, sleep=sleep, now=now)
        self._transfers = Transfers(blobs, sleep=sleep, now=now)
        self._recovery = Recovery(invocations, self._transfers, sleep=sleep, now=now)
        self._events = TaskEvents(blobs, self._transfers, self._signs, self._live)
        self._sleep = sleep
        self._now = now

    async def run(
        self, call: Call, cancellation: Cancellation, show: ShowOutput | None = None
    ) -> Outcome:
        """Run a task once and return how it ended.

        Parameters
        ----------
        call, cancellation
            The task, and its cancellation.
        show
            Shows the task's output while it runs; None to show nothing.

        Raises
        ------
        Cancelled
            The task was cancelled; if it had been sent, its function was notified.
        FunctionMissing
            The function no longer exists; nothing ran.
        InvocationError
            The task did not end normally: the subclass says how.
        """
        cancellation.check()
        objects = TaskObjects.of(call)
        sign = self._signs.of(call.dispatch_id, objects.task_id)
        cancellation.on_request(sign.put)
        try:
            sign_event = functools.partial(self._event, call, objects, is_shown=show is not None)
            event = await sign_event()
            cancellation.check()
            started = time.perf_counter()
            async with self._live.shown(objects, show):
                given, log_tail = await self._answer(call, event, objects, cancellation, sign_event)
            if objects.result_key in objects.used:
                answer = await in_thread(validated, given, call.function_name)
            else:
                answer = validated(given, call.function_name)
            if answer["status"] == wire.CANCELLED and not cancellation.requested:
                raise UnusableAnswer(
                    f"Function {call.function_name} returned an unusable answer: its task was "
                    "cancelled, which nobody has requested.",
                )
            facts = {"function": call.function_name, "status": answer["status"]}
            facts |= answer["usage"]
            step_log.record("task.invoke", f"{call.dispatch_id}:{call.node_id}", started, facts)
        finally:
            if sign.close() or objects.used:
                await self._transfers.run(self._clean, call, objects, sign)
        if show and answer["status"] in (wire.CRASHED, wire.NOT_STORED):
            # Covalent is given an error, and no output.
            show(Printed(answer["stdout"], answer["stderr"]))
        return outcome_of(call, answer | {"log_tail": log_tail})

    async def _event(self, call: Call, objects: TaskObjects, *, is_shown: bool) -> bytes:
        instructions = self._recovery.instructions(call.function_name)
        return await self._events.event(call, objects, instructions, is_shown=is_shown)

    async def _answer(
        self,
        call: Call,
        event: bytes,
        objects: TaskObjects,
        cancellation: Cancellation,
        sign_event: Callable[[], Awaitable[bytes]],
    ) -> tuple[Any, str]:
        """Return the function's answer, unchecked, and the end of the invocation's log."""
        try:
            reply = await self._accepted(call, event, cancellation, sign_event)
        except ConnectionLost as exc:
            objects.used.append(objects.result_key)
            return await self._recovery.recover(call, objects, exc), ""
        if reply.function_error:
            return await self._stored_before(failure_of(call, reply), objects), reply.log_tail
        answer = reply.payload
        if in_s3(answer):
            objects.used.append(objects.result_key)
            stored = await self._transfers.patient_answer(objects.result_key)
            if stored is None:
                raise InvocationError(
                    f"Function {call.function_name} reported its result in S3, but "
                    f"{objects.result_key} is not there.",
                    hint="Does a lifecycle rule of the bucket, or another process, remove objects?",
                )
            answer = stored
        return answer, reply.log_tail

    async def _stored_before(self, failure: InvocationError, objects: TaskObjects) -> Any:
        """Return the answer that a function had stored when Lambda ended it; raise if it had none.

        Storing an answer, and handing it over, may take longer than the time that is left.
        """
        objects.used.append(objects.result_key)
        try:
            stored = await self._transfers.answer(objects.result_key)
        except LambdaContainerError as exc:
            log.warning("S3 did not say whether the answer is there: %s", exc)
            stored = None
        if stored is None:
            raise failure
        return stored

    async def _accepted(
        self,
        call: Call,
        event: bytes,
        cancellation: Cancellation,
        sign_event: Callable[[], Awaitable[bytes]],
    ) -> Reply:
        """Send the task until Lambda accepts it; never again after that."""
        are_refused = False
        started = reached = self._now()
        longest_s = 0.25
        while True:
            if are_refused:
                event = await sign_event()
            try:
                with self._recovery.in_flight(call.function_name):
                    return await self._invocations.invoke(
                        call.function_name, event, timeout_s=call.timeout_s
                    )
            except NotAccepted as exc:
                are_refused = isinstance(exc, CredentialsRefused)
                if exc.brief:
                    since, patience_s = reached, UNREACHABLE_PATIENCE_S
                else:
                    reached = self._now()
                    since, patience_s = started, SENT_WITHIN_S
                delay_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - jitter, no secret
                if self._now() + delay_s > since + patience_s:
                    raise InvocationError(
                        f"Function {call.function_name} was not started within {patience_s:.0f} "
                        f"s: {exc}",
                        hint=exc.hint,
                    ) from exc
                advice = f". {exc.hint.partition(chr(10))[0]}" if exc.hint else ""
                said = str(exc).rstrip(".")
                progress.report(f"waiting for Lambda, up to {patience_s:.0f} s: {said}{advice}")
            await self._sleep(delay_s)
            cancellation.check()
            longest_s = min(longest_s * 2, LONGEST_DELAY_S)

    def _clean(self, call: Call, objects: TaskObjects, sign: CancelSign) -> None:
        try:
            sign.remove()
            if objects.used and call.cleanup:
                self._blobs.delete(objects.used)
        except LambdaContainerError as exc:
            # The task's outcome matters more than cleaning up.
            log.warning("S3 objects of task %s were not removed: %s", objects.task_id, exc)
