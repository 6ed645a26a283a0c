"""The sign in S3 by which a running task learns that it was called off.

One object for each dispatch, which lists the tasks of it that were called off: its URL is signed
once and serves all of them. It is there only while a task that it lists is under way.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.ports.stores import BlobStore

_SHARED_S: Final = 60
"""How long a URL serves new tasks, too. It ends with the credentials that have signed it, which may
be renewed every few minutes."""


class CancelSign:
    """One task's entry in its dispatch's sign; put at most once, and never after its end."""

    def __init__(self, dispatch: _Dispatch, task_id: str) -> None:
        self._dispatch = dispatch
        self._task_id = task_id
        self._ended = False
        self._is_put = False

    def put(self) -> None:
        """Tell the task that it was called off, unless it has ended."""
        with self._dispatch.lock:
            # In this order: either this sees the end, or `close` sees the entry.
            self._is_put = True
            if not self._ended:
                self._dispatch.called_off.add(self._task_id)
        self._dispatch.write()

    def close(self) -> bool:
        """Note that the task has ended; return whether there is an entry to remove."""
        # An entry that is made after the end would stay for ever.
        self._ended = True
        return self._is_put

    def remove(self) -> None:
        """Take the task's entry away."""
        with self._dispatch.lock:
            self._dispatch.called_off.discard(self._task_id)
        self._dispatch.write()


class CancelSigns:
    """The signs of all dispatches.

    Parameters
    ----------
    blobs
        Where they are put.
    now
        Clock, for tests.
    """

    def __init__(self, blobs: BlobStore, *, now: Callable[[], float] = time.time) -> None:
        self._blobs = blobs
        self._now = now
        # Each is there as long as one of its tasks.
        self._dispatches: WeakValueDictionary[str, _Dispatch] = WeakValueDictionary()

    def of(self, dispatch_id: str, task_id: str) -> CancelSign:
        """Return the sign of one task."""
        return CancelSign(self._dispatch(dispatch_id), task_id)

    def url(self, dispatch_id: str, *, valid_s: int) -> str:
        """Return a presigned URL for GET of a dispatch's sign, valid at least that long."""
        dispatch = self._dispatch(dispatch_id)
        now = self._now()
        if dispatch.url_ends < now + valid_s:
            lasts_s = valid_s + _SHARED_S
            dispatch.url = self._blobs.read_url(dispatch.key, valid_s=lasts_s)
            dispatch.url_ends = now + lasts_s
        return dispatch.url

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
    called_off: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    written: frozenset[str] = frozenset()
    writing: threading.Lock = field(default_factory=threading.Lock)

    def write(self) -> None:
        """Bring the object up to date; those who come meanwhile are written for all at once."""
        with self.writing:
            with self.lock:
                wanted = frozenset(self.called_off)
            if wanted == self.written:
                return
            if wanted:
                self.blobs.put(self.key, json.dumps(sorted(wanted)).encode())
            else:
                self.blobs.delete([self.key])
            self.written = wanted
