"""Packs: the same bytes for the same distribution, made once, sound or not kept."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from covalent_lambda_container.archives import END
from covalent_lambda_container.distributions import Distribution, distributions_in
from covalent_lambda_container.packs import Pack, PackStore, in_layers
from tests.fakes.engine import wheel, write

BUILD = "cpython 3.11.2"
ONE = wheel("one", "1.0", {"one/__init__.py": "a = 1\n", "one/data.txt": "data"})


def store(folder: Path, build: str = BUILD, root: str = "var/task") -> PackStore:
    return PackStore(folder, python_build=build, root=root)


def installed(folder: Path, files: dict[str, bytes]) -> Distribution:
    write(folder, files)
    return distributions_in(folder)[0]


def contents(pack: Pack) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(pack.file.read_bytes() + END)) as opened:
        files = {member.name: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file}


def test_a_pack_holds_files_byte_code_and_a_list_of_both(tmp_path: Path) -> None:
    one = installed(tmp_path / "stage", ONE)
    code = tmp_path / "code"
    code.write_bytes(b"byte code")
    path = "one/__pycache__/__init__.cpython-311.pyc"
    pack = store(tmp_path / "packs").add(one, {path: code}, tmp_path)
    found = contents(pack)
    assert found.pop("var/task/one-1.0.dist-info/RECORD").decode().splitlines() == [
        "one-1.0.dist-info/METADATA,,",
        "one-1.0.dist-info/RECORD,,",
        "one/__init__.py,,",
        f"{path},,",
        "one/data.txt,,",
    ]
    assert found == {
        "var/task/one-1.0.dist-info/METADATA": b"Name: one\nVersion: 1.0\n",
        "var/task/one/__init__.py": b"a = 1\n",
        f"var/task/{path}": b"byte code",
        "var/task/one/data.txt": b"data",
    }
    assert pack.requirement == "one==1.0"
    assert pack.size == pack.file.stat().st_size


def test_a_pack_is_found_again_for_the_same_distribution_only(tmp_path: Path) -> None:
    one = installed(tmp_path / "stage", ONE)
    packs = tmp_path / "packs"
    assert store(packs).find(one) is None
    made = store(packs).add(one, {}, tmp_path)
    assert store(packs).find(one) == made
    assert store(packs, build="cpython 3.11.3").find(one) is None
    assert store(packs, root="var/runtime").find(one) is None
    changed = wheel("one", "1.0", {"one/__init__.py": "a = 2\n", "one/data.txt": "data"})
    assert store(packs).find(installed(tmp_path / "other", changed)) is None


def test_two_machines_make_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("here", "there"):
        one = installed(tmp_path / name, ONE)
        made.append(store(tmp_path / name / "packs").add(one, {}, tmp_path).file)
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].name == made[1].name


def test_what_another_distribution_has_overwritten_is_not_kept(tmp_path: Path) -> None:
    one = installed(tmp_path / "stage", ONE)
    (tmp_path / "stage" / "one" / "data.txt").write_text("of another distribution")
    packs = tmp_path / "packs"
    made = store(packs).add(one, {}, tmp_path)
    assert "var/task/one/data.txt" not in contents(made)
    assert store(packs).find(one) is None
    assert list(packs.iterdir()) == []


def test_a_pack_that_could_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    one = installed(tmp_path / "stage", ONE)
    packs = tmp_path / "packs"
    with pytest.raises(FileNotFoundError):
        store(packs).add(one, {"one/missing.pyc": tmp_path / "missing"}, tmp_path)
    assert list(packs.iterdir()) == []


def pack(requirement: str, size: int) -> Pack:
    return Pack(requirement=requirement, file=Path(requirement), size=size)


def test_large_packs_have_layers_of_their_own_and_small_ones_share_the_last() -> None:
    packs = [
        pack("b==1", 10),
        pack("scipy==1", 90_000_000),
        pack("a==1", 20),
        pack("numpy==2", 60_000_000),
    ]
    for given in (packs, packs[::-1]):
        layers = in_layers(given)
        assert [[each.requirement for each in layer.packs] for layer in layers] == [
            ["scipy==1"],
            ["numpy==2"],
            ["a==1", "b==1"],
        ]
        assert [layer.name for layer in layers] == ["01.tar", "02.tar", "03.tar"]


def test_there_are_never_more_layers_than_docker_takes() -> None:
    layers = in_layers([pack(f"p{number}==1", 9_000_000 + number) for number in range(300)])
    assert len(layers) < 100
    assert sum(len(layer.packs) for layer in layers) == 300
