"""The progress of a push."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_THERE: Final = ("Pushed", "Layer already exists", "Mounted from")


class PushedLayers:
    """Counts layers and bytes, from the records of a push's stream."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._done: set[str] = set()

    def follow(self, record: Mapping[str, Any]) -> str:
        """Add a record, ``{"id": layer, "status": …, "progressDetail": {…}}``; return the progress.

        Returns
        -------
        str
            ``"pushing: 3 of 9 layers, 41 of 85 MB"``; empty for a record that is not a layer's.
        """
        layer = record.get("id")
        if not layer:
            return ""
        detail = record.get("progressDetail") or {}
        _, known = self._layers.setdefault(layer, (0, 0))
        if detail.get("current"):
            # Docker counts uncompressed bytes and padding, sometimes more than the total.
            current = int(detail["current"])
            self._layers[layer] = current, max(int(detail.get("total", 0)), known, current)
        if str(record.get("status", "")).startswith(_THERE):
            self._done.add(layer)
        sent, total = (sum(sizes) for sizes in zip(*self._layers.values(), strict=True))
        megabytes = f", {sent / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
        return f"pushing: {len(self._done)} of {len(self._layers)} layers{megabytes}"
