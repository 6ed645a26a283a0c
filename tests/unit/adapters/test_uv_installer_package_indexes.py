"""Packages bound to an index, installed by uv from indexes on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.adapters.uv_installer import UvInstaller
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.packages.index_settings import IndexSettings
from tests.fakes.loopback import LoopbackHandler, LoopbackServer
from tests.unit.adapters.conftest import Install

LOGIN = "me:hunter2"


def wheel(name: str, version: str, origin: str, needs: str = "") -> bytes:
    content = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(content, "w") as made:
        made.writestr(f"{name}.txt", f"{version} of {origin}")
        required = f"Requires-Dist: {needs}\n" if needs else ""
        made.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        )
        tags = "Root-Is-Purelib: true\nTag: py3-none-any\n"
        made.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\n{tags}")
        made.writestr(f"{info}/RECORD", "")
    return content.getvalue()


class Indexes(LoopbackServer):
    """Indexes by their paths; the one of the vendor needs a login, and has an old beta as well."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []
        self.wheels = {
            "usual": {
                "alpha-1-py3-none-any.whl": wheel("alpha", "1", "usual"),
                "beta-2-py3-none-any.whl": wheel("beta", "2", "usual"),
                "gamma-1-py3-none-any.whl": wheel("gamma", "1", "usual", "alpha"),
            },
            "vendor": {
                "alpha-1-py3-none-any.whl": wheel("alpha", "1", "vendor", "beta"),
                "beta-1-py3-none-any.whl": wheel("beta", "1", "vendor"),
            },
        }

    class handler(LoopbackHandler):  # noqa: N801 - the attribute of the server's class
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self.fake.paths.append(self.path)
            index, package, file = (*self.path.strip("/").split("/"), "", "")[:3]
            given = self.headers.get("Authorization", "")
            if index == "vendor" and given != f"Basic {base64.b64encode(LOGIN.encode()).decode()}":
                self.answer(401, b"", {"WWW-Authenticate": "Basic"})
                return
            wheels = self.fake.wheels[index]
            if file:
                self.answer(200, wheels[file], {"Content-Type": "application/zip"})
                return
            links = [f'<a href="{name}">{name}</a>' for name in wheels if name.startswith(package)]
            self.answer(
                200 if links else 404, "\n".join(links).encode(), {"Content-Type": "text/html"}
            )

        do_HEAD = do_GET  # noqa: N815 - the library's name


@pytest.fixture
def indexes() -> Iterator[Indexes]:
    with Indexes() as running:
        yield running


@pytest.fixture
def install(indexes: Indexes, tmp_path: Path, uv_install: Install) -> Any:
    """Install requirements, with alpha bound to the vendor's index; return what is there."""

    def install_lines(*lines: str, **files: str) -> set[str]:
        vendor = indexes.url.replace("://", f"://{LOGIN}@") + "/vendor"
        settings = IndexSettings(
            index_url=f"{indexes.url}/usual", package_indexes=(("alpha", vendor),)
        )
        options = ["--require-hashes"] if "--hash" in lines[0] else []
        target = uv_install("".join(f"{line}\n" for line in lines), settings, options, **files)
        for written in (tmp_path / "scratch").rglob("*"):
            assert not written.is_file() or b"hunter2" not in written.read_bytes()
        return {path.read_text() for path in target.glob("*.txt")}

    return install_lines


def test_a_package_comes_from_its_index_and_no_other_does(install: Any) -> None:
    assert install("alpha==1", "beta==2") == {"1 of vendor", "2 of usual"}


def test_a_package_that_a_bound_one_requires_comes_from_the_usual_index(install: Any) -> None:
    assert install("alpha") == {"1 of vendor", "2 of usual"}


def test_hashes_are_those_of_the_packages_own_index(indexes: Indexes, install: Any) -> None:
    def line(index: str, name: str, version: str) -> str:
        content = indexes.wheels[index][f"{name}-{version}-py3-none-any.whl"]
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(content).hexdigest()}"

    found = install(line("vendor", "alpha", "1"), line("usual", "beta", "2"))
    assert found == {"1 of vendor", "2 of usual"}


def test_a_package_that_only_others_require_is_looked_for_there_first(install: Any) -> None:
    assert install("gamma", "beta==1") == {"1 of usual", "1 of vendor"}


def test_what_does_not_hold_is_not_installed(install: Any) -> None:
    assert install("beta==2", 'alpha==1 ; python_version < "3"') == {"2 of usual"}


def test_a_version_that_the_packages_index_lacks_is_not_taken_from_another(
    indexes: Indexes, install: Any
) -> None:
    indexes.wheels["usual"]["alpha-2-py3-none-any.whl"] = wheel("alpha", "2", "usual")
    with pytest.raises(ImageBuildError, match="alpha has no version 2; the newest is 1") as caught:
        install("alpha==2")
    assert "hunter2" not in str(caught.value)


def test_uv_for_a_container_comes_from_the_usual_index(indexes: Indexes, tmp_path: Path) -> None:
    version = metadata.version("uv")
    name = f"uv-{version}-py3-none-any.whl"
    indexes.wheels["usual"][name] = wheel("uv", version, "usual")
    indexes.wheels["vendor"][name] = wheel("uv", version, "vendor")
    settings = IndexSettings(
        index_url=f"{indexes.url}/usual", package_indexes=(("alpha", f"{indexes.url}/vendor"),)
    )
    # A processor other than this machine's.
    architecture = "x86_64" if platform.machine() == "aarch64" else "arm64"
    program = UvInstaller(tmp_path / "cache").program(
        tmp_path,
        settings=settings,
        python_version="3.11",
        architecture=architecture,
        glibc="2.36",
    )
    assert (program.parents[1] / "uv.txt").read_text() == f"{version} of usual"
    assert not any("vendor" in each for each in indexes.paths)
