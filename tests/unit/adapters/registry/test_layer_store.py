"""Layers on disk, and disks that fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.registry.layer_store import LayerDamaged, LayerStore

ARCHIVE = [b"a" * 5_000, b"b" * 5_000]


def damage(file: Path) -> None:
    """Change a byte and nothing that the file system would show."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_damage_that_came_after_the_check_is_found_at_the_end_of_a_read(tmp_path: Path) -> None:
    store = LayerStore(tmp_path)
    layer = store.layer(ARCHIVE)
    (file,) = (tmp_path / "layers").glob("*.tar.gz")
    damage(file)
    with pytest.raises(LayerDamaged, match="was damaged"):
        list(store.read(layer))
    assert not file.exists()
    assert not store.has(layer)
    assert store.layer(ARCHIVE) == layer
    assert b"".join(store.read(layer))


def test_a_layer_is_checked_by_every_process_that_relies_on_it(tmp_path: Path) -> None:
    layer = LayerStore(tmp_path).layer(ARCHIVE)
    assert LayerStore(tmp_path).has(layer)
    (file,) = (tmp_path / "layers").glob("*.tar.gz")
    damage(file)
    assert not LayerStore(tmp_path).has(layer)


class Unwanted(Exception):
    pass


def test_work_that_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    def check() -> None:
        raise Unwanted

    with pytest.raises(Unwanted):
        LayerStore(tmp_path).layer(ARCHIVE, check)
    assert not list(tmp_path.rglob("*.tar.gz"))
