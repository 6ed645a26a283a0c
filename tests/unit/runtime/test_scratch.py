"""The scratch folder: empty before each task, however the previous one ended."""

from __future__ import annotations

from pathlib import Path

from covalent_lambda_container.runtime.scratch import Scratch


def test_files_of_lambda_from_before_the_first_start_are_kept(tmp_path: Path) -> None:
    (tmp_path / "lambda's own").write_text("x")
    scratch = Scratch(str(tmp_path))
    scratch.renew()
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "inside").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("lambda's own")
    scratch.renew()
    work = Path(scratch.work)
    assert {path.name for path in tmp_path.iterdir()} == {"lambda's own", "home", work.name}
    assert list(work.iterdir()) == []


def test_files_in_protected_folders_are_removed(tmp_path: Path) -> None:
    scratch = Scratch(str(tmp_path))
    (tmp_path / "left" / "inside").mkdir(parents=True)
    (tmp_path / "left" / "inside").chmod(0)
    (tmp_path / "left").chmod(0)
    scratch.renew()
    assert not (tmp_path / "left").exists()


def test_files_of_a_crashed_handler_are_not_taken_for_lambdas(tmp_path: Path) -> None:
    first = Scratch(str(tmp_path))
    first.renew()
    (tmp_path / "a task's").write_text("x")
    # Lambda starts the handler again, in the same environment.
    second = Scratch(str(tmp_path))
    second.renew()
    assert {path.name for path in tmp_path.iterdir()} == {"home", Path(second.work).name}
