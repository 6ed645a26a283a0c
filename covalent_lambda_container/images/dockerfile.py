"""From a spec to Docker build contexts: rendered text and archives, the same on every machine.

An image is made in three builds, each on the one before: the base, which changes with the root
image; the packages; and the runtime, which changes with this project.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Final

import jinja2

from covalent_lambda_container.files.archives import END, Member, archive, body, files
from covalent_lambda_container.images import package_archives as packs
from covalent_lambda_container.images.package_archives import Layer
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.local_packages import LocalPackage
from covalent_lambda_container.packages.requirements import ADDRESS_OPTIONS, as_constraint, has_hash

RUNTIME_PACKAGE: Final = "covalent_lambda_runtime"
"""Name under which `covalent_lambda_container.runtime` is importable inside an image."""
TASK_ROOT: Final = "var/task"
"""Folder of an image for the task's packages and the runtime, from the root."""
INTERFACE_ROOT: Final = "var/runtime"
"""Folder of an image for Lambda's runtime interface client."""

REQUIREMENTS: Final = "requirements.txt"
CONSTRAINTS: Final = "constraints.txt"

_RUNTIME_FOLDER: Final = f"{TASK_ROOT}/{RUNTIME_PACKAGE}"
_PACKAGE = Path(__file__).resolve().parents[1]
_ENTRYPOINT = "lambda-entrypoint.sh"
_EMULATOR = "usr/local/bin/aws-lambda-rie"
_COMMANDS = "opt/covalent-lambda/commands"


def render_dockerfile(spec: ImageSpec, layers: Sequence[Layer] = ()) -> str:
    """Return the text of the Dockerfile that puts a spec's packages on the base.

    Parameters
    ----------
    layers
        The packages once they are installed; what they are is not known before.
    """
    template = _environment().get_template("Dockerfile.j2")
    return template.render(spec=spec, layers=layers, command_name=command_name)


def requirements_files(spec: ImageSpec, further: Iterable[str] = ()) -> list[dict[str, str]]:
    """Return what to install, step by step: texts of a requirements file and those it refers to.

    Packages with hashes are a step by themselves: where one has a hash, installers ask for that of
    each. Those that come with a task's data have none; they leave the others as they are.

    Parameters
    ----------
    further
        More requirements, beside the spec's and its cloudpickle.
    """
    hashed = [line for line in spec.requirements if has_hash(line)]
    others = [line for line in spec.requirements if not has_hash(line)]
    others += [f"cloudpickle=={spec.cloudpickle_version}", *further]
    # Addresses are the installer's settings, which know the credentials for them.
    options = [line for line in spec.install_options if not line.startswith(ADDRESS_OPTIONS)]

    def step(packages: Iterable[str], constraints: Sequence[str]) -> dict[str, str]:
        limited = [f"--constraint {CONSTRAINTS}"] if constraints else []
        texts = {REQUIREMENTS: _lines([*options, *limited, *packages])}
        return texts | ({CONSTRAINTS: _lines(constraints)} if constraints else {})

    if not hashed:
        return [step(others, spec.constraints)]
    chosen = [as_constraint(line) for line in hashed]
    return [step(hashed, spec.constraints), step(others, [*spec.constraints, *chosen])]


def command_name(number: int) -> str:
    """Return the name of the script of a spec's command, counted from 1."""
    return f"{number:03d}.sh"


def base_context(interface: Layer | None, emulator: Path | None) -> list[Member]:
    """Return the context of the base, which takes the argument ``ROOT_IMAGE``.

    Parameters
    ----------
    interface, emulator
        Lambda's runtime interface client, packed, and its emulator, for a root that has neither.
    """
    # Folders that Docker would otherwise make, with the time of that moment.
    parts: list[bytes | Path] = [*body([Member(name=f"{TASK_ROOT}/")], folders=True)]
    if interface is not None and emulator is not None:
        start = (_templates() / _ENTRYPOINT).read_bytes()
        parts += [pack.file for pack in interface.packs]
        parts += body(
            [
                Member(name=_EMULATOR, content=(emulator,), executable=True),
                Member(name=_ENTRYPOINT, content=(start,), executable=True),
            ],
            folders=True,
        )
    return [
        *files({"Dockerfile": _project_file("Dockerfile.base").read_bytes()}),
        Member(name="interface.tar", content=(*parts, END)),
    ]


def packages_context(spec: ImageSpec, layers: Sequence[Layer]) -> list[Member]:
    """Return the context of a spec's packages, which takes the argument ``BASE_IMAGE``."""
    commands = {
        f"{_COMMANDS}/{command_name(number)}": f"{command}\n".encode()
        for number, command in enumerate(spec.commands, start=1)
    }
    return [
        *files({"Dockerfile": render_dockerfile(spec, layers).encode()}),
        *([_nested("commands.tar", files(commands))] if commands else []),
        *(
            Member(
                name=f"packages/{layer.name}", content=(*(pack.file for pack in layer.packs), END)
            )
            for layer in layers
        ),
    ]


def runtime_context(runtime: Sequence[Member], own_code: Sequence[Member] = ()) -> list[Member]:
    """Return the context of the last layers, which takes the argument ``PACKAGES_IMAGE``.

    Parameters
    ----------
    runtime, own_code
        Files of the runtime, and of the packages of the user's own, by their path in the image.
    """
    archives = {"runtime.tar": runtime, "local.tar": own_code}
    nested = [_nested(name, members) for name, members in archives.items() if members]
    template = _environment().get_template("Dockerfile.runtime")
    text = template.render(archives=[archive.name for archive in nested])
    return [*files({"Dockerfile": text.encode()}), *nested]


def runtime_sources() -> list[Member]:
    """Return the runtime's modules, named by their path in the image."""
    runtime = _PACKAGE / "runtime"
    return files(
        {
            f"{_RUNTIME_FOLDER}/{path.name}": path.read_bytes()
            for path in sorted(runtime.glob("*.py"))
        }
    )


def local_sources(packages: Sequence[LocalPackage]) -> list[Member]:
    """Return the files of the user's own code, named by their path in the image."""
    return files(
        {f"{TASK_ROOT}/{name}": content for package in packages for name, content in package.files}
    )


@cache
def base_recipe() -> str:
    """SHA-256, hexadecimal, of all that takes part in making the base."""
    return _digest([_project_file("Dockerfile.base"), _templates() / _ENTRYPOINT])


@cache
def packages_recipe() -> str:
    """SHA-256, hexadecimal, of all that takes part in making packages on a base."""
    return _digest([_templates() / "Dockerfile.j2"])


@cache
def recipe_digest() -> str:
    """SHA-256, hexadecimal, of every file of ours that takes part in making an image."""
    runtime = b"".join(archive(runtime_context(runtime_sources())))
    parts = [base_recipe(), packages_recipe(), hashlib.sha256(runtime).hexdigest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def packages_key(spec: ImageSpec, base: str) -> str:
    """SHA-256, hexadecimal, of what determines a spec's packages: all below the runtime."""
    content = asdict(replace(spec, local_packages=())) | {"recipe": packages_recipe(), "base": base}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _digest(paths: Iterable[Path]) -> str:
    # How files are compiled and packed is as much a part of it.
    compiling = _PACKAGE / "images" / "in_container" / "compile_sources.py"
    members = files({path.name: path.read_bytes() for path in [*paths, compiling]})
    digest = hashlib.sha256(str(packs.FORMAT).encode())
    for piece in archive(members):
        digest.update(piece)
    return digest.hexdigest()


def _nested(name: str, members: Iterable[Member]) -> Member:
    """Return an archive as a member; Docker's ADD unpacks it."""
    return Member(name=name, content=(*body(members, folders=True), END))


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
