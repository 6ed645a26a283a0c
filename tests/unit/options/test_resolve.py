"""Options from Covalent's configuration and arguments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from covalent._shared_files.config import get_config, set_config

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SECTION
from covalent_lambda_container.options.resolve import resolve, stored
from covalent_lambda_container.options.schema import Options


def test_attributes_of_another_executor_are_ignored() -> None:
    foreign = {"workdir": "/tmp/case", "cache_dir": "/elsewhere", "timeout": 7, "retries": 3}
    assert stored(foreign) == resolve({})


CONFIGURED = {
    "region": "eu-central-1",
    "profile": "work",
    "s3_bucket_name": "configured",
    "architecture": "arm64",
    "base_image": "python:3.11-slim",
}


@pytest.fixture
def configured() -> Iterator[None]:
    section = get_config(SECTION).copy()
    set_config({f"{SECTION}.{name}": value for name, value in CONFIGURED.items()})
    yield
    set_config({f"{SECTION}.{name}": section[name] for name in CONFIGURED})


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_argument_leaves_what_is_configured(name: str, nothing: str | None) -> None:
    assert getattr(resolve({name: nothing}), name) == CONFIGURED[name]


@pytest.mark.parametrize("name", ["memory_size", "requirements", "tags", "cleanup"])
def test_an_empty_string_is_no_number_list_or_mapping(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"option {name}=''"):
        resolve({name: ""})


@pytest.mark.usefixtures("configured")
def test_an_empty_value_in_the_configuration_is_the_default() -> None:
    set_config({f"{SECTION}.s3_bucket_name": "", f"{SECTION}.region": ""})
    assert resolve({}).s3_bucket_name == Options.defaults()["s3_bucket_name"]
    assert resolve({}).region == ""


@pytest.mark.usefixtures("configured")
def test_empty_collections_and_zero_replace_what_is_configured() -> None:
    set_config({f"{SECTION}.requirements": ["six"], f"{SECTION}.max_memory_size": 2048})
    options = resolve({"requirements": [], "max_memory_size": 0})
    set_config({f"{SECTION}.requirements": [], f"{SECTION}.max_memory_size": 0})
    assert (options.requirements, options.max_memory_size) == ([], 0)


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
