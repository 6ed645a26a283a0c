"""Keeps secrets out of botocore's debug logs, which quote whole requests and answers.

ECR's answer with the registry's password, and that of a role that was assumed, are among them.
"""

from __future__ import annotations

import logging
import re
from typing import Final

_LOGGERS: Final = (
    *("botocore.auth", "botocore.credentials", "botocore.endpoint", "botocore.hooks"),
    *("botocore.httpsession", "botocore.parsers", "botocore.tokens", "botocore.utils"),
    "urllib3.connectionpool",
)
_NAMES: Final = (
    "authorizationToken|X-Amz-Security-Token|X-Amz-Signature|Secret_?Access_?Key|Session_?Token"
    "|Access_?Token|Client_?Secret|Refresh_?Token|Id_?Token|Signature"
)
# As JSON, XML, header, query, and Python's text of bytes and dictionaries.
_SECRET: Final = re.compile(
    rf"""(?ix) ({_NAMES}) (["']? \s* [:=] \s* b?["']? | >) ([^\s"'<>&,]+)"""
)
_SIGNATURE: Final = re.compile(r"(Signature:\s*)[0-9a-f]{64}")


def hide_secrets() -> None:
    """Replace secrets in the debug logs of this process's AWS clients by ``…``."""
    for name in _LOGGERS:
        # A filter is added once, however often this is called.
        logging.getLogger(name).addFilter(_without_secrets)


def redacted(text: str) -> str:
    """Return a line of a log without the secrets that it names."""
    return _SIGNATURE.sub(r"\1…", _SECRET.sub(r"\1\2…", text))


def _without_secrets(record: logging.LogRecord) -> bool:
    if record.levelno <= logging.DEBUG:
        record.msg, record.args = redacted(record.getMessage()), ()
    return True
