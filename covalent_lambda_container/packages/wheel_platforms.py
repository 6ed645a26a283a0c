"""The platforms of wheels, as uv names them."""

from __future__ import annotations

from typing import Final

from covalent_lambda_container.errors import ImageBuildError

MACHINES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Python's names of processors."""
_GLIBC_MINORS: Final = (17, 28, *range(31, 41))
"""The manylinux platforms that uv accepts (`uv pip install --help`, uv 0.13)."""


def platform_name(architecture: str, glibc: str) -> str:
    """Return uv's name of the newest platform whose wheels run on a version of glibc.

    Raises
    ------
    ImageBuildError
        When there is none.
    """
    major, _, minor = glibc.partition(".")
    fitting = [each for each in _GLIBC_MINORS if major == "2" and each <= int(minor)]
    if not fitting:
        raise ImageBuildError(
            f"The root image has {f'glibc {glibc}' if glibc else 'no glibc'}; wheels for Linux "
            "need glibc 2.17 or newer.",
            hint="Give a base_image with glibc, such as AWS's own or python:3.11-slim.",
        )
    return f"{MACHINES[architecture]}-manylinux_2_{max(fitting)}"
