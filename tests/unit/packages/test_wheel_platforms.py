"""The platforms whose wheels an image can have."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.packages.wheel_platforms import platform_name


@pytest.mark.parametrize(
    ("architecture", "glibc", "platform"),
    [
        ("x86_64", "2.36", "x86_64-manylinux_2_36"),
        ("arm64", "2.34", "aarch64-manylinux_2_34"),
        ("x86_64", "2.26", "x86_64-manylinux_2_17"),
        ("arm64", "2.99", "aarch64-manylinux_2_40"),
    ],
)
def test_the_newest_wheels_that_run_are_taken(architecture: str, glibc: str, platform: str) -> None:
    assert platform_name(architecture, glibc) == platform


@pytest.mark.parametrize(("glibc", "seen"), [("", "no glibc"), ("2.5", "glibc 2.5")])
def test_a_root_for_which_there_are_no_wheels(glibc: str, seen: str) -> None:
    with pytest.raises(ImageBuildError, match=rf"The root image has {seen}; (.|\n)*base_image"):
        platform_name("x86_64", glibc)
