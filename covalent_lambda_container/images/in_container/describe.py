"""Prints a root image's description as JSON: Python, C library, whether Lambda can start it.

``python`` is the minor version; ``build`` distinguishes builds of Python, since two builds of one
minor version need not compile a file to the same bytes. ``glibc`` is empty for other C libraries.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import MAGIC_NUMBER

ENTRYPOINT = "/lambda-entrypoint.sh"


def describe() -> dict[str, object]:
    """Return the description."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except ValueError:
        name = version = ""
    return {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "build": f"{sys.implementation.name} {sys.version} {MAGIC_NUMBER.hex()}",
        "cache_tag": sys.implementation.cache_tag,
        "glibc": version if name == "glibc" else "",
        "has_interface": os.access(ENTRYPOINT, os.X_OK),
    }


if __name__ == "__main__":
    print(json.dumps(describe()))
