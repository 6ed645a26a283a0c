"""Options from where Covalent keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options.resolve import resolve, stored


def test_attributes_of_another_executor_are_ignored() -> None:
    foreign = {"workdir": "/tmp/case", "cache_dir": "/elsewhere", "timeout": 7, "retries": 3}
    assert stored(foreign) == resolve({})


@pytest.fixture
def deleted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()


@pytest.mark.usefixtures("deleted_folder")
def test_a_deleted_working_directory_matters_to_relative_paths_only(tmp_path: Path) -> None:
    assert resolve({"memory_size": 1024}).memory_size == 1024
    (tmp_path / "needed.txt").write_text("six\n")
    assert resolve({"requirements": [f"-r {tmp_path}/needed.txt"]}).requirements == ["six"]
    for given in ({"requirements": ["-r needed.txt"]}, {"local_packages": ["./mine"]}):
        with pytest.raises(ConfigurationError, match="working directory, which was deleted"):
            resolve(given)
