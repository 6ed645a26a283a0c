"""From a spec to Docker build contexts: rendered text and archives, the same on every machine."""

from __future__ import annotations

import configparser
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import jinja2

from covalent_lambda_container.spec import ImageSpec

RUNTIME_PACKAGE: Final = "covalent_lambda_runtime"
"""Name under which `covalent_lambda_container.runtime` is importable inside an image."""

_PACKAGE = Path(__file__).resolve().parent
_BASE_SCRIPTS = ("install-interface.sh", "lambda-entrypoint.sh")
_TASK_SCRIPTS = ("install-packages.sh", "list-modules.py")
_RUNTIME_MODULES = (
    "__init__.py",
    "capture.py",
    "execution.py",
    "handler.py",
    "processes.py",
    "provenance.py",
    "surroundings.py",
    "transfer.py",
    "watch.py",
    "wire.py",
)


@dataclass(frozen=True, kw_only=True)
class InstallSettings:
    """How pip reaches its index during a build; nothing of it stays in the finished image.

    Parameters
    ----------
    ca_bundle
        PEM text of the certificate authorities pip should trust, or None for its own.
    """

    ca_bundle: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """What Docker needs for one build.

    Parameters
    ----------
    archive
        Uncompressed tar; the Dockerfile is its member ``Dockerfile``.
    identity
        SHA-256 of the archive, hexadecimal.
    """

    archive: bytes
    identity: str


def render_dockerfile(spec: ImageSpec) -> str:
    """Return the text of a task image's Dockerfile."""
    template = _environment().get_template("Dockerfile.j2")
    return template.render(spec=spec, command_name=command_name)


def requirements_text(spec: ImageSpec) -> str:
    """Return the requirements file pip installs: the task's packages and its cloudpickle."""
    lines = [
        *spec.install_options,
        # Beside this file.
        *(["--constraint constraints.txt"] if spec.constraints else []),
        *spec.requirements,
        f"cloudpickle=={spec.cloudpickle_version}",
    ]
    return _lines(lines)


def command_name(number: int) -> str:
    """Return the name of the script of a spec's command, counted from 1."""
    return f"{number:03d}.sh"


def task_context(spec: ImageSpec, settings: InstallSettings) -> BuildContext:
    """Return the context of a task image; its ``BASE_IMAGE`` argument names the base."""
    members = {
        "Dockerfile": render_dockerfile(spec).encode(),
        "install/requirements.txt": requirements_text(spec).encode(),
        "install/constraints.txt": _lines(spec.constraints).encode(),
        **{
            f"commands/{command_name(number)}": f"{command}\n".encode()
            for number, command in enumerate(spec.commands, start=1)
        },
        **_install_files("install", _TASK_SCRIPTS, settings),
        **_runtime_files(),
    }
    return _context(members)


def base_context(settings: InstallSettings) -> BuildContext:
    """Return the context of the base: arguments ``ROOT_IMAGE`` and ``PYTHON_VERSION``."""
    members = {
        "Dockerfile": _project_file("Dockerfile.base").read_bytes(),
        **_install_files("base", _BASE_SCRIPTS, settings),
    }
    return _context(members)


@cache
def recipe_digest() -> str:
    """SHA-256, hexadecimal, of every file of ours that takes part in making an image."""
    members = {
        "Dockerfile.base": _project_file("Dockerfile.base").read_bytes(),
        "Dockerfile.j2": (_templates() / "Dockerfile.j2").read_bytes(),
        **_install_files("", (*_BASE_SCRIPTS, *_TASK_SCRIPTS), InstallSettings()),
        **_runtime_files(),
    }
    return _context(members).identity


def _install_files(
    folder: str, scripts: tuple[str, ...], settings: InstallSettings
) -> dict[str, bytes]:
    members = {f"{folder}/{name}": (_templates() / name).read_bytes() for name in scripts}
    pip_configuration = configparser.ConfigParser(interpolation=None)
    pip_configuration["global"] = {
        "disable-pip-version-check": "true",
        "root-user-action": "ignore",
    }
    if settings.ca_bundle is not None:
        members[f"{folder}/ca-bundle.crt"] = settings.ca_bundle
        pip_configuration["global"]["cert"] = f"/tmp/{folder}/ca-bundle.crt"
    text = io.StringIO()
    pip_configuration.write(text)
    members[f"{folder}/pip.conf"] = text.getvalue().encode()
    return members


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _runtime_files() -> dict[str, bytes]:
    runtime = _PACKAGE / "runtime"
    return {f"{RUNTIME_PACKAGE}/{name}": (runtime / name).read_bytes() for name in _RUNTIME_MODULES}


def _context(members: Mapping[str, bytes]) -> BuildContext:
    """Write a tar that depends on names and contents only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(members):
            member = tarfile.TarInfo(name)
            member.size = len(members[name])
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(members[name]))
    content = buffer.getvalue()
    return BuildContext(archive=content, identity=hashlib.sha256(content).hexdigest())


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (_templates() / name).read_text("utf-8")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Dockerfiles are not HTML; requirement texts are validated before they get here.
        autoescape=False,  # noqa: S701
    )


def _templates() -> Path:
    return _project_file("templates")


def _project_file(name: str) -> Path:
    """Find a file that the wheel keeps inside the package and a checkout at its root."""
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _PACKAGE.parent / name
