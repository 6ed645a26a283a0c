"""Removes build arguments from texts: they are in request URLs, and may have proxy passwords."""

from __future__ import annotations

import logging
import re
from typing import Final

_ARGUMENTS: Final = re.compile(r"\bbuildargs=[^&\s\"']*")


def without_build_arguments(text: str) -> str:
    """Return a text without the build arguments in its URLs."""
    return _ARGUMENTS.sub("buildargs=...", text)


class _Redaction(logging.Filter):
    """Removes them from urllib3's log of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = without_build_arguments(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


_REDACTION: Final = _Redaction()


def keep_out_of_logs() -> None:
    """Keep build arguments out of urllib3's log; calling this again changes nothing."""
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACTION)
