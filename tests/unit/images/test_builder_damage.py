"""Damaged files in the cache are recreated, and never used."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from covalent_lambda_container.files.cache_folder import scratch
from covalent_lambda_container.files.kept_files import find_kept, keep
from covalent_lambda_container.images.sdk_wheel import SdkWheels
from covalent_lambda_container.packages.index_settings import IndexSettings
from tests.fakes.engine import Built, FakeEngine, FakeInstaller
from tests.fakes.examples import image_spec
from tests.unit.images.conftest import NAME, builder, spec_of


def changed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-1],
    "half of it": lambda content: content[: len(content) // 2],
    "one bit of it": changed,
    "zeros": lambda content: bytes(len(content)),
    "empty": lambda _: b"",
    "longer": lambda content: content + b"x",
    "twice": lambda content: content * 2,
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    def damage_file(file: Path) -> None:
        file.write_bytes(DAMAGES[request.param](file.read_bytes()))

    return damage_file


def made(engine: FakeEngine) -> list[tuple[str, Built]]:
    return [(built.name, built) for built in engine.builds]


@pytest.mark.parametrize("folder", ["package-archives", "byte-code", "roots"])
def test_an_image_of_damaged_files_is_the_same_as_before(
    installer: FakeInstaller,
    tmp_path: Path,
    folder: str,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec, first, second = spec_of("numpy", "small==1"), FakeEngine(), FakeEngine()
    builder(first, installer, tmp_path).build(spec, NAME)
    kept = sorted((tmp_path / folder).iterdir())
    assert kept
    whole = {file: file.read_bytes() for file in kept}
    for file in kept:
        damage(file)
    builder(second, installer, tmp_path).build(spec, NAME)
    assert made(second) == made(first)
    assert caplog.text.count("was damaged: it is removed, and made again") == len(kept)
    assert {file: file.read_bytes() for file in (tmp_path / folder).iterdir()} == whole


def test_whole_files_are_found_and_marked(tmp_path: Path) -> None:
    with scratch(tmp_path / "cache") as folder:
        (folder / "made").write_bytes(b"content")
        kept = keep(folder / "made", tmp_path / "cache" / "kind", "key")
    assert find_kept(tmp_path / "cache" / "kind", "key") == kept
    assert find_kept(tmp_path / "cache" / "kind", "ke") is None
    assert find_kept(tmp_path / "cache" / "absent", "key") is None


def test_files_of_a_killed_process_are_not_taken_for_complete(tmp_path: Path) -> None:
    # It had not come to the renaming.
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "key").write_bytes(b"half of it")
    assert find_kept(tmp_path / "kind", "key") is None


def test_a_damaged_wheel_of_covalents_sdk_is_built_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("covalent/__init__.py", "value = 1\n" * 100)
        archive.writestr("covalent-1.dist-info/METADATA", "Name: covalent\nVersion: 1\n")

    def build(root: Path, arguments: list[str], environment: object) -> None:
        folder = Path(arguments[arguments.index("--wheel-dir") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "covalent-1-py3-none-any.whl").write_bytes(wheel.getvalue())

    engine = FakeEngine()
    engine.pip = build
    wheels = SdkWheels(engine, FakeInstaller(), tmp_path)
    spec = image_spec(covalent_version="1")
    first = wheels.find_or_build(spec, lambda: "system", IndexSettings())
    damage(first)
    again = wheels.find_or_build(spec, lambda: "system", IndexSettings())
    with zipfile.ZipFile(again) as archive:
        assert archive.testzip() is None
        assert archive.read("covalent/__init__.py") == b"value = 1\n" * 100
