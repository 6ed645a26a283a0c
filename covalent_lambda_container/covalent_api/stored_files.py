"""The files that Covalent's server keeps of nodes and dispatches: values, texts, documents."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError

from covalent._workflow.transportable_object import (
    HEADER_OFFSET,
    TOArchiveUtils,
    TransportableObject,
)

_TEXT_BYTES: Final = 4 * 1024 * 1024
"""As much of a text is read; the handler keeps less of a task's output."""


@dataclass(frozen=True)
class StoredFiles:
    """The files of a node or of a dispatch: Covalent's *assets*.

    Parameters
    ----------
    records
        ``remote_uri`` and ``size`` of each, by its key, as a manifest has them.
    """

    records: Mapping[str, Any]

    def text(self, key: str, *, growing: bool = False) -> str:
        """Return a text, up to its first 4 MiB; empty if there is none.

        Parameters
        ----------
        key
            ``"stdout"``, ``"stderr"``, ``"error"``.
        growing
            Look for it even if the server knows no size yet, as of a running task's output.
        """
        try:
            return self._content(key, _TEXT_BYTES, growing=growing).decode("utf-8", "replace")
        except HTTPError as exc:
            exc.close()
            if not growing:
                raise
            # Nothing was written yet: Covalent's server answers with status 500 then.
            return ""

    def document(self, key: str) -> Any:
        """Return what a JSON document says; None if there is none."""
        content = self._content(key)
        return json.loads(content) if content else None

    def value(self, key: str) -> TransportableObject | None:
        """Return a value, unopened; None if there is none."""
        content = self._content(key)
        return TransportableObject.deserialize(content) if content else None

    def header_of(self, key: str) -> TransportableObject | None:
        """Return a value's header without the value, which may be large; None if there is none."""
        if not self._has(key):
            return None
        # As Covalent opens it.
        with urllib.request.urlopen(self.records[key]["remote_uri"]) as stored:  # noqa: S310
            start = stored.read(HEADER_OFFSET)
            start += stored.read(TOArchiveUtils.string_offset(start) - HEADER_OFFSET)
        return TransportableObject.deserialize(start, header_only=True)

    def _has(self, key: str, *, growing: bool = False) -> bool:
        record = self.records.get(key) or {}
        return bool(record.get("remote_uri") and (growing or record.get("size")))

    def _content(self, key: str, limit: int = -1, *, growing: bool = False) -> bytes:
        if not self._has(key, growing=growing):
            return b""
        with urllib.request.urlopen(self.records[key]["remote_uri"]) as stored:  # noqa: S310
            content: bytes = stored.read(limit)
            return content
