"""The cache folder: unfinished files are removed with the process that writes them."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from covalent_lambda_container.files.cache_folder import (
    SCRATCH,
    make_private,
    remove_leftovers,
    scratch,
    using,
)

HOLDER = """
import sys
from pathlib import Path
from covalent_lambda_container.files.cache_folder import scratch

with scratch(Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("umask", [0o022, 0])
def test_only_the_owner_can_read_the_folder(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for number, use in enumerate((using, scratch, make_private)):
            cache = tmp_path / str(number) / "new" / "cache"
            with contextlib.ExitStack() as cleanup:
                entered = use(cache)
                if entered is not None:
                    cleanup.enter_context(entered)
            assert [stat.S_IMODE(each.stat().st_mode) for each in (cache, cache.parent)] == [
                0o700,
                0o700,
            ]
    finally:
        os.umask(before)


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with using(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o770


def test_a_folder_of_unfinished_files_is_empty_and_goes(tmp_path: Path) -> None:
    with scratch(tmp_path / "cache") as folder:
        assert folder.parent == tmp_path / "cache"
        (folder / "half").touch()
    assert list((tmp_path / "cache").iterdir()) == []


def test_files_of_killed_processes_are_removed_and_those_of_running_ones_kept(
    tmp_path: Path,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        with scratch(tmp_path) as own:
            remove_leftovers(tmp_path)
            assert (left / "half").exists()
            holder.kill()
            holder.wait()
            remove_leftovers(tmp_path)
            assert list(tmp_path.glob(f"{SCRATCH}*")) == [own]
