"""Root images: finds them, and determines their Python and C library once."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from covalent_lambda_container.errors import ImageBuildError, VersionMismatch
from covalent_lambda_container.files.cache_folder import scratch
from covalent_lambda_container.files.kept_files import find_kept, keep
from covalent_lambda_container.images.in_container import describe
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.engine import CannotRun, Container, Engine, EngineImage

log = logging.getLogger(__name__)

_PYTHON_FOLDERS: Final = ("/var/lang/bin", "/usr/local/bin", "/usr/bin")
"""Folders of Python in AWS's images, Python's own images, and Linux distributions."""
_LIBRARY_FOLDERS: Final = {
    "x86_64": ("/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu"),
    "arm64": ("/lib64", "/usr/lib64", "/lib/aarch64-linux-gnu"),
}
_PYTHON_NAME: Final = re.compile(r"/python(3\.\d+)$")
_GLIBC: Final = re.compile(rb"GNU C Library [^\n]*version (\d+\.\d+)")
_PROGRAM: Final = Path(__file__).parent / "in_container" / "describe.py"


@dataclass(frozen=True, kw_only=True)
class RootImage:
    """A root image in the engine: the image that the option ``base_image`` names.

    Parameters
    ----------
    id
        ID in the engine.
    architecture
        ``"x86_64"`` or ``"arm64"``.
    python
        Minor version of its Python: ``"3.11"``.
    build
        Identifies the build of Python.
    cache_tag
        Tag in the names of byte code files: ``"cpython-311"``.
    glibc
        Version of glibc, ``"2.36"``; empty for other C libraries.
    has_interface
        Whether it has Lambda's runtime interface client and emulator.
    runs_here
        Whether the engine can run it. If not, `build` and `cache_tag` are those of this process.
    """

    id: str
    architecture: str
    python: str
    build: str
    cache_tag: str
    glibc: str
    has_interface: bool
    runs_here: bool = True


def find_root_image(
    engine: Engine,
    spec: ImageSpec,
    cache: Path,
    started: Callable[[str], Container],
    *,
    newest: bool = False,
) -> RootImage:
    """Return the root image of a spec; it is pulled if the engine does not have it.

    Parameters
    ----------
    cache
        Folder for descriptions of images.
    started
        Returns a running container of an image.
    newest
        Whether to pull it even if the engine has it; an image that cannot be pulled is kept.

    Raises
    ------
    VersionMismatch
        It has a Python other than the client's, or is for another processor.
    """
    found = engine.find(spec.base_image)
    if found is None:
        image = engine.pull(spec.base_image, spec.architecture)
    elif newest or found.architecture != spec.architecture:
        image = _pulled(engine, spec, found)
    else:
        image = found
    if image.architecture != spec.architecture:
        raise VersionMismatch(
            f"The root image {spec.base_image} is for {image.architecture}; the functions are to "
            f"run on {spec.architecture}.",
            hint="Choose a base_image for that processor, or another architecture.",
        )
    description = _description(engine, image, cache, started)
    root = RootImage(id=image.id, architecture=image.architecture, **description)
    if root.python != spec.python_version:
        raise VersionMismatch(
            f"The root image {spec.base_image} has Python {root.python}; the task was pickled by "
            f"Python {spec.python_version}.",
            hint="Choose a base_image with the client's Python, or leave it unset.",
        )
    if not root.runs_here and root.python != describe.describe()["python"]:
        if not engine.runs_containers:
            raise VersionMismatch(
                f"The root image {spec.base_image} has Python {root.python}, and the dispatcher's "
                f"own is {describe.describe()['python']}: without a Docker engine, the "
                "dispatcher's Python compiles the packages, and must be of the same version.",
                hint=f"Run the dispatcher, or 'covalent-lambda prebuild', with Python "
                f"{root.python}, or build where there is a Docker engine.",
            )
        raise VersionMismatch(
            f"The root image {spec.base_image} is for {image.architecture}, which this engine does "
            f"not run, and the dispatcher's own Python is not {root.python}: nothing "
            "can compile the packages.",
            hint="Set up an emulator on the engine's machine (QEMU's binfmt handlers), build on a "
            "machine with that processor, or run the dispatcher with that Python.",
        )
    return root


def _pulled(engine: Engine, spec: ImageSpec, found: EngineImage) -> EngineImage:
    """Return the image that a registry has, or else the one that the engine has."""
    try:
        return engine.pull(spec.base_image, spec.architecture)
    except ImageBuildError as exc:
        log.warning(
            "Root image %s could not be pulled; the local one is used: %s", spec.base_image, exc
        )
        return found


def _description(
    engine: Engine, image: EngineImage, cache: Path, started: Callable[[str], Container]
) -> dict[str, Any]:
    known = cache / image.id.removeprefix("sha256:")
    if not engine.runs_containers:
        # The description read from files differs from that of the image's own Python.
        file = known.with_suffix(".files")
        fields = {"python", "glibc", "has_interface", "runs_here"}
        read = functools.partial(_read_from_files, engine, image)
        return describe.describe() | _cached(file, fields, read)
    try:
        program = ["python3", "-c", _PROGRAM.read_text("utf-8")]
        return _cached(
            known,
            set(describe.describe()),
            lambda: json.loads(started(image.id).run(program)),
        )
    except CannotRun:
        # Not cached: an emulator may be installed at any time.
        return describe.describe() | _read_from_files(engine, image)


def _cached(file: Path, fields: set[str], read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the description that was kept for a file, or keep one.

    Another release of this package may have kept one with other fields.
    """
    key = f"{file.name}-{hashlib.sha256(repr(sorted(fields)).encode()).hexdigest()[:8]}"
    kept = find_kept(file.parent, key)
    if kept is not None:
        return dict(json.loads(kept.read_text("utf-8")))
    description = read()
    with scratch(file.parent.parent) as folder:
        (folder / "description").write_text(json.dumps(description), "utf-8")
        keep(folder / "description", file.parent, key)
    return description


def _read_from_files(engine: Engine, image: EngineImage) -> dict[str, Any]:
    """Describe an image that cannot run here; this machine's Python compiles for it."""
    pythons = [f"{folder}/python3" for folder in _PYTHON_FOLDERS]
    libraries = [f"{folder}/libc.so.6" for folder in _LIBRARY_FOLDERS[image.architecture]]
    found = engine.read(image.id, image.architecture, [*pythons, *libraries, describe.ENTRYPOINT])
    versions = [_PYTHON_NAME.search(each.path) for each in found[: len(pythons)] if each]
    glibc = [_GLIBC.search(each.content) for each in found[len(pythons) : -1] if each]
    return {
        "python": next((match[1] for match in versions if match), "no version"),
        "glibc": next((match[1].decode() for match in glibc if match), ""),
        "has_interface": found[-1] is not None,
        "runs_here": False,
    }
