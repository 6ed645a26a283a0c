"""The way of answers: inside the invocation, or through S3 where no connection can lose them."""

from __future__ import annotations

import base64
import contextlib
import json
import mmap
import os
import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from . import wire

_REMEMBERED_ANSWERS = 256
_REMEMBERED_BYTES = 16 * 1024 * 1024
_LONG_TEXT = 256 * 1024
"""Characters of a result's text that stand in the index; a longer one is a blob, which the
dispatcher reads piece by piece."""
_QUICK_S = 2.0
"""How long an answer that may as well travel inline waits for S3."""


class Deliveries:
    """Sends answers, and remembers those that travelled inline.

    Lambda's service answers its caller over a connection that may break without the function's
    knowledge. The dispatcher then asks for the answer by its task's id, and `store` puts it in S3.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[str, tuple[str, bytes, int]] = OrderedDict()
        self._bytes = 0

    def send(
        self, event: dict[str, Any], answer: dict[str, Any], result_file: int, elapsed_s: float,
        remaining_s: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Return what the invocation answers.

        Parameters
        ----------
        event
            The task's event.
        answer
            The answer without its pickle.
        result_file
            Descriptor of the pickle; empty if there is none.
        elapsed_s
            How long the task took.
        remaining_s
            Time to the function's deadline.
        """
        pickle_bytes = os.fstat(result_file).st_size if answer["result"] else 0
        # Base64 makes four bytes of three; the answer's own text is measured as it will be sent.
        size = len(json.dumps(answer)) + 4 * (pickle_bytes // 3 + 1)
        fits = size <= event["inline_limit"]
        if not fits or elapsed_s >= event["durable_after_s"]:
            from .transfer import upload

            patience_s = min(_QUICK_S, remaining_s) if fits else remaining_s
            try:
                with _mapped(result_file, pickle_bytes) as content:
                    upload(event["result_url"], _packed(answer, content), patience_s=patience_s)
            except OSError as exc:
                if not fits:
                    error = {"type": "ResultNotStored", "message": str(exc), "traceback": ""}
                    return answer | {"status": wire.NOT_STORED, "result": None, "error": error}
                # The connection has most likely held, and carries it too.
                print(f"The answer goes inline: {exc}", file=sys.stderr)
            else:
                return {"v": wire.VERSION, "result_at": "s3"}
        if pickle_bytes:
            pickled = os.pread(result_file, pickle_bytes, 0)
            answer["result"]["pickle"] = base64.b64encode(pickled).decode()
        self._remember(event["id"], event["result_url"], answer, size)
        return answer

    def store(self, task_ids: Iterable[str], remaining_s: float) -> list[str]:
        """Put answers in S3 that travelled inline; return the ids of those that are there now."""
        from .transfer import upload

        stored = []
        for task_id in task_ids:
            if task_id not in self._recent:
                continue
            url, text, _ = self._recent[task_id]
            answer = json.loads(text)
            pickled = (answer["result"] or {}).pop("pickle", None)
            blobs = [] if pickled is None else [base64.b64decode(pickled)]
            try:
                upload(url, wire.pack(answer, blobs), patience_s=min(remaining_s, _QUICK_S))
            except OSError as exc:
                print(f"An answer was not stored: {exc}", file=sys.stderr)
            else:
                self._forget(task_id)
                stored.append(task_id)
        return stored

    def _remember(self, task_id: str, url: str, answer: dict[str, Any], size: int) -> None:
        self._recent[task_id] = url, json.dumps(answer).encode(), size
        self._bytes += size
        while len(self._recent) > _REMEMBERED_ANSWERS or self._bytes > _REMEMBERED_BYTES:
            self._forget(next(iter(self._recent)))

    def _forget(self, task_id: str) -> None:
        _, _, size = self._recent.pop(task_id)
        self._bytes -= size


def _packed(answer: dict[str, Any], pickled: memoryview) -> list[bytes | memoryview]:
    result = answer["result"]
    if not result:
        return wire.pack(answer, [])
    shown = result.get("string")
    # The task's process wrote it, and may have written anything.
    if not isinstance(shown, str) or len(shown) <= _LONG_TEXT:
        return wire.pack(answer, [pickled])
    text = shown.encode("utf-8", "backslashreplace")
    return wire.pack(answer | {"result": result | {"string": ""}}, [pickled, text])


class _mapped:  # noqa: N801 - a context manager, used like a function
    """A file's content in memory, not copied."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._map = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else None
        self._view = memoryview(self._map) if self._map is not None else memoryview(b"")

    def __enter__(self) -> memoryview:
        return self._view

    def __exit__(self, *_: object) -> None:
        self._view.release()
        if self._map is not None:
            # Views of it that an error's traceback holds keep it open until they go.
            with contextlib.suppress(BufferError):
                self._map.close()
