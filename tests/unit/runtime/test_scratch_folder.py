"""What a task finds around it: the next one has room, whatever this one left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from covalent_lambda_container.runtime import surroundings


def test_a_full_disk_is_emptied_even_while_somebody_else_removes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "_SCRATCH", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text("left")
    listed = list(os.scandir(tmp_path))
    (tmp_path / "two").unlink()
    monkeypatch.setattr(os, "scandir", lambda _: iter(listed))
    surroundings._make_room()
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
