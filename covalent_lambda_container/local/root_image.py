"""The root of all images: AWS's own base image, or one like it built from Debian packages."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import docker
import requests

from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local import debian
from covalent_lambda_container.options.limits import AWS_ROOT_IMAGE

_LOCAL_REPOSITORY: Final = "covalent-lambda-root"
#: Debian's release whose `python3` has that version. No release has had 3.10 or 3.12.
_SUITES: Final = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
#: libstdc++6 is for the native part of Lambda's runtime interface client, whose error does not
#: mention it.
_PACKAGES: Final = ("python3", "python3-pip", "ca-certificates", "libstdc++6")
_REGISTRY_TIMEOUT_S: Final = 10
_IMPORT_TIMEOUT_S: Final = 600
_CHUNK_BYTES: Final = 1 << 20
_TAIL_LINES: Final = 10


def ensure_root_image(
    client: docker.DockerClient, python_version: str, report: Callable[[str], None]
) -> str:
    """Return the reference of an image with Python that this machine's engine can build on.

    In this order: the root built here earlier; AWS's base image, if it is here or its registry can
    be reached; a root built now from Debian packages, as ``covalent-lambda-root:<X.Y>``.

    Parameters
    ----------
    client
        The engine to look in, pull to or import into.
    python_version
        Major and minor version, such as ``3.11``.
    report
        Called with one line on each step that takes time, and its reason.

    Raises
    ------
    LocalStackError
        The image is not here, cannot be pulled, and cannot be built here.
    """
    local = f"{_LOCAL_REPOSITORY}:{python_version}"
    aws = f"{AWS_ROOT_IMAGE}:{python_version}"
    for reference in (local, aws):
        if _is_here(client, reference):
            return reference
    refusal = _pull(client, aws, report)
    if refusal is None:
        return aws
    suite = _SUITES.get(python_version)
    if suite is None:
        raise LocalStackError(
            f"There is no root image for Python {python_version}: {aws} cannot be pulled "
            f"({refusal}), and Debian packages provide only {' or '.join(_SUITES)}.",
            hint=f"Pull {aws} on a machine with a network, copy it here with `docker save` and "
            f"`docker load`, or use Python {' or '.join(_SUITES)}.",
        )
    mmdebstrap = _find_mmdebstrap(aws, refusal, report)
    report(f"{aws} cannot be pulled ({refusal}): building {local} from Debian {suite} packages")
    _make_from_debian(client, mmdebstrap, suite, local)
    return local


def _is_here(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except docker.errors.ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient, reference: str, report: Callable[[str], None]) -> str | None:
    """Pull an image; return the reason if it failed, or None."""
    try:
        # Requests the manifest first: a pull itself has no time limit.
        with _timeout(client, _REGISTRY_TIMEOUT_S):
            client.images.get_registry_data(reference)
        report(f"Pulling {reference}")
        client.images.pull(reference)
    except docker.errors.APIError as exc:
        return (exc.explanation or str(exc)).strip()
    except requests.Timeout:
        return f"no answer within {_REGISTRY_TIMEOUT_S} s"
    except requests.ConnectionError as exc:
        return f"the connection was lost: {exc}"
    return None


@contextmanager
def _timeout(client: docker.DockerClient, timeout_s: int) -> Iterator[None]:
    usual = client.api.timeout
    client.api.timeout = timeout_s
    try:
        yield
    finally:
        client.api.timeout = usual


def _find_mmdebstrap(aws: str, refusal: str, report: Callable[[str], None]) -> str:
    if shutil.which("mmdebstrap") is None and debian.can_install():
        debian.install(["mmdebstrap"], report)
    found = shutil.which("mmdebstrap")
    if found is None:
        raise LocalStackError(
            f"There is no root image: {aws} cannot be pulled ({refusal}), and mmdebstrap, which "
            "builds one from Debian packages, is not installed.",
            hint=f"Install mmdebstrap, or load {aws} with `docker load`.",
        )
    return found


def _check_version(python_version: str) -> str:
    """Return a program that fails under another Python."""
    version = tuple(map(int, python_version.split(".")))
    return f"import sys; sys.exit(sys.version_info[:2] != {version})"


def _make_from_debian(
    client: docker.DockerClient, mmdebstrap: str, suite: str, reference: str
) -> None:
    python_version = reference.rpartition(":")[2]
    command = [
        mmdebstrap,
        # With apt, for DepsBash.
        "--variant=apt",
        f"--include={','.join(_PACKAGES)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        # An unreleased suite may still change its Python.
        f'--customize-hook=chroot "$1" python3 -c {shlex.quote(_check_version(python_version))}',
        *(suite, "-", *_machine_sources(suite)),
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        assert process.stdout is not None
        try:
            # Named only once it is known to be complete: a truncated tar may be imported, too.
            with _timeout(client, _IMPORT_TIMEOUT_S):
                image = _import(client, process.stdout)
            status = process.wait()
        finally:
            # It removes its working folder before it ends.
            process.stdout.close()
            process.terminate()
            process.wait()
        if status != 0 or image is None:
            if image is not None:
                client.images.remove(image)
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
            raise LocalStackError(
                f"mmdebstrap could not build a root image from Debian {suite}; it ended with "
                f"status {status}:\n" + "\n".join(lines),
                hint="It needs Debian's package servers, or this machine's apt sources if they "
                f"have {suite}.",
            )
    repository, _, tag = reference.partition(":")
    client.images.get(image).tag(repository, tag)


def _machine_sources(suite: str) -> list[str]:
    """Return the machine's own apt sources of a Debian release, or none: mmdebstrap has some."""
    if shutil.which("apt-get") is None:
        return []
    fields = "$(RELEASE)|$(CODENAME)|$(ORIGIN)|$(SIGNED_BY)|$(REPO_URI)|$(COMPONENT)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    sources = set()
    for line in listed.stdout.splitlines():
        release, codename, origin, signed_by, uri, component = line.split("|", 5)
        if origin == "Debian" and codename.split("-")[0] == suite:
            key = f"[signed-by={signed_by}] " if Path(signed_by).is_absolute() else ""
            sources.add(f"deb {key}{uri} {release} {component}")
    return sorted(sources)


def _import(client: docker.DockerClient, tar: IO[bytes]) -> str | None:
    """Import a root file system; return the image's id, or None if the engine refused it."""
    chunks = iter(lambda: tar.read(_CHUNK_BYTES), b"")
    answer = client.api.import_image_from_stream(chunks)
    for line in answer.splitlines():
        status = json.loads(line).get("status", "")
        if status.startswith("sha256:"):
            return str(status)
    return None
