"""Files of images, read from their layers."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.registry.image_record import (
    ImageRecord,
    changed,
    instructions,
)
from covalent_lambda_container.adapters.registry.layer_files import read_files
from covalent_lambda_container.adapters.registry.references import parse

Entry = tuple[str, bytes, str]
FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def layer(path: Path, *entries: Entry) -> Path:
    """Write a layer: name, type, and content or target of each entry."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, text in entries:
            header = tarfile.TarInfo(name)
            header.type = kind
            if kind == FILE:
                header.size = len(text)
            else:
                header.linkname = text
            archive.addfile(header, io.BytesIO(text.encode()))
    path.write_bytes(gzip.compress(out.getvalue()))
    return path


def seen(folder: Path, path: str, *layers: tuple[Entry, ...]) -> str | None:
    files = [layer(folder / str(number), *entries) for number, entries in enumerate(layers)]
    (found,), sizes = read_files(files, [path])
    assert sizes == [sum(len(text) for _, kind, text in each if kind == FILE) for each in layers]
    return found and f"{found.path}: {found.content.decode()}"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([(("a/f", FILE, "one"),)], "/a/f: one"),
        ([(("./a/f", FILE, "one"),)], "/a/f: one"),
        ([(("a/f", FILE, "one"),), (("a/f", FILE, "two"),)], "/a/f: two"),
        ([(("a/f", FILE, "one"),), (("a/.wh.f", FILE, ""),)], None),
        ([(("a/f", FILE, "one"),), ((".wh.a", FILE, ""),)], None),
        ([(("a/f", FILE, "one"),), (("a/.wh..wh..opq", FILE, ""),)], None),
        (
            [(("a/f", FILE, "one"),), (("a/f", FILE, "two"), ("a/.wh..wh..opq", FILE, ""))],
            "/a/f: two",
        ),
        ([(("a/f", FILE, "one"),), (("a/.wh.g", FILE, ""),)], "/a/f: one"),
        # Whiteouts and opaque folders hide what is below their layer, wherever they stand in it.
        ([(("a/f", FILE, "one"),), (("a/f", FILE, "two"), ("a/.wh.f", FILE, ""))], "/a/f: two"),
        (
            [
                (("a/g", FILE, "old"), ("a/f", FILE, "one")),
                (("b", FILE, "two"), ("a/f", LINK, "/b"), ("a/.wh..wh..opq", FILE, "")),
            ],
            "/b: two",
        ),
        (
            [
                (("a/b/f", FILE, "one"),),
                (("a/b/f", FILE, "two"),),
                (("a/.wh..wh..opq", FILE, ""), ("a/b/.wh.f", FILE, "")),
            ],
            None,
        ),
        (
            [(("a/b/f", FILE, "one"),), ((".wh.a", FILE, ""),), (("a/f", FILE, "two"),)],
            "/a/f: two",
        ),
        # A layer goes through a link of a lower one.
        ([(("a", LINK, "c/d"), ("c/d/f", FILE, "one")), (("a/f", FILE, "two"),)], "/c/d/f: two"),
        ([(("a", LINK, "c"), ("c/f", FILE, "one")), (("a/.wh.f", FILE, ""),)], None),
        ([(("a/f", LINK, "g"), ("a/g", FILE, "one"))], "/a/g: one"),
        ([(("a/f", LINK, "/b/g"), ("b/g", FILE, "one"))], "/b/g: one"),
        ([(("a", LINK, "usr/a"), ("usr/a/f", FILE, "one"))], "/usr/a/f: one"),
        ([(("a/f", LINK, "../../../b"), ("b", FILE, "one"))], "/b: one"),
        ([(("a/f", LINK, "f"),)], None),
        ([(("a/g", FILE, "one"), ("a/f", HARD, "a/g"))], "/a/f: one"),
        ([(("a/g", FILE, "one"),), (("a/f", HARD, "a/g"),)], "/a/f: one"),
        ([(("a/f", FILE, "one"),), (("a", FILE, "no folder"),)], None),
        ([(("b", FILE, "one"),)], None),
    ],
)
def test_a_file_is_read_as_a_container_would_see_it(
    tmp_path: Path, layers: list[tuple[Entry, ...]], expected: str | None
) -> None:
    assert seen(tmp_path, "/a/f", *layers) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python:3.11", ("registry-1.docker.io", "library/python", "3.11")),
        ("team/python", ("registry-1.docker.io", "team/python", "latest")),
        ("docker.io/python:3", ("registry-1.docker.io", "library/python", "3")),
        ("localhost/python", ("localhost", "python", "latest")),
        ("localhost:5000/a/b:1", ("localhost:5000", "a/b", "1")),
        ("registry.example.com/a@sha256:0a", ("registry.example.com", "a", "sha256:0a")),
        ("registry.example.com/a:1@sha256:0a", ("registry.example.com", "a", "sha256:0a")),
    ],
)
def test_references_are_read_as_docker_does(name: str, expected: tuple[str, str, str]) -> None:
    found = parse(name)
    assert (found.host, found.repository, found.version) == expected
    assert found.url.startswith("http://localhost" if "localhost" in name else "https://")


def test_path_is_set_where_the_root_has_none() -> None:
    steps = [(step, None) for step in instructions("ARG X\nFROM ${X}\nENV A=1 \\\n    B='2 3'\n")]
    made = changed(ImageRecord(config={"config": {}}), steps, {})
    assert made.config["config"]["Env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "A=1",
        "B=2 3",
    ]
