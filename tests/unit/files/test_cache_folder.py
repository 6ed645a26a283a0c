"""The cache folder: unfinished files go with the process that makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from covalent_lambda_container.files.cache_folder import SCRATCH, remove_leftovers, scratch

HOLDER = """
import sys
from pathlib import Path
from covalent_lambda_container.files.cache_folder import scratch

with scratch(Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_of_unfinished_files_is_empty_and_goes(tmp_path: Path) -> None:
    with scratch(tmp_path / "cache") as folder:
        assert folder.parent == tmp_path / "cache"
        (folder / "half").touch()
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_has_is_not(
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
