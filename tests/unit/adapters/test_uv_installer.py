"""uv's options and environment; tests/integration runs uv itself."""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from zipfile import ZipFile

import pytest

from covalent_lambda_container.adapters.uv_installer import UvInstaller
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.installer import WheelsMissing
from tests.fakes.loopback import LoopbackHandler, LoopbackServer
from tests.unit.adapters.conftest import Install

# -- folders as indexes ---------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, uv_install: Install) -> Callable[[str], list[str]]:
    """Install from two folders: a mirror that has alpha 1, and behind it one that has alpha 2."""
    indexes = []
    for version in ("1", "2"):
        folder = tmp_path / f"index-{version}" / "alpha"
        folder.mkdir(parents=True)
        name = f"alpha-{version}-py3-none-any.whl"
        with ZipFile(folder / name, "w") as wheel:
            files = {
                "METADATA": f"Metadata-Version: 2.1\nName: alpha\nVersion: {version}\n",
                "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "RECORD": "",
            }
            for path, text in files.items():
                wheel.writestr(f"alpha-{version}.dist-info/{path}", text)
        (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
        indexes.append(folder.parent.as_uri())
    settings = IndexSettings(index_url=indexes[1], extra_index_urls=(indexes[0],))

    def install(requirement: str) -> list[str]:
        target = uv_install(requirement, settings)
        return sorted(path.name for path in target.glob("*.dist-info"))

    return install


def test_the_first_index_that_has_a_package_is_used(installed: Callable[[str], list[str]]) -> None:
    assert installed("alpha") == ["alpha-1.dist-info"]


def test_the_cache_bears_the_time_of_its_last_use(
    installed: Callable[[str], list[str]], tmp_path: Path
) -> None:
    installed("alpha")
    yesterday = time.time() - 86400
    os.utime(tmp_path / "cache", (yesterday, yesterday))
    shutil.rmtree(tmp_path / "scratch")
    installed("alpha")
    assert (tmp_path / "cache").stat().st_mtime > yesterday + 3600


def test_a_folder_that_lacks_the_version_is_passed_over(
    installed: Callable[[str], list[str]],
) -> None:
    assert installed("alpha==2") == ["alpha-2.dist-info"]


def test_a_version_that_nobody_has_is_final_and_the_newest_is_named(
    installed: Callable[[str], list[str]],
) -> None:
    with pytest.raises(ImageBuildError) as caught:
        installed("alpha==3")
    assert caught.value.message.splitlines()[0] == (
        "The packages could not be installed: alpha has no version 3; the newest is 2."
    )


def test_a_name_that_nobody_has_is_final(installed: Callable[[str], list[str]]) -> None:
    with pytest.raises(ImageBuildError) as caught:
        installed("alfa==1")
    assert caught.value.message.splitlines()[0] == (
        "The packages could not be installed: there is no package alfa on the index (is it "
        "misspelt?)."
    )


def test_a_package_with_only_a_source_archive_may_be_built(
    installed: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "index-1" / "beta"
    folder.mkdir()
    (folder / "beta-1.tar.gz").write_bytes(b"")
    (folder / "index.html").write_text('<a href="beta-1.tar.gz">beta-1.tar.gz</a>')
    with pytest.raises(WheelsMissing, match="Wheels are required for `beta`"):
        installed("beta")


@pytest.mark.parametrize(
    ("needed", "raised", "said"),
    [
        (">=3.12", ImageBuildError, "beta==1 does not support Python 3.11, it needs >=3.12."),
        (">=3.10", WheelsMissing, "Wheels are required for `beta`"),
        ("", WheelsMissing, "Wheels are required for `beta`"),
    ],
)
def test_a_package_that_excludes_the_images_python_is_not_built(
    needed: str,
    raised: type[Exception],
    said: str,
    uv_install: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A width at which uv wraps what it says.
    monkeypatch.setenv("COLUMNS", "40")
    requests = []

    class Handler(LoopbackHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            requests.append(self.path)
            needs = f'data-requires-python="{escape(needed)}"' if needed else ""
            files = [
                f'<a href="/files/beta-1.tar.gz" {needs}>beta-1.tar.gz</a>',
                f'<a href="/files/beta-1-cp312-none-any.whl" {needs}>beta-1-cp312-none-any.whl</a>',
            ]
            page = "\n".join(files).encode()
            status = 200 if self.path == "/simple/beta/" else 404
            self.answer(status, page if status == 200 else b"", {"Content-Type": "text/html"})

    class Index(LoopbackServer):
        handler = Handler

    with Index() as index:
        settings = IndexSettings(index_url=f"{index.url}/simple")
        with pytest.raises(raised, match=said):
            uv_install("beta==1\n", settings, ["--refresh"])
    # Its code may not run here.
    assert "/simple/beta/" in requests
    assert "/files/beta-1.tar.gz" not in requests


def test_a_wheel_is_built_from_source_with_variables_of_its_own(tmp_path: Path) -> None:
    # Without a build system, whose packages would come from an index.
    backend = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "gamma-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as made:
        made.writestr("gamma/__init__.py", os.environ["GAMMA"])
        info = "gamma-1.dist-info"
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: gamma\\nVersion: 1\\n")
        tags = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
        made.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\n{tags}")
        made.writestr(f"{info}/RECORD", "")
    return name
"""
    files = {
        "backend.py": backend,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n[project]\nname = "gamma"\nversion = "1"\n',
        "PKG-INFO": "Metadata-Version: 2.1\nName: gamma\nVersion: 1\n",
    }
    index = tmp_path / "index" / "gamma"
    index.mkdir(parents=True)
    with tarfile.open(index / "gamma-1.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            header = tarfile.TarInfo(f"gamma-1/{name}")
            header.size = len(text.encode())
            archive.addfile(header, io.BytesIO(text.encode()))
    (index / "index.html").write_text('<a href="gamma-1.tar.gz">gamma-1.tar.gz</a>')
    settings = IndexSettings(index_url=(tmp_path / "index").as_uri())
    for value in ("one", "two"):
        UvInstaller(tmp_path / "cache").build_wheel(
            "gamma==1", tmp_path / value, settings=settings, variables={"GAMMA": value}
        )
        (wheel,) = (tmp_path / value).iterdir()
        with zipfile.ZipFile(wheel) as opened:
            assert opened.read("gamma/__init__.py") == value.encode()
    with pytest.raises(ImageBuildError, match="could not be built"):
        UvInstaller(tmp_path / "cache").build_wheel(
            "gamma==2", tmp_path / "three", settings=settings, variables={}
        )


@pytest.mark.skipif(sys.platform != "linux", reason="the container's uv comes from an index")
def test_uv_for_a_container_of_this_processor_is_this_machines_own(tmp_path: Path) -> None:
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program = UvInstaller(tmp_path / "cache").program(
        tmp_path,
        settings=IndexSettings(index_url="https://index.example.com/simple"),
        python_version="3.11",
        architecture=architecture,
        glibc="2.36",
    )
    assert os.access(program, os.X_OK)
