"""Sources of packages: private indexes of all kinds, hashes, source archives, repositories."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import docker
import pytest
import uv

from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.adapters.uv_installer import UvInstaller
from covalent_lambda_container.covalent_api.task import bare_task
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.images.distributions import distributions_in, lock_text
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.root_image import find_root_image
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import read_requirement_lines
from covalent_lambda_container.ports.engine import Container
from tests.integration.private_index import PrivateIndex, bridge_address

PASSWORD = "canary0123456789"
CLOUDPICKLE = metadata.version("cloudpickle")

Install = Callable[..., list[str]]


@pytest.fixture(scope="module")
def index(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateIndex]:
    index = PrivateIndex(
        tmp_path_factory.mktemp("served") / "index",
        ["127.0.0.1", bridge_address()],
        {"user": PASSWORD},
    )
    index.add_installed("simple", "cloudpickle")
    index.add_wheel("simple", "alpha")
    index.add_wheel("simple", "beta", needs=["alpha"])
    index.add_source("simple", "delta")
    index.add_wheel("extra", "gamma")
    with index.running():
        yield index


@pytest.fixture
def install(
    index: PrivateIndex,
    root_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Install:
    """Install requirements as for an image; return what was installed, pinned."""
    for name in list(os.environ):
        if re.fullmatch(r"(PIP|UV)_.*|(HTTPS?|NO)_PROXY|SSL_CERT_FILE|NETRC", name, re.IGNORECASE):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NETRC", os.devnull)
    (tmp_path / "ca.pem").write_bytes(index.authority)

    def install(
        lines: Sequence[str],
        *,
        required: Sequence[str] = (),
        base_image: str = root_image,
        **options: Any,
    ) -> list[str]:
        checked = Options.check(
            {"base_image": base_image, "ca_bundle": str(tmp_path / "ca.pem"), **options}
        )
        wanted = read_requirement_lines(lines, origin="test", folder=tmp_path)
        wanted |= Requirements(packages=(*required,))
        version = ".".join(platform.python_version_tuple()[:2])
        spec = image_spec(checked, bare_task(wanted, python_version=version))

        def read_settings() -> Any:
            return read_index_settings(
                index_url=checked.pip_index_url,
                extra_index_urls=tuple(checked.pip_extra_index_urls),
                ca_bundle=Path(checked.ca_bundle),
            )

        engine = DockerEngine()
        packages = PackageInstaller(
            engine, UvInstaller(tmp_path / "uv"), read_settings, tmp_path / "wheels"
        )
        with contextlib.ExitStack() as cleanup:

            def started(image: str) -> Container:
                return cleanup.enter_context(engine.container(image, spec.architecture))

            root = find_root_image(engine, spec, tmp_path / "roots", started)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        packages.install(spec, root, lambda: base_image, scratch / "target", scratch)
        return lock_text(distributions_in(scratch / "target")).split("\n")[:-1]

    return install


def in_variable(name: str) -> Callable[..., None]:
    def prepare(
        index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        monkeypatch.setenv(name, index.url(host, "simple", f"user:{PASSWORD}"))

    return prepare


def in_pip_conf(
    index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    url = index.url(host, "simple", f"user:{PASSWORD}")
    (folder / "pip.conf").write_text(f"[global]\nindex-url = {url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / "pip.conf"))


def in_netrc(index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    (folder / "netrc").write_text(f"machine {host} login user password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("PIP_INDEX_URL", index.url(host, "simple"))


def in_keyring(
    index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    program = folder / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PIP_INDEX_URL", index.url(host, "simple", "user"))


def in_netrc_of_a_user(
    index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    in_netrc(index, folder, monkeypatch, host)
    monkeypatch.setenv("PIP_INDEX_URL", index.url(host, "simple", "user"))


def of_a_named_index(
    index: PrivateIndex, folder: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("UV_INDEX", f"my-corp={index.url(host, 'simple')}")
    monkeypatch.setenv("UV_INDEX_MY_CORP_USERNAME", "user")
    monkeypatch.setenv("UV_INDEX_MY_CORP_PASSWORD", PASSWORD)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url(host, "extra", f"user:{PASSWORD}"))


@pytest.mark.parametrize(
    "prepare",
    [
        *(in_variable("PIP_INDEX_URL"), in_variable("UV_INDEX_URL")),
        *(in_variable("UV_DEFAULT_INDEX"), in_pip_conf, in_netrc, in_keyring),
    ],
)
def test_a_password_reaches_the_index_and_is_stored_nowhere(
    prepare: Callable[..., None],
    index: PrivateIndex,
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "given").mkdir()
    prepare(index, tmp_path / "given", monkeypatch, "127.0.0.1")
    assert install(["alpha"]) == ["alpha==1.0", f"cloudpickle=={CLOUDPICKLE}"]
    for folder in ("scratch", "uv", "roots"):
        for path in (tmp_path / folder).rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def test_addresses_of_options_and_requirements_use_the_passwords_of_their_host(
    index: PrivateIndex, install: Install, monkeypatch: pytest.MonkeyPatch
):
    login = f"user:{PASSWORD}"
    monkeypatch.setenv("PIP_INDEX_URL", index.url("127.0.0.1", "elsewhere", login))
    packages = install(
        [f"--index-url {index.url('127.0.0.1', 'simple')}", "alpha", "gamma"],
        pip_extra_index_urls=[index.url("127.0.0.1", "extra")],
    )
    assert packages == ["alpha==1.0", f"cloudpickle=={CLOUDPICKLE}", "gamma==1.0"]


def test_a_wrong_password_is_not_a_missing_package(
    index: PrivateIndex, install: Install, monkeypatch: pytest.MonkeyPatch
):
    wrong = index.url(bridge_address(), "simple", "user:wrongcanary0")
    monkeypatch.setenv("PIP_INDEX_URL", wrong)
    with pytest.raises(ImageBuildError, match="401") as caught:
        install(["alpha"])
    assert "wrongcanary0" not in str(caught.value)


def test_hashes_are_checked(
    index: PrivateIndex, install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    login = f"user:{PASSWORD}"
    monkeypatch.setenv("PIP_INDEX_URL", index.url(bridge_address(), "simple", login))
    alpha, beta = (
        f"{name}==1.0 --hash=sha256:{index.digests[f'{name}-1.0-py3-none-any.whl']}"
        for name in ("alpha", "beta")
    )
    pinned = ["alpha==1.0", "beta==1.0", f"cloudpickle=={CLOUDPICKLE}", "gamma==1.0"]
    # What comes with a task's data has no hashes.
    extra = [index.url(bridge_address(), "extra")]
    assert install([alpha, beta], required=["gamma==1.0"], pip_extra_index_urls=extra) == pinned


@pytest.mark.parametrize("lines", [["beta"], ["beta", "alpha of another content"]])
def test_a_package_with_another_hash_or_none_is_not_installed(
    lines: list[str], index: PrivateIndex, install: Install, monkeypatch: pytest.MonkeyPatch
):
    login = f"user:{PASSWORD}"
    monkeypatch.setenv("PIP_INDEX_URL", index.url(bridge_address(), "simple", login))
    hashed = {
        "beta": f"beta==1.0 --hash=sha256:{index.digests['beta-1.0-py3-none-any.whl']}",
        "alpha of another content": f"alpha==1.0 --hash=sha256:{'0' * 64}",
    }
    with pytest.raises(ImageBuildError, match=r"(?i)hash"):
        install([hashed[line] for line in lines])


PROJECT = """
[project]
name = "mine"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["beta", "gone; sys_platform == 'win32'"]

[dependency-groups]
dev = ["delta"]
"""


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("uv.lock", []),
        ("uv.lock[dev]", ["delta==1.0"]),
        ("pylock.toml", []),
        ("pyproject.toml[dev]", ["delta==1.0"]),
    ],
)
def test_locks_and_projects_are_installed(
    file: str,
    more: list[str],
    index: PrivateIndex,
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    index.add_wheel("simple", "gone")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    login = f"user:{PASSWORD}"
    address = index.url(bridge_address(), "simple", login)
    environment = os.environ | {
        "UV_DEFAULT_INDEX": address,
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
    }
    for command in (
        ["lock"],
        ["export", "-q", "--no-emit-project", "--no-dev", "-o", "pylock.toml"],
    ):
        subprocess.run([uv.find_uv_bin(), *command], cwd=tmp_path, env=environment, check=True)
    # The lock names the index; its password is the machine's. The usual index is another one.
    monkeypatch.setenv("PIP_INDEX_URL", index.url(bridge_address(), "extra", login))
    pinned = ["alpha==1.0", "beta==1.0", f"cloudpickle=={CLOUDPICKLE}", *more]
    extra = [index.url(bridge_address(), "simple")]
    assert install([f"-r {file}"], pip_extra_index_urls=extra) == pinned


@pytest.mark.parametrize(
    "prepare",
    [
        *(in_variable("PIP_INDEX_URL"), in_variable("UV_DEFAULT_INDEX"), in_pip_conf),
        *(in_netrc, in_netrc_of_a_user, in_keyring, of_a_named_index),
    ],
)
def test_source_is_built_with_the_passwords_of_this_machine(
    prepare: Callable[..., None],
    index: PrivateIndex,
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "given").mkdir()
    prepare(index, tmp_path / "given", monkeypatch, bridge_address())
    assert install(["delta"]) == [f"cloudpickle=={CLOUDPICKLE}", "delta==1.0"]


def test_a_package_of_one_index_is_built_from_it_and_no_other_package_comes_from_there(
    index: PrivateIndex, install: Install, monkeypatch: pytest.MonkeyPatch
):
    index.add_source("vendor", "eta")
    index.add_wheel("vendor", "alpha", "0.1")
    login = f"user:{PASSWORD}"
    monkeypatch.setenv("PIP_INDEX_URL", index.url(bridge_address(), "simple", login))
    bound = f"--package-index eta={index.url(bridge_address(), 'vendor')}"
    pinned = ["alpha==1.0", f"cloudpickle=={CLOUDPICKLE}", "eta==1.0"]
    assert install([bound, "alpha", "eta"]) == pinned


@pytest.fixture(scope="module")
def root_with_git(root_image: str) -> Iterator[str]:
    """The root image with this machine's git and what that needs."""
    core = subprocess.check_output(["git", "--exec-path"], text=True).strip()
    # A clone of a clone, which uv makes, is served by git-upload-pack.
    names = ("git", "git-upload-pack")
    programs = [subprocess.check_output(["which", name], text=True).strip() for name in names]
    programs += [f"{core}/{name}" for name in ("git", "git-remote-http", "git-remote-https")]
    needed = subprocess.check_output(["ldd", *programs], text=True)
    libraries = re.findall(r"=> (/\S+)", needed)
    # uv asks for submodules of every repository.
    programs += [f"{core}/{name}" for name in ("git-submodule", "git-sh-setup", "git-sh-i18n")]
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        dockerfile = f"FROM {root_image}\nCOPY files/ /\n".encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile))
        for path in {*programs, *libraries}:
            # As files, wherever links lead: the root has folders of the same names.
            archive.add(
                Path(path).resolve(), f"files/{Path(path).parent.resolve()}/{Path(path).name}"
            )
    context.seek(0)
    with contextlib.closing(docker.from_env()) as client:
        client.images.build(
            fileobj=context, custom_context=True, tag="covalent-lambda-tests-git", rm=True
        )
        yield "covalent-lambda-tests-git"
        client.images.remove("covalent-lambda-tests-git", force=True)


def test_a_repository_is_installed_where_there_is_git(
    index: PrivateIndex,
    install: Install,
    root_with_git: str,
    monkeypatch: pytest.MonkeyPatch,
):
    login = f"user:{PASSWORD}"
    monkeypatch.setenv("PIP_INDEX_URL", index.url(bridge_address(), "simple", login))
    path, commit = index.add_repository("epsilon")
    url = index.url(bridge_address(), path)
    packages = install([f"epsilon @ git+{url}@main"], base_image=root_with_git)
    # Tasks that get a value of it get the commit, and no password.
    assert packages == [f"cloudpickle=={CLOUDPICKLE}", f"epsilon @ git+{url}@{commit}"]


def test_a_private_repository_is_reached_by_netrc(
    index: PrivateIndex,
    install: Install,
    root_with_git: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    address = bridge_address()
    (tmp_path / "netrc").write_text(f"machine {address} login user password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("PIP_INDEX_URL", index.url(address, "simple"))
    path, commit = index.add_repository("zeta", private=True)
    url = index.url(address, path)
    packages = install([f"zeta @ git+{url}"], base_image=root_with_git)
    assert packages == [f"cloudpickle=={CLOUDPICKLE}", f"zeta @ git+{url}@{commit}"]
    for installed in (tmp_path / "scratch" / "target").rglob("*"):
        assert not installed.is_file() or PASSWORD.encode() not in installed.read_bytes()


def test_a_repository_needs_git(index: PrivateIndex, install: Install):
    url = index.url(bridge_address(), "open/git/any.git")
    with pytest.raises(ImageBuildError, match=r"has no git\.\n.*ct\.DepsBash"):
        install([f"epsilon @ git+{url}"])
