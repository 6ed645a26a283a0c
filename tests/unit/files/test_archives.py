"""Archives that depend only on names and contents."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.files.archives import (
    END,
    Member,
    Part,
    archive,
    body,
    files,
    unpack,
    without_duplicates,
)

NAMES = st.text("ab-ü", min_size=1, max_size=80).map(lambda name: f"folder/{name}")


def opened(packed: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(packed))


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=5))
def test_the_order_of_members_does_not_matter(contents: dict[str, bytes]) -> None:
    members = files(contents)
    packed = b"".join(archive(members))
    assert packed == b"".join(archive(members[::-1]))
    with opened(packed) as archived:
        assert {m.name: archived.extractfile(m).read() for m in archived} == contents  # type: ignore[union-attr]


def test_bodies_can_be_strung_together() -> None:
    parts = [body(files({name: b"x"})) for name in ("b", "a")]
    with opened(b"".join([*parts[0], *parts[1], END])) as archived:
        assert archived.getnames() == ["b", "a"]


def test_folders_come_once_and_before_their_contents() -> None:
    members = [*files({"a/b/c": b"", "a/b/d": b"", "e": b""}), Member(name="f/g/")]
    with opened(b"".join(archive(members, folders=True))) as archived:
        names = [f"{m.name}/" if m.isdir() else m.name for m in archived]
    assert names == ["a/", "a/b/", "a/b/c", "a/b/d", "e", "f/", "f/g/"]


def test_content_comes_from_files_and_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from disk")
    os.utime(file, (7, 7))
    member = Member(name="x", content=(b"head ", file), executable=True)
    with opened(b"".join(archive([member]))) as archived:
        (found,) = archived.getmembers()
        assert archived.extractfile(found).read() == b"head from disk"  # type: ignore[union-attr]
        assert (found.mode, found.mtime) == (0o755, 0)


def test_nothing_is_unpacked_elsewhere(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name in ("../out", "/etc/absolute", "a/../../out", "./kept", "also/kept"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            made.addfile(entry, io.BytesIO(b"hi"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = kind, "/etc/passwd"
            made.addfile(entry)
    packed.seek(0)
    target = tmp_path / "target"
    unpack(packed, target)
    found = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert found == {"target/kept", "target/also/kept"}


def test_archives_strung_together_have_each_path_once(tmp_path: Path) -> None:
    def piece(name: str, contents: dict[str, bytes]) -> Path:
        made = tmp_path / name
        made.write_bytes(b"".join(body(files(contents), folders=True)))
        return made

    # A path too long for a plain header, too.
    long = f"a/{'n' * 200}"
    first = piece("first", {"a/f": b"old", long: b"long", "a/b/g": b"g"})
    second = piece("second", {"a/f": b"new", "a/c": b"c"})
    joined = [first, second, *body(files({"a/c": b"newest"}), folders=True), END]
    packed = b"".join(
        part if isinstance(part, bytes) else part.read() if isinstance(part, Part) else b"?"
        for part in without_duplicates(joined)
    )
    with opened(packed) as archived:
        members = archived.getmembers()
        found = {m.name: archived.extractfile(m).read() for m in members if m.isreg()}  # type: ignore[union-attr]
    assert len({member.name for member in members}) == len(members)
    assert found == {"a/f": b"new", "a/c": b"newest", long: b"long", "a/b/g": b"g"}
    assert packed.endswith(END)


def test_one_archive_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(b"".join(body(files({"a": b"1"}))))
    assert without_duplicates([file, END]) == (file, END)
