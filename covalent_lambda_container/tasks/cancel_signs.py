"""Signs in S3 that notify running tasks of their cancellation.

One object per dispatch lists its cancelled tasks. It exists only while a listed task is running.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.ports.stores import BlobStore

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""Longest time between a running task's checks for its cancellation."""

_RETRY_S: Final = 1.0
"""Pause between two attempts to write a sign."""


class CancelSign:
    """One task's entry in its dispatch's sign; never written after the task's end.

    Parameters
    ----------
    dispatch
        The dispatch's sign.
    task_id
        The task.
    retry_s
        Seconds between attempts to write it.
    """

    def __init__(self, dispatch: _Dispatch, task_id: str, retry_s: float) -> None:
        self._dispatch = dispatch
        self._task_id = task_id
        self._retry_s = retry_s
        self._ended = threading.Event()
        self._is_put = False

    def put(self) -> None:
        """Notify the task that it was cancelled, unless it has ended.

        A sign that S3 does not accept is written again, in a thread, until the task ends.
        """
        with self._dispatch.lock:
            # The order matters: either this sees the end, or `close` sees the entry.
            self._is_put = True
            if not self._ended.is_set():
                self._dispatch.cancelled.add(self._task_id)
        if not self._write():
            threading.Thread(target=self._insist, name="covalent-lambda-sign", daemon=True).start()

    def _write(self) -> bool:
        try:
            self._dispatch.write()
        except LambdaContainerError as exc:
            log.warning(
                "The function of cancelled task %s could not be notified: %s", self._task_id, exc
            )
            return False
        return True

    def _insist(self) -> None:
        while not self._ended.wait(self._retry_s):
            if self._write():
                return

    def close(self) -> bool:
        """Record that the task has ended; return whether there is an entry to remove."""
        # An entry added after the end would never be removed.
        self._ended.set()
        return self._is_put

    def remove(self) -> None:
        """Remove the task's entry."""
        with self._dispatch.lock:
            self._dispatch.cancelled.discard(self._task_id)
        self._dispatch.write()


class CancelSigns:
    """The signs of all dispatches.

    Parameters
    ----------
    blobs
        The bucket that stores them.
    retry_s
        Seconds between attempts to write a sign.
    """

    def __init__(
        self,
        blobs: BlobStore,
        *,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._blobs = blobs
        self._retry_s = retry_s
        # Each entry exists as long as one of its dispatch's tasks.
        self._dispatches: WeakValueDictionary[str, _Dispatch] = WeakValueDictionary()

    def of(self, dispatch_id: str, task_id: str) -> CancelSign:
        """Return the sign of one task."""
        return CancelSign(self._dispatch(dispatch_id), task_id, self._retry_s)

    def url(self, dispatch_id: str, *, valid_s: int) -> str:
        """Return a presigned GET URL of a dispatch's sign.

        Signed for each task: a URL ends with the credentials that signed it, and these may have
        been replaced since the last task.
        """
        return self._blobs.read_url(self._dispatch(dispatch_id).key, valid_s=valid_s)

    def _dispatch(self, dispatch_id: str) -> _Dispatch:
        found = self._dispatches.get(dispatch_id)
        if found is None:
            found = self._dispatches[dispatch_id] = _Dispatch(
                blobs=self._blobs, key=f"{OBJECT_PREFIX}{dispatch_id}/called-off"
            )
        return found


@dataclass(kw_only=True, eq=False)
class _Dispatch:
    blobs: BlobStore
    key: str
    cancelled: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    written: frozenset[str] = frozenset()
    writing: threading.Lock = field(default_factory=threading.Lock)

    def write(self) -> None:
        """Update the object; requests that arrive meanwhile are written together."""
        with self.writing:
            with self.lock:
                wanted = frozenset(self.cancelled)
            if wanted == self.written:
                return
            if wanted:
                self.blobs.put(self.key, json.dumps(sorted(wanted)).encode())
            else:
                self.blobs.delete([self.key])
            self.written = wanted
