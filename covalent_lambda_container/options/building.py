"""Options of images and of their package sources."""

# ruff: noqa: RUF012 - Pydantic copies these defaults for each instance.

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le

from covalent_lambda_container.options.limits import (
    AWS_ROOT_IMAGE,
    LAMBDA_IMAGE_MB,
)
from covalent_lambda_container.options.option import Option, Text, Truth, Whole, pattern


class ImageOptions:
    """Contents of the image"""

    requirements: Annotated[
        list[Text],
        Option(
            "pip requirements that every electron of this executor gets; "
            '["-r FILE"] reads them from a requirements file, pylock.toml, uv.lock or '
            'pyproject.toml; "-r uv.lock[NAME]" adds an extra or a dependency group.',
            remark="The file is read when the executor is created.",
        ),
    ] = []
    constraints: Annotated[
        list[Text],
        Option(
            "Requirements of packages that are installed only if another package needs them, as "
            "in pip's constraints files."
        ),
    ] = []
    local_packages: Annotated[
        list[Text],
        Option(
            "Your own packages and modules, copied into the images unchanged: import names, or "
            "paths.",
            remark="They are located when the executor is created, and read where the "
            "dispatcher runs. Caches and hidden files are skipped, and so is everything that a "
            "`.dockerignore` in the package, or above it in its project, excludes.",
        ),
    ] = []
    bash_deps: Annotated[
        Literal["build", "after_packages", "runtime"],
        Option(
            "When commands of DepsBash run: once while the image is built, before the packages are "
            "installed (build) or after them (after_packages), or before each task, in a folder "
            "under /tmp (runtime)."
        ),
    ] = "build"
    base_image: Annotated[
        Text,
        pattern(
            r"^([a-zA-Z0-9\[](/?[a-zA-Z0-9._:\[\]-])*(@[a-z0-9.+_-]+:[0-9a-fA-F]+)?)?$",
            "an image's reference without https:// and without a login, such as "
            "registry.example.com/python:3.11",
        ),
        Option(
            f"Root image; default: {AWS_ROOT_IMAGE}:X.Y, for the client's Python X.Y.",
            flag="--base-image IMAGE",
        ),
    ] = ""
    architecture: Annotated[
        Literal["x86_64", "arm64"],
        Option(
            "Processor of the functions: x86_64 or arm64.",
            flag="--architecture x86_64|arm64",
            function="architecture",
        ),
    ] = "x86_64"
    builder: Annotated[
        Literal["docker", "registry"],
        Option(
            "How images are built: docker uses an engine on the dispatcher's machine; registry "
            "composes and uploads them without one.",
            remark="`registry` needs wheels of all packages, no DepsBash command at build, and a "
            "dispatcher whose Python has the image's version. With `docker`, images that meet "
            "these conditions are built the same way if no engine answers.",
            flag="--builder docker|registry",
        ),
    ] = "docker"
    force_rebuild: Annotated[
        Truth,
        Option(
            "Rebuild and push each image, once in each process of the dispatcher, even if ECR "
            "has it.",
            remark="From then on the new image is used; functions created from the old one keep "
            "it.",
        ),
    ] = False
    max_image_mb: Annotated[
        Whole,
        Ge(1),
        Le(LAMBDA_IMAGE_MB),
        Option(
            f"Largest image that is pushed, in MB uncompressed, up to {LAMBDA_IMAGE_MB} (Lambda's "
            "limit)."
        ),
    ] = LAMBDA_IMAGE_MB


class IndexOptions:
    """Package indexes"""

    ca_bundle: Annotated[
        Text,
        Option(
            "PEM file of certificate authorities to trust when installing packages, and when "
            "reading a root image without Docker; default: PIP_CERT, REQUESTS_CA_BUNDLE or "
            "SSL_CERT_FILE of the dispatcher's environment, or pip's configuration.",
            flag="--ca-bundle FILE",
        ),
    ] = ""
    pip_index_url: Annotated[
        Text,
        Option(
            "Package index, without credentials; default: the dispatcher's, from uv's and pip's "
            "environment variables and pip's configuration.",
            flag="--index-url URL",
        ),
    ] = ""
    pip_extra_index_urls: Annotated[
        list[Text],
        Option(
            "Further package indexes, without credentials, searched before those of the "
            "dispatcher's machine."
        ),
    ] = []
