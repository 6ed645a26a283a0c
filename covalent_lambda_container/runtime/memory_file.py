"""Files in memory, through which processes pass data of any size without copies."""

from __future__ import annotations

import os
import tempfile


def memory_file(name: str) -> int:
    """Return the descriptor of an empty file that has no name in any folder.

    Parameters
    ----------
    name
        Name shown in ``/proc``.
    """
    try:
        return os.memfd_create(name)
    except (AttributeError, OSError):
        # A kernel without memfd_create(2).
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write everything, at the descriptor's position."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
