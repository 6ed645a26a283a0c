"""Python's exit waits until the threads of the HTTP client have finished the last requests.

pyqwest's threads let go of a request's Python objects a moment after its end. If the interpreter is
being finalized by then, the process aborts with SIGABRT, and its exit status is lost.
"""

from __future__ import annotations

import atexit
import time
from typing import Final

_FINISHED_AFTER_S: Final = 0.1
"""It takes a few milliseconds; a busy machine needs more."""

_last_end = float("-inf")


def note_end_of_request() -> None:
    """Note that a request has ended, or was cancelled, now."""
    global _last_end
    _last_end = time.monotonic()


@atexit.register
def _wait() -> None:
    left_s = _last_end + _FINISHED_AFTER_S - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)
