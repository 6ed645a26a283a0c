"""The cache folder: unfinished files are removed with the process that writes them."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from covalent_lambda_container.errors import ConfigurationError, ImageBuildError
from covalent_lambda_container.files.cache_folder import (
    SCRATCH,
    disk_errors_explained,
    is_tagged,
    make_private,
    remove_leftovers,
    scratch,
    using,
)
from covalent_lambda_container.files.kept_files import keep
from covalent_lambda_container.files.locks import locked

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


def test_a_fork_removes_none_of_the_unfinished_files(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from covalent_lambda_container.files.cache_folder import scratch\n"
        "with scratch(Path(sys.argv[1])) as folder:\n"
        "    child = os.fork()\n"
        "    if not child: sys.exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    child = os.fork()\n"
        "    if not child: raise RuntimeError('leaves the context')\n"
        "    os.waitpid(child, 0)\n"
        "    print(folder.exists(), flush=True)\n"
        "print(folder.exists())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "True\nFalse\n"


@pytest.mark.parametrize("left", ["", "Signature: 8a477f", "\0" * 150])
def test_a_mark_that_was_lost_with_the_machine_is_written_again(tmp_path: Path, left: str) -> None:
    (tmp_path / "CACHEDIR.TAG").write_text(left)
    with using(tmp_path):
        assert is_tagged(tmp_path)


def test_the_mark_of_another_program_stays(tmp_path: Path) -> None:
    mark = "Signature: 8a477f597d28d172789f06886806bc55\n# Another program's"
    (tmp_path / "CACHEDIR.TAG").write_text(mark)
    with using(tmp_path):
        assert not is_tagged(tmp_path)
    assert (tmp_path / "CACHEDIR.TAG").read_text() == mark


def test_locks_of_images_go_when_nobody_has_held_them_for_a_day(tmp_path: Path) -> None:
    old, young, in_use = (tmp_path / "locks" / f"{name}.lock" for name in ("a", "b", "c"))
    old.parent.mkdir()
    for file in (old, young, in_use):
        file.touch()
    for file in (old, in_use):
        os.utime(file, (0, 0))
    with locked(in_use, patience_s=0, waiting=print):
        remove_leftovers(tmp_path)
    assert not old.exists()
    assert young.exists()
    assert in_use.exists()


# -- folders that others can read or write to ----------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022])
@pytest.mark.parametrize(("mode", "inside"), [(0o755, 0o700), (0o1777, 0o700), (0o770, 0o770)])
def test_what_is_kept_in_a_folder_that_was_there_is_private(
    tmp_path: Path, mode: int, inside: int, umask: int
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    # An earlier release created folders that everybody can read.
    (cache / "layers").mkdir()
    (cache / "layers").chmod(0o777)
    before = os.umask(umask)
    try:
        with using(cache), scratch(cache) as unfinished:
            (unfinished / "file").touch()
            keep(unfinished / "file", cache / "package-archives", "key")
    finally:
        os.umask(before)
    for name in ("layers", "package-archives"):
        assert stat.S_IMODE((cache / name).stat().st_mode) == inside
    assert stat.S_IMODE(cache.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("name", ["", "uv", "layers", ".lock", "CACHEDIR.TAG"])
def test_what_another_user_has_put_into_a_folder_of_all_is_not_used(
    tmp_path: Path, name: str
) -> None:
    everybodys = tmp_path / "tmp"
    cache = everybodys / "cache"
    cache.mkdir(parents=True)
    (everybodys if not name else cache).chmod(0o1777)
    planted = cache / name
    if name.startswith(".") or name.isupper():
        planted.symlink_to(tmp_path / "secret")
    elif name:
        planted.mkdir(0o777)
    os.chown(planted, 65534, 65534, follow_symlinks=False)
    with (
        pytest.raises(ConfigurationError, match=r"belongs to user \w+, .*option cache_dir="),
        using(cache),
    ):
        pass
    assert not (tmp_path / "secret").exists()
    # In a folder of one's own, where nobody else may write, somebody else's files are on purpose.
    (everybodys if not name else cache).chmod(0o755)
    if not name.startswith(".") and not name.isupper():
        with using(cache):
            pass


@pytest.mark.parametrize("name", ["cache", "cache/below"])
def test_what_is_no_folder_is_explained(tmp_path: Path, name: str) -> None:
    cache = tmp_path / name
    (tmp_path / "cache").write_text("a file")
    with (
        pytest.raises(ImageBuildError, match=r"could not be built: .*(.|\n)*option cache_dir"),
        disk_errors_explained(cache),
        using(cache),
    ):
        pass


def test_a_link_to_nothing_is_explained(tmp_path: Path) -> None:
    (tmp_path / "cache").symlink_to(tmp_path / "gone" / "deeper")
    with (
        pytest.raises(ImageBuildError, match=r"File exists(.|\n)*option cache_dir"),
        disk_errors_explained(tmp_path / "cache"),
        using(tmp_path / "cache"),
    ):
        pass


def test_errors_of_other_files_are_not_the_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), disk_errors_explained(tmp_path / "cache"):
        (tmp_path / "file" / "below").read_text()
