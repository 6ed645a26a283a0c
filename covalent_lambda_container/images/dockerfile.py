"""Docker build contexts of an image spec: rendered Dockerfiles and archives, always the same bytes.

An image is built in three steps, each on top of the one before: the interface image, which is the
root image (option ``base_image``) with Lambda's runtime interface; the packages image; and the task
image, which adds the runtime and the user's own code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import filterfalse
from pathlib import Path
from typing import Final

import jinja2

from covalent_lambda_container.files.archives import END, Member, archive, body, files
from covalent_lambda_container.images.commands import command_files, late_command_files
from covalent_lambda_container.images.package_archives import FORMAT, Layer
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.local_packages import LocalPackage
from covalent_lambda_container.packages.requirements import (
    ADDRESS_OPTIONS,
    as_constraint,
    has_hash,
    parsed,
)
from covalent_lambda_container.ports.installer import OVERRIDES

RUNTIME_PACKAGE: Final = "covalent_lambda_runtime"
"""Import name of `covalent_lambda_container.runtime` inside an image."""
TASK_ROOT: Final = "var/task"
"""Folder of an image that holds the task's packages and the runtime."""
INTERFACE_ROOT: Final = "var/runtime"
"""Folder of an image that holds Lambda's runtime interface client."""

INTERFACE_CLIENT: Final = "awslambdaric==4.2.2"
EMULATOR: Final = "aws-sam-cli==1.170.0"
"""Its wheel contains the emulator, a static binary, for both architectures."""

CLOUDPICKLE: Final = "cloudpickle"
REQUIREMENTS: Final = "requirements.txt"
CONSTRAINTS: Final = "constraints.txt"

_RUNTIME_FOLDER: Final = f"{TASK_ROOT}/{RUNTIME_PACKAGE}"
_PACKAGE = Path(__file__).resolve().parents[1]
_ENTRYPOINT = "lambda-entrypoint.sh"
_EMULATOR = "usr/local/bin/aws-lambda-rie"
_RUN_COMMAND = "run-command.sh"
_FORGET = " && rm -f /opt/covalent-lambda/ca-bundle.crt"
"""Follows the last command: the authorities are for the build."""


def render_dockerfile(spec: ImageSpec, layers: Sequence[Layer] = ()) -> str:
    """Return the Dockerfile that adds a spec's packages to the interface image.

    Parameters
    ----------
    layers
        Layers of the installed packages; none before they are installed.
    """
    return rendered("Dockerfile.j2", spec=spec, layers=layers, forget=_FORGET)


def rendered(template: str, **values: object) -> str:
    """Return the text of a template."""
    return _environment().get_template(template).render(**values)


def template_bytes(name: str) -> bytes:
    """Return a file of the templates that is used as it is."""
    return (_templates() / name).read_bytes()


def requirements_files(spec: ImageSpec, further: Iterable[str] = ()) -> list[dict[str, str]]:
    """Return the steps of an installation: each a requirements file and the files it refers to.

    Packages with hashes are a step of their own, because installers that see one hash require one
    for every package. The packages that a task's data requires have none; the second step installs
    them and keeps the hashed ones at their versions.

    Parameters
    ----------
    further
        More requirements, beside the spec's and its cloudpickle.
    """
    # The client's cloudpickle wins, whatever packages or users require: it has pickled the task.
    cloudpickle = f"cloudpickle=={spec.cloudpickle_version}"
    hashed = [line for line in spec.requirements if has_hash(line)]
    others = [line for line in spec.requirements if not has_hash(line)]
    others = [*filterfalse(_is_cloudpickle, others), cloudpickle, *further]
    limits = [line for line in spec.constraints if not _is_cloudpickle(line)]
    # Index addresses are passed as index settings, which add the credentials.
    options = [line for line in spec.install_options if not line.startswith(ADDRESS_OPTIONS)]

    def step(packages: Iterable[str], constraints: Sequence[str]) -> dict[str, str]:
        limited = [f"--constraint {CONSTRAINTS}"] if constraints else []
        texts = {REQUIREMENTS: _lines([*options, *limited, *packages])}
        if packages is others:
            texts[OVERRIDES] = _lines([cloudpickle])
        return texts | ({CONSTRAINTS: _lines(constraints)} if constraints else {})

    if not hashed:
        return [step(others, limits)]
    chosen = [as_constraint(line) for line in hashed if not _is_cloudpickle(line)]
    return [step(hashed, spec.constraints), step(others, [*limits, *chosen])]


def _is_cloudpickle(line: str) -> bool:
    return parsed(line).name == CLOUDPICKLE


def interface_context(interface: Layer | None, emulator: Path | None) -> list[Member]:
    """Return the build context of the interface image; it takes the argument ``ROOT_IMAGE``.

    Parameters
    ----------
    interface, emulator
        Lambda's runtime interface client and its emulator, for root images without them.
    """
    # Docker would create missing folders with the current time.
    parts: list[bytes | Path] = [*body([Member(name=f"{TASK_ROOT}/")], folders=True)]
    if interface is not None and emulator is not None:
        start = template_bytes(_ENTRYPOINT)
        parts += [each.file for each in interface.archives]
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


def packages_context(
    spec: ImageSpec, layers: Sequence[Layer], authorities: bytes | None = None
) -> list[Member]:
    """Return the build context of a spec's packages; it takes the argument ``INTERFACE_IMAGE``.

    Parameters
    ----------
    authorities
        Certificate authorities that commands trust, as PEM text; the image does not keep them.
    """
    run = template_bytes(_RUN_COMMAND)
    archives = {
        "commands.tar": command_files(spec, run, authorities),
        "late-commands.tar": late_command_files(spec, run, authorities),
    }
    return [
        *files({"Dockerfile": render_dockerfile(spec, layers).encode()}),
        *(_nested(name, files(content)) for name, content in archives.items() if content),
        *(
            Member(
                name=f"packages/{layer.name}",
                content=(*(each.file for each in layer.archives), END),
            )
            for layer in layers
        ),
    ]


def runtime_context(runtime: Sequence[Member], own_code: Sequence[Member] = ()) -> list[Member]:
    """Return the build context of the last layers; it takes the argument ``PACKAGES_IMAGE``.

    Parameters
    ----------
    runtime, own_code
        Files of the runtime and of the user's own packages, named by their path in the image.
    """
    archives = {"runtime.tar": runtime, "local.tar": own_code}
    nested = [_nested(name, members) for name, members in archives.items() if members]
    text = rendered("Dockerfile.runtime.j2", archives=[archive.name for archive in nested])
    return [*files({"Dockerfile": text.encode()}), *nested]


def runtime_sources() -> list[Member]:
    """Return the runtime's modules, named by their path in the image."""
    runtime = _PACKAGE / "runtime"
    return files(
        {
            f"{_RUNTIME_FOLDER}/{path.relative_to(runtime).as_posix()}": path.read_bytes()
            for path in sorted(runtime.rglob("*.py"))
        }
    )


def local_sources(packages: Sequence[LocalPackage]) -> list[Member]:
    """Return the files of the user's own code, named by their path in the image."""
    return files(
        {f"{TASK_ROOT}/{name}": content for package in packages for name, content in package.files}
    )


@cache
def interface_recipe() -> str:
    """SHA-256 (hexadecimal) of every file that the interface image is built from."""
    return _digest([_project_file("Dockerfile.base"), _templates() / _ENTRYPOINT])


@cache
def packages_recipe() -> str:
    """SHA-256 (hexadecimal) of every file that the packages image is built from."""
    return _digest([_templates() / "Dockerfile.j2", _templates() / _RUN_COMMAND])


@cache
def recipe_digest() -> str:
    """SHA-256 (hexadecimal) of every file of this project that takes part in building an image."""
    runtime = b"".join(archive(runtime_context(runtime_sources())))
    parts = [interface_recipe(), packages_recipe(), hashlib.sha256(runtime).hexdigest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def packages_key(spec: ImageSpec, interface_image: str) -> str:
    """SHA-256 (hexadecimal) of everything that determines a spec's packages image."""
    content = asdict(replace(spec, local_packages=()))
    content |= {"recipe": packages_recipe(), "interface_image": interface_image}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _digest(paths: Iterable[Path]) -> str:
    # The way files are compiled and archived takes part, too.
    compiling = _PACKAGE / "images" / "in_container" / "compile_sources.py"
    members = files({path.name: path.read_bytes() for path in [*paths, compiling]})
    digest = hashlib.sha256(str(FORMAT).encode())
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
    """Return the path of a file that is inside the package in a wheel, and at a checkout's root."""
    packaged = _PACKAGE / name
    return packaged if packaged.exists() else _PACKAGE.parent / name
