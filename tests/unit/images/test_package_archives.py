"""Package archives: identical for the same distribution, created once, kept only if sound."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import pytest

from covalent_lambda_container.files.archives import END
from covalent_lambda_container.images.byte_code import is_test_module
from covalent_lambda_container.images.distributions import Distribution, distributions_in
from covalent_lambda_container.images.package_archives import (
    DistributionPart,
    PackageArchive,
    PackageArchiveStore,
    PartKind,
    in_layers,
)
from tests.fakes.engine import wheel, write

BUILD = "cpython 3.11.2"
ONE = wheel("one", "1.0", {"one/__init__.py": "a = 1\n", "one/data.txt": "data"})


def store(folder: Path, build: str = BUILD, root: str = "var/task") -> PackageArchiveStore:
    return PackageArchiveStore(folder, python_build=build, root=root)


def installed(folder: Path, files: dict[str, bytes]) -> Distribution:
    write(folder, files)
    return distributions_in(folder)[0]


def whole(folder: Path, files: dict[str, bytes]) -> DistributionPart:
    return DistributionPart(installed(folder, files))


def contents(made: PackageArchive) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(made.file.read_bytes() + END)) as opened:
        files = {member.name: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file}


def test_an_archive_holds_files_byte_code_and_a_list_of_both(tmp_path: Path) -> None:
    one = whole(tmp_path / "stage", ONE)
    code = tmp_path / "code"
    code.write_bytes(b"byte code")
    path = "one/__pycache__/__init__.cpython-311.pyc"
    made = store(tmp_path / "archives").add(one, {path: code}, tmp_path)
    found = contents(made)
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
    assert made.requirement == "one==1.0"
    assert made.size == made.file.stat().st_size


def test_an_archive_is_found_again_for_the_same_distribution_only(tmp_path: Path) -> None:
    one = whole(tmp_path / "stage", ONE)
    archives = tmp_path / "archives"
    assert store(archives).find(one) is None
    made = store(archives).add(one, {}, tmp_path)
    assert store(archives).find(one) == made
    assert store(archives, build="cpython 3.11.3").find(one) is None
    assert store(archives, root="var/runtime").find(one) is None
    changed = wheel("one", "1.0", {"one/__init__.py": "a = 2\n", "one/data.txt": "data"})
    assert store(archives).find(whole(tmp_path / "other", changed)) is None


def test_two_machines_make_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("here", "there"):
        one = whole(tmp_path / name, ONE)
        made.append(store(tmp_path / name / "archives").add(one, {}, tmp_path).file)
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].name == made[1].name


def test_files_overwritten_by_another_distribution_are_not_kept(tmp_path: Path) -> None:
    write(tmp_path / "stage", ONE)
    write(tmp_path / "stage", wheel("two", "1.0", {"one/data.txt": "of two", "two.py": ""}))
    one, two = map(DistributionPart, distributions_in(tmp_path / "stage"))
    folder = tmp_path / "archives"
    made = store(folder).add(one, {}, tmp_path)
    assert "var/task/one/data.txt" not in contents(made)
    assert store(folder).find(one) is None
    assert contents(store(folder).add(two, {}, tmp_path))["var/task/one/data.txt"] == b"of two"
    assert store(folder).find(two)


def test_a_file_that_two_distributions_have_alike_is_in_both_archives(tmp_path: Path) -> None:
    write(tmp_path / "stage", ONE)
    write(tmp_path / "stage", wheel("two", "1.0", {"one/__init__.py": "a = 1\n"}))
    for each in map(DistributionPart, distributions_in(tmp_path / "stage")):
        made = store(tmp_path / "archives").add(each, {}, tmp_path)
        assert contents(made)["var/task/one/__init__.py"] == b"a = 1\n"
        assert store(tmp_path / "archives").find(each) == made


def test_the_two_shares_of_a_distribution_make_the_whole(tmp_path: Path) -> None:
    one = installed(tmp_path / "stage", ONE)
    code = {"one/__pycache__/__init__.cpython-311.pyc": b"byte code"}
    archives = store(tmp_path / "archives")
    made = archives.add(DistributionPart(one), code, tmp_path)
    shares = [
        archives.add(DistributionPart(one, PartKind.REST), {}, tmp_path),
        archives.add(DistributionPart(one, PartKind.CODE), code, tmp_path),
    ]
    rest, code_share = map(contents, shares)
    assert rest.keys() & code_share.keys() == set()
    assert rest | code_share == contents(made)
    assert "var/task/one/data.txt" in rest
    assert [archives.find(DistributionPart(one, share)) for share in PartKind] == [
        made,
        *shares[::-1],
    ]
    assert [made.kind for made in shares] == [PartKind.REST, PartKind.CODE]


def test_an_archive_that_could_not_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    one = whole(tmp_path / "stage", ONE)
    archives = tmp_path / "archives"
    with pytest.raises(FileNotFoundError):
        store(archives).add(one, {"one/missing.pyc": tmp_path / "missing"}, tmp_path)
    assert not archives.exists()


def of_size(folder: Path, name: str, size: int, code: int = 0) -> Distribution:
    files = {f"{name}/data": "x" * size, f"{name}/code.py": "#" * code}
    return installed(folder / name, wheel(name, "1", files))


def named(layers: list[list[DistributionPart]]) -> list[list[tuple[str, PartKind]]]:
    return [[(each.distribution.name, each.kind) for each in layer] for layer in layers]


def test_large_distributions_have_their_own_layers_and_the_others_share_the_last(
    tmp_path: Path,
) -> None:
    sizes = {
        "b": (10, 0),
        "scipy": (8_000_000, 6_000_000),
        "a": (20, 0),
        "sympy": (10, 7_000_000),
        "numpy": (6_000_000, 10),
    }
    all_of_them = [of_size(tmp_path, name, *size) for name, size in sizes.items()]
    for given in (all_of_them, all_of_them[::-1]):
        assert named(in_layers(given)) == [
            [("scipy", PartKind.REST)],
            [("scipy", PartKind.CODE)],
            [("sympy", PartKind.ALL)],
            [("numpy", PartKind.REST)],
            [("a", PartKind.ALL), ("b", PartKind.ALL), ("numpy", PartKind.CODE)],
        ]


def test_there_is_always_a_last_layer(tmp_path: Path) -> None:
    assert in_layers([]) == [[]]
    large = of_size(tmp_path, "sympy", 0, 6_000_000)
    assert in_layers([large]) == [[DistributionPart(large)], []]


def test_there_are_never_more_layers_than_docker_takes(tmp_path: Path) -> None:
    given = [of_size(tmp_path, f"p{number}", 100, 100) for number in range(100)]
    layers = in_layers(given, large_bytes=100)
    assert len(layers) == 61
    assert len({part for layer in layers for part in layer}) == 200


def test_a_file_with_a_wrong_hash_is_installed_and_its_archive_is_not_kept(tmp_path: Path) -> None:
    files = dict(ONE)
    record = next(name for name in files if name.endswith("/RECORD"))
    files["one/data.txt"] = b"changed after the wheel was made"
    assert files[record] == ONE[record]
    one = whole(tmp_path / "stage", files)
    made = store(tmp_path / "archives").add(one, {}, tmp_path)
    assert contents(made)["var/task/one/data.txt"] == files["one/data.txt"]
    assert store(tmp_path / "archives").find(one) is None


def test_a_list_of_files_is_csv(tmp_path: Path) -> None:
    odd = 'one/a, "b" ü.txt'
    one = whole(tmp_path / "stage", wheel("one", "1.0", {"one/__init__.py": "", odd: ""}))
    made = contents(store(tmp_path / "archives").add(one, {}, tmp_path))
    rows = csv.reader(made["var/task/one-1.0.dist-info/RECORD"].decode().splitlines())
    assert [odd, "", ""] in list(rows)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("numpy/tests/test_array.py", True),
        ("pandas/tests/frame/methods/test_apply.py", True),
        ("one/tests/array_test.py", True),
        ("numpy/testing/_private/utils.py", False),
        ("astropy/tests/helper.py", False),
        ("numpy/tests/__init__.py", False),
        ("django/test/client.py", False),
        ("one/test_runner.py", False),
        ("test_one.py", False),
    ],
)
def test_tests_of_distributions_are_known_by_pytests_names(path: str, expected: bool) -> None:
    assert is_test_module(path) is expected
