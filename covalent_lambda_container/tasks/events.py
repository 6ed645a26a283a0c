"""The events that carry tasks to their functions."""

from __future__ import annotations

import json
from typing import Any, Final

from covalent_lambda_container.concurrency.event_loop import BRIEF_BYTES
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import Call, TaskObjects
from covalent_lambda_container.tasks.cancel_signs import POLL_S, CancelSigns
from covalent_lambda_container.tasks.live_output import LiveOutputs
from covalent_lambda_container.tasks.s3_envelope import packed_task
from covalent_lambda_container.tasks.transfers import Transfers

INLINE_LIMIT: Final = wire.LAMBDA_PAYLOAD_LIMIT - 64 * 1024
"""Most bytes of an inline request or answer; the rest of Lambda's limit is for the envelope."""

SENT_WITHIN_S: Final = 900.0
"""How long to retry a task that Lambda does not accept."""


class TaskEvents:
    """Writes events, and signs the URLs in them.

    Parameters
    ----------
    blobs, transfers, signs, live
        What the URLs are for: tasks and answers that are too large for an event, cancellations,
        and output shown while a task runs.
    """

    def __init__(
        self, blobs: BlobStore, transfers: Transfers, signs: CancelSigns, live: LiveOutputs
    ) -> None:
        self._blobs = blobs
        self._transfers = transfers
        self._signs = signs
        self._live = live

    async def event(
        self, call: Call, objects: TaskObjects, instructions: dict[str, Any], *, is_shown: bool
    ) -> bytes:
        """Return a task's event, at most 6 MB of JSON; a larger task goes to S3.

        Parameters
        ----------
        call, objects
            The task, and its objects in S3.
        instructions
            Entries for its own answer and for missing ones (`Recovery.instructions`).
        is_shown
            Whether its output is shown while it runs.
        """
        # URLs are valid longer than the invocation that uses them, throttling included.
        valid_s = call.timeout_s + int(SENT_WITHIN_S) + 60
        event: dict[str, Any] = {
            "v": wire.VERSION,
            "id": objects.task_id,
            "result_url": self._blobs.write_url(objects.result_key, valid_s=valid_s),
            "cancel_url": self._signs.url(call.dispatch_id, valid_s=valid_s),
            "cancel_poll_s": min(call.poll_interval_s / 2, POLL_S),
            "inline_limit": INLINE_LIMIT,
            **instructions,
            "dispatch_id": call.dispatch_id,
            "node_id": call.node_id,
        }
        if is_shown:
            event |= self._live.instructions(objects, valid_s=valid_s)
        if call.payload_bytes <= BRIEF_BYTES:
            return json.dumps(event | {"task": call.payload}).encode()
        return await self._transfers.run(self._long_event, call, objects, event, valid_s)

    def _long_event(
        self, call: Call, objects: TaskObjects, event: dict[str, Any], valid_s: int
    ) -> bytes:
        if call.payload_bytes <= INLINE_LIMIT:
            inline = json.dumps(event | {"task": call.payload}).encode()
            if len(inline) <= wire.LAMBDA_PAYLOAD_LIMIT:
                return inline
        objects.used.append(objects.task_key)
        self._blobs.put(objects.task_key, packed_task(call.payload))
        event["task_url"] = self._blobs.read_url(objects.task_key, valid_s=valid_s)
        return json.dumps(event).encode()
