"""The sign in S3 by which a running task learns that it was cancelled.

One object for each dispatch lists its cancelled tasks: its URL is signed once and serves all of
them. The object exists only while a task that it lists is running.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.ports.stores import BlobStore

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""Longest time between two of a running task's looks for its cancellation."""

_SHARED_S: Final = 60
"""How long a URL is also used for new tasks. It ends with the credentials that signed it, which may
be renewed every few minutes."""

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
        Seconds between two attempts to write it.
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
            # In this order: either this sees the end, or `close` sees the entry.
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
        """Note that the task has ended; return whether there is an entry to remove."""
        # An entry that is made after the end would stay for ever.
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
        Where they are stored.
    now
        Clock, for tests.
    retry_s
        Seconds between two attempts to write a sign.
    """

    def __init__(
        self,
        blobs: BlobStore,
        *,
        now: Callable[[], float] = time.time,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._blobs = blobs
        self._now = now
        self._retry_s = retry_s
        # Each exists as long as one of its tasks.
        self._dispatches: WeakValueDictionary[str, _Dispatch] = WeakValueDictionary()

    def of(self, dispatch_id: str, task_id: str) -> CancelSign:
        """Return the sign of one task."""
        return CancelSign(self._dispatch(dispatch_id), task_id, self._retry_s)

    def url(self, dispatch_id: str, *, valid_s: int) -> str:
        """Return a presigned URL for GET of a dispatch's sign, valid at least that long."""
        dispatch = self._dispatch(dispatch_id)
        now = self._now()
        if dispatch.url_ends < now + valid_s:
            lasts_s = valid_s + _SHARED_S
            dispatch.url = self._blobs.read_url(dispatch.key, valid_s=lasts_s)
            dispatch.url_ends = now + lasts_s
        return dispatch.url

    def forget_url(self, dispatch_id: str) -> None:
        """Have a dispatch's URL signed again: the credentials have been replaced."""
        self._dispatch(dispatch_id).url_ends = 0.0

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
    url: str = ""
    url_ends: float = 0.0
    cancelled: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    written: frozenset[str] = frozenset()
    writing: threading.Lock = field(default_factory=threading.Lock)

    def write(self) -> None:
        """Update the object; requests that arrive meanwhile are written all at once."""
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
