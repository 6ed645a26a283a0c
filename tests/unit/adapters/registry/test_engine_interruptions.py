"""Processes that end in the middle, processes side by side, and a disk that is really full."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.cache_folder import SCRATCH
from tests.fakes.registry_server import FakeRegistryServer
from tests.unit.adapters.registry.registry_images import Dispatcher, manifest_of

ROOT = Path(__file__).parents[4]
MAKE = "from tests.unit.adapters.registry.test_engine_interruptions import make; make()"
PATIENCE_S = 60


def make() -> None:
    """Build and push an image in a process of its own; print its digest."""
    endpoint, password, cache, tag = sys.argv[1:]
    server: Any = SimpleNamespace(endpoint=endpoint, password=password)
    dispatcher = Dispatcher(server, Path(cache))
    sys.stdout.write(f"\n{dispatcher.make('numpy', 'small==1', tag=tag)}\n")


def started(server: FakeRegistryServer, cache: Path, tag: str = "tag") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, server.endpoint, server.password, str(cache), tag],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def digest_of(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, printed
    return printed.split()[-1]


def check_cache(cache: Path) -> None:
    """Check that every layer in a cache folder is whole."""
    for record in (cache / "layers").glob("*.json"):
        digest = hashlib.sha256(record.with_suffix(".tar.gz").read_bytes()).hexdigest()
        assert f"sha256:{digest}" == json.loads(record.read_text())["digest"]
    assert {path.suffix for path in (cache / "layers").iterdir()} <= {".json", ".gz"}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_ends_during_an_upload_leaves_nothing_half_made(
    server: FakeRegistryServer, tmp_path: Path, sent: signal.Signals
) -> None:
    server.seconds_per_body = 1.0
    process = started(server, tmp_path)
    deadline = time.monotonic() + PATIENCE_S
    while not any(method == "PATCH" for method, _, _ in server.requests):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(sent)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    assert not server.repositories["tasks"].manifests
    server.seconds_per_body = 0.0
    digest = digest_of(started(server, tmp_path))
    assert server.repositories["tasks"].manifests["tag"]
    check_cache(tmp_path)
    assert not list(tmp_path.glob(f"{SCRATCH}*"))
    for name, blob in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == name
    assert digest.startswith("sha256:")


def test_processes_side_by_side_make_the_same_image(
    server: FakeRegistryServer, tmp_path: Path
) -> None:
    # Two on one machine, one on another.
    caches = tmp_path / "here", tmp_path / "here", tmp_path / "there"
    running = [started(server, cache, f"tag-{number}") for number, cache in enumerate(caches)]
    assert len({digest_of(process) for process in running}) == 1
    for cache in {*caches}:
        check_cache(cache)
        assert not list(cache.glob(f"{SCRATCH}*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of five megabytes, for those who may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_fails_the_build_and_the_next_one_succeeds(
    server: FakeRegistryServer, small_disk: Path
) -> None:
    dispatcher = Dispatcher(server, small_disk)
    # Its archive has more than there is room for.
    with pytest.raises(ImageBuildError, match=r"No space left(.|\n)*cache_dir"):
        dispatcher.make("numpy")
    assert "tag" not in server.repositories["tasks"].manifests
    # A layer of the root may still be on its way.
    deadline = time.monotonic() + PATIENCE_S
    while list(small_disk.glob(f"{SCRATCH}*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    dispatcher.make("numpy")
    assert manifest_of(server)
    check_cache(small_disk)
