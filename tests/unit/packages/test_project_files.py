"""Locks and projects in place of a requirements file."""

from __future__ import annotations

from pathlib import Path

import pytest

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.project_files import path_and_names
from covalent_lambda_container.packages.requirements_files import (
    read_requirement_lines,
    read_requirements_file,
    read_requirements_text,
)
from tests.unit.packages.project_examples import (
    DIGEST,
    INDEX,
    PYPROJECT,
    UV_LOCK,
    package,
    pylock,
)

HASH = f"--hash=sha256:{DIGEST['sdist']}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "uv.lock").write_text(UV_LOCK)
    (tmp_path / "pylock.toml").write_text(pylock(package("alpha")))
    (tmp_path / "pylock.dev.toml").write_text(pylock(package("alpha") + package("beta")))
    return tmp_path


@pytest.mark.parametrize(
    ("named", "packages", "options"),
    [
        ("uv.lock", [f"alpha==1.0 {HASH}"], [f"--extra-index-url {INDEX}"]),
        (
            "uv.lock[Plot,dev]",
            [f"alpha==1.0 {HASH}", f"beta==2.0 {HASH}", f"gamma==3.0 {HASH}"],
            [f"--extra-index-url {INDEX}"],
        ),
        ("pyproject.toml", ["alpha"], []),
        ("pyproject.toml[dev]", ["alpha", "epsilon[x]", "gamma"], []),
        ("pyproject.toml[test, plot]", ["alpha", 'beta>1; python_version > "3"', "epsilon[x]"], []),
    ],
)
@pytest.mark.parametrize("form", ["{}", "sub/../{}"])
def test_a_file_of_a_project_is_read_by_its_name(
    named: str, packages: list[str], options: list[str], form: str, project: Path
) -> None:
    (project / "sub").mkdir()
    line = f"-r '{form.format(named)}'"
    found = read_requirement_lines([line], origin="test", folder=project)
    assert [*found.packages] == packages
    assert [*found.options] == options
    assert read_requirements_file(project / form.format(named)) == found


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.dev.toml"])
def test_lock_files_of_pep_751_have_one_of_its_names(name: str, project: Path) -> None:
    found = read_requirements_file(project / name)
    assert found.packages[0].startswith("alpha==1.0 --hash=")


def test_a_requirements_file_may_name_a_lock(project: Path) -> None:
    (project / "requirements.txt").write_text("-r uv.lock[dev]  # with tools\n")
    found = read_requirements_file(project / "requirements.txt")
    assert [line.partition(" ")[0] for line in found.packages] == ["alpha==1.0", "gamma==3.0"]


def test_variables_of_uv_do_not_choose_groups(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_LOCKED", "1")
    monkeypatch.setenv("UV_WORKING_DIRECTORY", "/")
    assert read_requirements_file(project / "uv.lock").packages == (f"alpha==1.0 {HASH}",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "-r uv.lock[nope]",
            r"uv\.lock has no extra and no dependency group 'nope'; it has all",
        ),
        ("-r pyproject.toml[nope]", r"has no extra and no dependency group 'nope'; it has all-of"),
        ("-r pylock.toml[nope]", r"'nope'; what is locked was chosen when it was written"),
        ("-c uv.lock", r"uv\.lock names packages to install, and is no file of constraints"),
        ("-r lost/uv.lock", r"uv\.lock cannot be read: .*No such file"),
        ("-r alone/uv.lock", r"uv\.lock cannot be read: .*pyproject\.toml"),
        ("-r broken/uv.lock", r"uv\.lock cannot be used: uv cannot export it: Failed to parse"),
        ("-r broken/pylock.toml", r"pylock\.toml is not valid TOML: "),
        ("-r bytes/pyproject.toml", r"pyproject\.toml cannot be read: .*utf-8"),
        (
            "-r broken/pylock.x.toml",
            r"pylock\.x\.toml is not a valid lock file of PEP 751:",
        ),
        ("-r broken/poetry.lock", r"poetry\.lock is a file of another tool"),
    ],
)
def test_an_unreadable_file_is_refused_with_the_reason(line: str, said: str, project: Path) -> None:
    for folder in ("alone", "broken", "bytes"):
        (project / folder).mkdir()
    (project / "alone" / "uv.lock").write_text(UV_LOCK)
    broken = project / "broken"
    (broken / "uv.lock").write_text("version = ")
    (broken / "pylock.toml").write_text("packages = " + "[" * 100_000)
    (broken / "pylock.x.toml").write_text('created-by = "x"')
    (broken / "poetry.lock").write_text("")
    (broken / "pyproject.toml").write_text(PYPROJECT)
    (project / "bytes" / "pyproject.toml").write_bytes(b"\xff")
    with pytest.raises(RequirementError, match=said):
        read_requirement_lines([line], origin="requirements", folder=project)


def test_texts_of_other_machines_are_known_by_their_content() -> None:
    found = read_requirements_text(pylock(package("alpha")), origin="DepsPip reqs_path")
    assert found.packages[0].startswith("alpha==1.0 --hash=")
    found = read_requirements_text(PYPROJECT, origin="DepsPip reqs_path")
    assert found.packages == ("alpha",)
    with pytest.raises(RequirementError, match=r"^DepsPip reqs_path: the file is a uv\.lock"):
        read_requirements_text(UV_LOCK, origin="DepsPip reqs_path")


@pytest.mark.parametrize(
    ("text", "path", "names"),
    [
        ("uv.lock", "uv.lock", ()),
        ("a/pyproject.toml[x, y]", "a/pyproject.toml", ("x", "y")),
        ("pylock.dev.toml[]", "pylock.dev.toml", ()),
        ("requirements[1].txt", "requirements[1].txt", ()),
        ("my-uv.lock[x]", "my-uv.lock[x]", ()),
    ],
)
def test_only_files_of_projects_have_names_in_brackets(
    text: str, path: str, names: tuple[str, ...]
) -> None:
    assert path_and_names(text) == (Path(path), names)
