"""Descriptions of root images, across releases of this package."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from covalent_lambda_container.images.root_image import RootImage, find_root_image
from tests.fakes.engine import ROOT, FakeEngine
from tests.fakes.examples import image_spec

PYTHON = "{}.{}".format(*sys.version_info)


def found(engine: FakeEngine, cache: Path) -> RootImage:
    spec = image_spec(base_image=ROOT, python_version=PYTHON)
    with ExitStack() as cleanup:
        return find_root_image(
            engine,
            spec,
            cache,
            lambda name: cleanup.enter_context(engine.container(name, "x86_64")),
        )


def test_a_root_is_asked_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    assert found(engine, tmp_path) == found(engine, tmp_path)
    assert len(engine.containers) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"python": "3.11"}', '{"python": "3.11", "added": 1}']
)
def test_a_record_of_another_release_or_a_damaged_one_is_written_again(
    tmp_path: Path, content: str
) -> None:
    expected = found(FakeEngine(), tmp_path / "other")
    (tmp_path / "root.json").write_text(content)
    engine = FakeEngine()
    assert found(engine, tmp_path) == expected
    assert found(engine, tmp_path) == expected
    assert len(engine.containers) == 1
