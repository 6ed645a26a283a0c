"""Packs: the same bytes for the same distribution, made once, sound or not kept."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from covalent_lambda_container import packs
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


def of_size(folder: Path, name: str, size: int) -> Distribution:
    return installed(folder / name, wheel(name, "1", {f"{name}/data": "x" * size}))


def test_large_ones_have_layers_of_their_own_and_small_ones_share_the_last(tmp_path: Path) -> None:
    sizes = {"b": 10, "scipy": 9_000_000, "a": 20, "numpy": 6_000_000}
    all_of_them = [of_size(tmp_path, name, size) for name, size in sizes.items()]
    for given in (all_of_them, all_of_them[::-1]):
        layers = in_layers(given)
        assert [[each.name for each in layer] for layer in layers] == [
            ["scipy"],
            ["numpy"],
            ["a", "b"],
        ]


def test_there_is_always_a_last_layer(tmp_path: Path) -> None:
    assert in_layers([]) == [[]]
    assert in_layers([of_size(tmp_path, "numpy", 6_000_000)])[1:] == [[]]


def test_there_are_never_more_layers_than_docker_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "_LARGE_BYTES", 10)
    layers = in_layers([of_size(tmp_path, f"p{number}", 10) for number in range(100)])
    assert len(layers) == 61
    assert sum(map(len, layers)) == 100
