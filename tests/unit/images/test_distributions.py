"""Distributions read from an installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.images.distributions import (
    check_modules,
    distributions_in,
    lock_text,
    modules_text,
    unclaimed,
)
from covalent_lambda_container.packages.requirements import canonical_requirement
from tests.fakes.engine import wheel, write

ONE = wheel("One-Package", "1.0+cpu", {"one/__init__.py": "", "one/a.py": "a", "single.py": ""})


def test_a_distribution_has_its_name_version_files_and_modules(tmp_path: Path) -> None:
    write(tmp_path, ONE)
    (found,) = distributions_in(tmp_path)
    assert (found.name, found.version) == ("one-package", "1.0+cpu")
    assert found.pinned == "one-package==1.0+cpu"
    assert found.modules == {"one", "single"}
    assert [file.path for file in found.files] == [
        "One_Package-1.0+cpu.dist-info/METADATA",
        "one/__init__.py",
        "one/a.py",
        "single.py",
    ]


def test_how_it_was_asked_for_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "direct", ONE | {"One_Package-1.0+cpu.dist-info/REQUESTED": b""})
    write(tmp_path / "indirect", ONE)
    identities = {each.identity for each in distributions_in(tmp_path / "direct")}
    assert identities == {each.identity for each in distributions_in(tmp_path / "indirect")}


@pytest.mark.parametrize("changed", ["one/a.py", "single.py"])
def test_other_content_is_another_identity(tmp_path: Path, changed: str) -> None:
    other = wheel(
        "One-Package",
        "1.0+cpu",
        {"one/__init__.py": "", "one/a.py": "a", "single.py": ""} | {changed: "changed"},
    )
    write(tmp_path / "one", ONE)
    write(tmp_path / "other", other)
    one, two = (distributions_in(tmp_path / name)[0].identity for name in ("one", "other"))
    assert one != two


def test_scripts_start_the_images_python(tmp_path: Path) -> None:
    scripts = {}
    for place in ("here", "there"):
        text = f"#!/home/{place}/.venv/bin/python3.11\nimport one\n"
        write(tmp_path / place, wheel("one", "1", {"bin/one": text, "bin/raw": "\x7fELF"}))
        (found,) = distributions_in(tmp_path / place)
        scripts[place] = {file.path: file.content for file in found.files}, found.identity
    assert scripts["here"] == scripts["there"]
    assert scripts["here"][0]["bin/one"] == b"#!/usr/bin/env python3\nimport one\n"
    assert scripts["here"][0]["bin/raw"] is None


def test_names_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    stage, outside = tmp_path / "stage", tmp_path / "secret"
    outside.write_text("of the dispatcher")
    content = wheel("one", "1", {"one.py": ""})
    content["one-1.dist-info/RECORD"] += f"../secret,,\n{outside},,\nlink,,\n".encode()
    write(stage, content)
    (stage / "link").symlink_to(outside)
    (found,) = distributions_in(stage)
    assert [file.path for file in found.files] == ["one-1.dist-info/METADATA", "one.py"]
    assert unclaimed(stage, [found]) == []


def test_files_of_nobody_are_found(tmp_path: Path) -> None:
    write(tmp_path, ONE | {"one/unlisted.so": b"", ".lock": b""})
    assert unclaimed(tmp_path, distributions_in(tmp_path)) == ["one/unlisted.so"]


def test_an_image_lists_its_contents(tmp_path: Path) -> None:
    revision = {"vcs": "git", "commit_id": "0a1b"}
    direct = json.dumps({"url": "https://example.com/two.git", "vcs_info": revision})
    write(tmp_path, ONE)
    write(tmp_path, wheel("two", "2", {"two.py": ""}, **{"direct_url.json": direct}))
    write(tmp_path, wheel("cloudpickle", "3.1.0", {"cloudpickle/__init__.py": ""}))
    found = distributions_in(tmp_path)
    assert lock_text(found) == (
        "cloudpickle==3.1.0\none-package==1.0+cpu\ntwo @ git+https://example.com/two.git@0a1b\n"
    )
    # What others can get: local versions are of one index, and cloudpickle is there anyway.
    assert json.loads(modules_text(found)) == {
        "one": ["one-package==1.0+cpu"],
        "single": ["one-package==1.0+cpu"],
        "two": ["two @ git+https://example.com/two.git@0a1b"],
    }


@pytest.mark.parametrize(
    ("direct", "pinned"),
    [
        ({"url": "https://example.com/one.whl"}, "one @ https://example.com/one.whl"),
        (
            {
                "url": "ssh://git@example.com/one.git",
                "vcs_info": {"vcs": "git", "commit_id": "0a1b"},
                "subdirectory": "python",
            },
            "one @ git+ssh://git@example.com/one.git@0a1b#subdirectory=python",
        ),
        ({"url": "https://user:hunter2@example.com/one.whl"}, "one==1"),
        ({"url": "https://example.com/one.whl\nRUN true"}, "one==1"),
        ({"url": "file:///tmp/one"}, "one==1"),
        ({"url": "/tmp/one"}, "one==1"),
    ],
)
def test_an_origin_is_a_requirement_that_others_can_have(
    direct: dict[str, Any], pinned: str, tmp_path: Path
) -> None:
    files = wheel("one", "1", {"one.py": ""}, **{"direct_url.json": json.dumps(direct)})
    write(tmp_path, files)
    (found,) = distributions_in(tmp_path)
    assert found.pinned == pinned
    assert canonical_requirement(pinned, "test") == pinned


def test_a_wheel_of_this_machine_is_one_by_name(tmp_path: Path) -> None:
    direct = json.dumps({"url": "file:///tmp/one-1-py3-none-any.whl"})
    write(tmp_path / "file", wheel("one", "1", {"one.py": ""}, **{"direct_url.json": direct}))
    write(tmp_path / "index", wheel("one", "1", {"one.py": ""}))
    (file,), (index,) = (distributions_in(tmp_path / name) for name in ("file", "index"))
    assert (file.pinned, file.identity) == (index.pinned, index.identity)


def test_a_distribution_that_would_replace_the_runtime_is_refused(tmp_path: Path) -> None:
    write(tmp_path, wheel("cloudpickle", "3", {"cloudpickle/__init__.py": ""}))
    check_modules(distributions_in(tmp_path))
    write(tmp_path, wheel("own-client", "1", {"awslambdaric/__init__.py": ""}))
    with pytest.raises(ImageBuildError, match="own-client==1 has the module awslambdaric"):
        check_modules(distributions_in(tmp_path))


def test_the_path_of_a_wheel_on_this_machine_is_in_no_layer(tmp_path: Path) -> None:
    direct = json.dumps({"url": "file:///home/me/.cache/one-1-py3-none-any.whl"})
    write(tmp_path, wheel("one", "1", {"one.py": ""}, **{"direct_url.json": direct}))
    found = distributions_in(tmp_path)
    assert "one-1.dist-info/direct_url.json" not in {file.path for file in found[0].files}
    assert unclaimed(tmp_path, found) == []
