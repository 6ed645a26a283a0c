"""An image as a plain Dockerfile with its build context, to be built without this project.

pip installs the packages while Docker builds. The image behaves like one that the dispatcher
builds, but has different layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.files.archives import Member, files
from covalent_lambda_container.images.dockerfile import (
    CLOUDPICKLE,
    CONSTRAINTS,
    EMULATOR,
    INTERFACE_CLIENT,
    TASK_ROOT,
    local_sources,
    rendered,
    requirements_files,
    runtime_sources,
    template_bytes,
)
from covalent_lambda_container.model.image_labels import spec_label
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX
from covalent_lambda_container.packages.requirements import has_hash, parsed

_LIST_PACKAGES: Final = Path(__file__).parent / "in_container" / "list_packages.py"
_SCRIPTS: Final = ("standalone/install-interface.sh", "standalone/pip.sh", "lambda-entrypoint.sh")


def standalone_dockerfile(spec: ImageSpec) -> str:
    """Return a Dockerfile that installs a spec's packages with pip.

    Raises
    ------
    ConfigurationError
        Packages are bound to an index, which pip does not know.
    """
    for option in spec.install_options:
        if option.startswith(f"{PACKAGE_INDEX} "):
            name, _, url = option.removeprefix(f"{PACKAGE_INDEX} ").partition("=")
            raise ConfigurationError(
                f"{name} comes from the index {url} and from no other, which pip cannot be told.",
                hint="covalent-lambda prebuild builds this image.",
            )
    packages = [
        line
        for line in spec.requirements
        if not has_hash(line) and parsed(line).name != CLOUDPICKLE
    ]
    options = [*spec.install_options]
    options += [f"--constraint /build/{CONSTRAINTS}"] if _constraints(spec) else []
    return rendered(
        "standalone/Dockerfile.j2",
        spec=spec,
        packages=packages,
        hashed=any(map(has_hash, spec.requirements)),
        options="".join(f" {option}" for option in options),
        labels=[(name, _quoted(value)) for name, value in spec_label(spec.json).items()],
        client=INTERFACE_CLIENT,
        emulator=EMULATOR,
    )


def standalone_context(spec: ImageSpec, ca_bundle: bytes | None = None) -> list[Member]:
    """Return a complete build context: a Dockerfile and the files that it copies.

    Parameters
    ----------
    ca_bundle
        Certificate authorities that pip trusts while the image is built, as PEM text.
    """
    build = {Path(name).name: template_bytes(name) for name in _SCRIPTS}
    build[_LIST_PACKAGES.name] = _LIST_PACKAGES.read_bytes()
    if hashed := [line for line in spec.requirements if has_hash(line)]:
        build["hashed.txt"] = "".join(f"{line}\n" for line in hashed).encode()
    if constraints := _constraints(spec):
        build[CONSTRAINTS] = constraints.encode()
    if ca_bundle is not None:
        build["ca-bundle.crt"] = ca_bundle
    task = [*runtime_sources(), *local_sources(spec.local_packages)]
    return [
        *files({"Dockerfile": standalone_dockerfile(spec).encode()}),
        *files({f"build/{name}": content for name, content in build.items()}),
        *(
            Member(name=f"task/{each.name.removeprefix(f'{TASK_ROOT}/')}", content=each.content)
            for each in task
        ),
    ]


def write_context(members: Sequence[Member], folder: Path) -> None:
    """Write a build context to a folder.

    Raises
    ------
    ConfigurationError
        The folder is not empty, or cannot be written to.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigurationError(
                f"{folder} is not empty: its files would mix with the build context.",
                hint="Choose a new or an empty folder.",
            )
        for member in members:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(part for part in member.content if isinstance(part, bytes)))
    except OSError as exc:
        raise ConfigurationError(f"The build context cannot be written: {exc}.") from exc


def _constraints(spec: ImageSpec) -> str:
    return requirements_files(spec)[-1].get(CONSTRAINTS, "")


def _quoted(value: str) -> str:
    """Return a text escaped for double quotes in a Dockerfile."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
