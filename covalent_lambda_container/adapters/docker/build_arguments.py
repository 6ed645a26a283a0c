"""Build arguments in requests: the API takes them in the URL, and a proxy's has its password."""

from __future__ import annotations

import logging
import re
from typing import Final

_ARGUMENTS: Final = re.compile(r"\bbuildargs=[^&\s\"']*")


def without_build_arguments(text: str) -> str:
    """Return a text with the build arguments in its URLs left out."""
    return _ARGUMENTS.sub("buildargs=...", text)


class _Redaction(logging.Filter):
    """Leaves them out of what urllib3 logs of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = without_build_arguments(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


_REDACTION: Final = _Redaction()


def keep_out_of_logs() -> None:
    """Leave build arguments out of urllib3's log; calling this again changes nothing."""
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACTION)
