"""The user's own code: which files an image gets, and which not."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import (
    MAX_BYTES,
    MAX_FILES,
    locate,
    read_local_packages,
)
from covalent_lambda_container.packages.package_files import FilesChanged, package_files, read
from tests.fakes.examples import image_spec

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files below a folder, ``name="content"`` each; return the folder."""

    def write(files: dict[str, str], below: str = "mypkg") -> Path:
        folder = tmp_path / below
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return folder

    return write


def names(path: Path) -> list[str]:
    (package,) = read_local_packages([str(path)])
    return [name for name, _ in package.files]


# -- where it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["./src/mypkg", "src/mypkg/", "src/../src/mypkg"])
def test_a_path_is_relative_to_where_the_executor_is_made(
    write: Write, tmp_path: Path, entry: str
) -> None:
    folder = write({"__init__.py": ""}, "src/mypkg")
    assert locate(entry, tmp_path) == str(folder)
    assert locate(str(folder), Path("/nowhere")) == str(folder)


@pytest.mark.parametrize("files", [["mypkg/__init__.py"], ["mypkg/part.py"], ["mypkg.py"]])
def test_a_package_is_found_by_its_import_name_without_importing_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, files: list[str]
) -> None:
    folder = write(dict.fromkeys(files, "raise RuntimeError('imported')"), "path")
    monkeypatch.syspath_prepend(folder)
    found = locate("mypkg", Path("/nowhere"))
    assert found == str(folder / files[0].split("/")[0])
    assert "mypkg" not in sys.modules


def test_a_folder_here_is_taken_where_nothing_of_its_name_can_be_imported(
    write: Write, tmp_path: Path
) -> None:
    # Python's own module is not what a user means.
    for name in ("mypkg", "statistics"):
        folder = write({"__init__.py": ""}, name)
        assert locate(name, tmp_path) == str(folder)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nosuch", "neither a module 'nosuch' of yours nor a file"),
        ("./nosuch", "neither a module './nosuch' of yours nor a file"),
        ("json", "neither a module 'json' of yours nor a file"),
        ("project", r"has no __init__\.py(.|\n)*'project/mypkg'"),
        ("./project/src/", r"has no __init__\.py(.|\n)*'./project/src/mypkg'"),
        ("my-pkg", "'my-pkg' cannot be imported"),
        ("my.pkg", "'my.pkg' cannot be imported"),
        ("data.csv", "neither a folder nor a Python file"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused(
    write: Write, tmp_path: Path, entry: str, message: str
) -> None:
    write({"project/pyproject.toml": "", "project/src/mypkg/__init__.py": ""}, "")
    write({"my-pkg/a.py": "", "my.pkg/a.py": "", "data.csv": ""}, "")
    with pytest.raises(ConfigurationError, match=rf"option local_packages=\['.*{message}"):
        locate(entry, tmp_path)


def test_the_option_holds_absolute_paths(write: Write, tmp_path: Path) -> None:
    folder = write({"__init__.py": ""})
    options = Options.check({"local_packages": ["./mypkg"]}, folder=tmp_path)
    assert options.local_packages == [str(folder)]
    with pytest.raises(ConfigurationError, match="local_packages=7"):
        Options.check({"local_packages": 7}, folder=tmp_path)


# -- what is in it --------------------------------------------------------------------------------


def test_a_package_is_read_without_caches_and_hidden_files(write: Write) -> None:
    folder = write(
        {
            "__init__.py": "one",
            "part/deeper.py": "two",
            "table.csv": "1,2",
            "__pycache__/__init__.cpython-311.pyc": "",
            "part/old.pyc": "",
            ".git/config": "",
            ".env": "SECRET=1",
            "mypkg.egg-info/PKG-INFO": "",
            "node_modules/left/pad.js": "",
        }
    )
    (package,) = read_local_packages([str(folder)])
    assert package.name == "mypkg"
    assert package.files == (
        ("mypkg/__init__.py", b"one"),
        ("mypkg/part/deeper.py", b"two"),
        ("mypkg/table.csv", b"1,2"),
    )
    assert "one" not in repr(package)


def test_a_module_is_one_file(write: Write) -> None:
    folder = write({"alone.py": "x = 1", "beside.py": ""}, "")
    (package,) = read_local_packages([str(folder / "alone.py")])
    assert (package.name, package.files) == ("alone", (("alone.py", b"x = 1"),))


@pytest.mark.parametrize("place", ["mypkg", "project"])
def test_dockerignore_is_honoured_in_the_package_and_in_its_project(
    write: Write, tmp_path: Path, place: str
) -> None:
    package = "project/src/mypkg"
    prefix = "" if place == "mypkg" else "src/mypkg/"
    ignored = f"# data\n{prefix}data\n!{prefix}data/small.csv\n**/*.md\n\n**/tests\n"
    paths = ["__init__.py", "data/large.csv", "data/small.csv", "a.md", "b/c.md", "b/tests/t.py"]
    folder = write(dict.fromkeys(paths, ""), package)
    write({".dockerignore": ignored}, package if place == "mypkg" else "project")
    # One above the project is not its own.
    write({"pyproject.toml": ""}, "project")
    write({".dockerignore": "**"}, "")
    assert names(folder) == ["mypkg/__init__.py", "mypkg/data/small.csv"]


def test_links_to_files_of_the_package_are_followed_and_links_to_folders_are_not(
    write: Write, tmp_path: Path
) -> None:
    folder = write({"__init__.py": "", "parts/code.py": "linked"})
    (folder / "code.py").symlink_to(folder / "parts" / "code.py")
    (folder / "loop").symlink_to(folder)
    assert names(folder) == ["mypkg/__init__.py", "mypkg/code.py", "mypkg/parts/code.py"]


def test_the_package_may_itself_be_behind_a_link(write: Write, tmp_path: Path) -> None:
    folder = write({"__init__.py": "", "parts/code.py": ""}, "real/mypkg")
    (folder / "code.py").symlink_to("parts/code.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "mypkg/code.py" in names(tmp_path / "link" / "mypkg")


@pytest.mark.parametrize(
    "target",
    [
        "../other/secret.py",
        "../../etc/passwd",
        ".env",
        ".git/config",
        "data/.hidden",
        "left_out.txt",
    ],
)
def test_links_out_of_the_package_are_excluded_with_a_message(
    write: Write, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(
        {
            **dict.fromkeys(["__init__.py", ".env", ".git/config", "data/.hidden"], "secret"),
            "left_out.txt": "secret",
            ".dockerignore": "left_out.txt",
        }
    )
    write({"secret.py": "secret"}, "other")
    link = folder / "visible.py"
    link.symlink_to(target)
    with caplog.at_level(logging.WARNING):
        assert names(folder) == ["mypkg/__init__.py"]
    if link.exists():
        assert f"{link} is skipped" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"table.csv": ""}, "has no Python file"),
        ({"a.py": "", ".dockerignore": "*"}, "has no Python file, or .dockerignore"),
        (
            {"a.py": "", "big.bin": "x" * MAX_BYTES, "c.bin": "x" * 40},
            r"20,971,560 bytes(.|\n)* 20,971,520  .*big",
        ),
    ],
)
def test_packages_without_code_or_too_large_are_refused(
    write: Write, files: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        names(write(files))


def test_a_path_that_only_the_client_has_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"dispatcher's machine(.|\n)*ct\.DepsModule"):
        names(tmp_path / "nosuch")


def test_two_packages_of_one_name_are_refused(write: Write) -> None:
    one, other = write({"a.py": ""}, "one/mypkg"), write({"a.py": ""}, "other/mypkg")
    with pytest.raises(ConfigurationError, match="same name"):
        read_local_packages([str(one), str(other)])
    assert len(read_local_packages([str(one), str(one)])) == 1


# -- what it is -----------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    files=st.dictionaries(st.sampled_from(["a.py", "b.py", "c/d.py"]), st.binary(max_size=9)),
    changed=st.sampled_from(["a.py", "b.py", "c/d.py"]),
)
def test_equal_content_is_one_image_wherever_it_is_and_other_content_another(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], changed: str
) -> None:
    def tag(*, other: bool = False) -> str:
        folder = tmp_path_factory.mktemp("somewhere") / "mypkg"
        for name, content in ({"__init__.py": b""} | files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if other:
            (folder / changed).parent.mkdir(exist_ok=True)
            (folder / changed).write_bytes(files.get(changed, b"") + b"#")
        return image_spec(local_packages=read_local_packages([str(folder)])).tag

    assert tag() == tag() != tag(other=True)
    assert tag() != image_spec().tag


def test_an_edit_is_seen_at_once_and_unchanged_files_are_not_read_again(write: Write) -> None:
    folder = write({"__init__.py": "x = 1"})
    (first,) = read_local_packages([str(folder)])
    (again,) = read_local_packages([str(folder)])
    assert again is first
    before = (folder / "__init__.py").stat()
    (folder / "__init__.py").write_text("x = 2")
    # At the latest, by the time of its last change.
    os.utime(folder / "__init__.py", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    (edited,) = read_local_packages([str(folder)])
    assert edited.digest != first.digest
    assert edited.files == (("mypkg/__init__.py", b"x = 2"),)


@pytest.mark.parametrize("name", ["awslambdaric", "covalent_lambda_runtime", "cloudpickle"])
def test_a_module_that_would_replace_the_runtime_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("")
    with pytest.raises(ConfigurationError, match=f"{name} would replace the module"):
        locate(f"./{name}.py", tmp_path)


# -- what others do to it meanwhile --------------------------------------------------------------


def test_what_is_no_plain_file_is_left_out_and_nothing_waits_for_it(write: Write) -> None:
    folder = write({"__init__.py": ""})
    os.mkfifo(folder / "pipe.py")
    (folder / "circle.py").symlink_to("circle.py")
    (folder / "zeros.py").symlink_to("/dev/zero")
    assert names(folder) == ["mypkg/__init__.py"]


@pytest.mark.parametrize("kind", ["pipe", "link", "endless"])
def test_a_file_that_is_exchanged_after_its_check_is_not_read(
    write: Write, tmp_path: Path, kind: str
) -> None:
    folder = write({"__init__.py": "", "part/code.py": "mine"})
    (secret,) = write({"code.py": "secret"}, "other").iterdir()
    (listed,) = [each for each in package_files(folder, lambda _: True) if "code" in each.name]
    code = folder / "part" / "code.py"
    assert read(listed) == b"mine"
    if kind == "endless":
        with code.open("a") as file:
            file.write("x" * 1000)
    else:
        code.unlink()
        os.mkfifo(code) if kind == "pipe" else code.symlink_to(secret)
    with pytest.raises((FilesChanged, OSError)):
        read(listed)


def test_a_folder_that_becomes_a_link_is_not_followed(write: Write) -> None:
    folder = write({"__init__.py": "", "part/code.py": "mine"})
    secrets = write({"code.py": "mine"}, "other")
    listed = {each.name: each for each in package_files(folder, lambda _: True)}
    (folder / "part").rename(folder.with_name("moved"))
    (folder / "part").symlink_to(secrets)
    with pytest.raises(OSError, match="part"):
        read(listed["mypkg/part/code.py"])


def test_a_package_that_an_editor_is_saving_is_read_when_it_is_saved(write: Write) -> None:
    folder = write({"__init__.py": "", **{f"m{number}.py": "1" for number in range(300)}})

    def save() -> None:
        for number in range(300):
            (folder / f"m{number}.py").unlink()

    saving = threading.Thread(target=save)
    saving.start()
    found = names(folder)
    saving.join()
    assert "mypkg/__init__.py" in found


def test_a_file_whose_name_is_no_text_is_named(write: Write) -> None:
    folder = write({"__init__.py": ""})
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.py")).touch()
    with pytest.raises(ConfigurationError, match=r"name is not UTF-8: 'mypkg/caf\\udce9.py'"):
        names(folder)


def test_folders_may_be_deeper_than_pythons_stack(write: Write) -> None:
    folder = write({"__init__.py": ""})
    deepest = folder
    for _ in range(1200):
        deepest /= "a"
        deepest.mkdir()
    (deepest / "code.py").touch()
    try:
        assert len(names(folder)) == 2
    finally:
        # Whoever removes the test's folder afterwards may be recursive.
        (deepest / "code.py").unlink()
        while deepest != folder:
            deepest.rmdir()
            deepest = deepest.parent


def test_too_many_files_are_refused(write: Write) -> None:
    folder = write({"__init__.py": ""})
    (folder / "part").mkdir()
    first = folder / "part" / "0"
    first.touch()
    for number in range(1, MAX_FILES + 1):
        os.link(first, folder / "part" / str(number))
    with pytest.raises(ConfigurationError, match=r"more than 10,000 files(.|\n)*\.dockerignore"):
        names(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"*.txt\n[z-a]\n", r"invalid pattern '\[z-a\]': bad character range"),
        (b"*a" * 30, "too many wildcards"),
        (b"/".join([b"**"] * 30), "too many wildcards"),
        (b"\xff\xfe*", "cannot be read: 'utf-8' codec"),
        (b"#" * 300_000, "larger than 262,144 bytes"),
    ],
)
def test_an_ignore_file_that_cannot_be_used_is_refused(
    write: Write, content: bytes, message: str
) -> None:
    folder = write({"__init__.py": "", "a" * 200 + ".py": ""})
    (folder / ".dockerignore").write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"local_packages: \S+\.dockerignore .*{message}"):
        names(folder)
