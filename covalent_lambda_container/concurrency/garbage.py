"""Python's garbage collector, which holds the interpreter's lock while it runs."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0
_was_enabled = False


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the collector from running while the context is open, in all threads.

    With the hundreds of thousands of objects of a large document, each of its runs would keep the
    event loop for a tenth of a second. The objects are freed without it, by their counts.
    """
    global _users, _was_enabled
    with _lock:
        if not _users:
            _was_enabled = gc.isenabled()
            gc.disable()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _was_enabled:
                gc.enable()
