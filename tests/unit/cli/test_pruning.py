"""``covalent-lambda gc --local``, on fakes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.executor.wiring import LocalBuildStores
from covalent_lambda_container.files.cache_folder import using
from covalent_lambda_container.model.image_labels import spec_label
from tests.fakes import FakeImageStore
from tests.fakes.examples import image_spec

Run = Callable[..., Result]

OLD = datetime.now(timezone.utc) - timedelta(days=40)
TASK = f"registry.example.com/covalent-lambda:{image_spec().tag}"


@pytest.fixture
def engine() -> FakeImageStore:
    """An engine with one image of ours, which is old, and another one."""
    engine = FakeImageStore()
    root = engine.make("python:3.11", size=50_000_000, made=OLD)
    labels = spec_label(image_spec().json)
    engine.make(TASK, on=root, size=70_000_000, labels=labels, made=OLD)
    return engine


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with using(tmp_path):
        path = tmp_path / "package-archives" / "numpy-0123.tar"
        path.parent.mkdir()
    path.write_bytes(b"x" * 2_000_000)
    os.utime(path, (OLD.timestamp(),) * 2)
    return path


@pytest.fixture
def run(engine: FakeImageStore, tmp_path: Path) -> Run:
    """Run ``gc --local`` on the engine and the cache folder."""
    stores = LocalBuildStores(engine=engine, cache=tmp_path)
    wiring = SimpleNamespace(local_build_stores_for=lambda _: stores)

    def invoke(*arguments: str, answer: str | None = None) -> Result:
        words = ("gc", "--local", *arguments)
        return CliRunner().invoke(cli, words, input=answer, obj=wiring)

    return invoke


def names(engine: FakeImageStore) -> list[tuple[str, ...]]:
    return [image.names for image in engine.list_images()]


def test_a_dry_run_lists_unused_files_and_removes_nothing(
    run: Run, engine: FakeImageStore, archive: Path
) -> None:
    shown = run("--dry-run")
    assert shown.exit_code == 0
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["KIND", "NAME", "SIZE", "LAST", "USE"],
        ["image", TASK, "70", "MB", "40", "d"],
        ["package", "archive", str(archive), "2", "MB", "40", "d"],
        ["all", "2", "72", "MB"],
    ]
    assert archive.exists()
    assert names(engine) == [("python:3.11",), (TASK,)]


def test_it_is_removed_when_it_was_confirmed(
    run: Run, engine: FakeImageStore, archive: Path
) -> None:
    refused = run(answer="n\n")
    assert refused.exit_code == 1
    assert TASK in refused.stderr
    assert refused.stdout.strip() == ""
    assert archive.exists()
    removed = run(answer="y\n")
    assert removed.exit_code == 0
    assert "Removing 2 leftovers of builds" in removed.stderr
    assert not archive.exists()
    assert names(engine) == [("python:3.11",)]
    assert run("--yes").stdout == "nothing to remove\n"


def test_as_json_it_is_exact(run: Run, archive: Path) -> None:
    removed = json.loads(run("--yes", "--json").stdout)
    assert (removed["removed"], removed["size_bytes"]) == (True, 72_000_000)
    image, file = removed["leftovers"]
    assert (image["kind"], image["names"], image["size_bytes"]) == ("image", [TASK], 70_000_000)
    assert (file["kind"], file["names"], file["size_bytes"]) == (
        "package archive",
        [str(archive)],
        2_000_000,
    )
    assert datetime.fromisoformat(image["last_used"]) == OLD


def test_resources_used_before_confirmation_are_kept(
    run: Run, engine: FakeImageStore, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(*_: Any, **__: Any) -> bool:
        os.utime(archive)
        return True

    monkeypatch.setattr("click.confirm", confirm)
    assert "1 leftovers" in run().stderr
    assert archive.exists()
    assert names(engine) == [("python:3.11",)]


def test_younger_resources_are_kept(run: Run, engine: FakeImageStore, archive: Path) -> None:
    assert run("--yes", "--keep", "41d").stdout == "nothing to remove\n"
    assert archive.exists()


def test_without_an_engine_there_are_files(run: Run, engine: FakeImageStore, archive: Path) -> None:
    engine.reachable = False
    ended = run("--yes")
    assert ended.exit_code == 0
    assert "Images were skipped. Docker could not list its images" in ended.stderr
    assert not archive.exists()


def test_options_that_would_do_nothing_are_refused(
    run: Run, engine: FakeImageStore, archive: Path
) -> None:
    ended = run("--yes", "--region", "eu-central-1", "--repository", "mine")
    assert ended.exit_code == 2
    assert "--region, --repository: gc --local does not access an account." in ended.stderr
    assert archive.exists()
    ended = CliRunner().invoke(cli, ("gc", "--yes", "--cache-dir", str(archive.parent)))
    assert ended.exit_code == 2
    assert "--cache-dir: only gc --local uses it." in ended.stderr
