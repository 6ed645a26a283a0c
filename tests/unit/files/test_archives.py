"""Archives that depend on names and contents only."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.files.archives import END, Member, archive, body, files, unpack

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


def test_folders_are_named_once_and_before_what_they_hold() -> None:
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
