"""Advice for a missing shared library names the package of the image's own system."""

from __future__ import annotations

from pathlib import Path

import pytest

from covalent_lambda_container.runtime import system_packages

GL = "libGL.so.1: cannot open shared object file: No such file or directory"
APT = "apt-get update && apt-get install -y --no-install-recommends"


@pytest.mark.parametrize(
    ("release", "message", "command"),
    [
        ("ID=debian", GL, f"{APT} libgl1"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', GL, f"{APT} libgl1"),
        ("ID=debian", GL.replace("GL", "gomp"), f"{APT} libgomp1"),
        ('ID="amzn"\nVERSION_ID="2"', GL, "yum install -y mesa-libGL"),
        ('ID="amzn"\nVERSION_ID="2023"', GL.replace("GL", "gomp"), "dnf install -y libgomp"),
        ("ID=debian", GL.replace("GL", "strange"), "apt-file search libstrange.so.1"),
        ("ID=fedora", GL.replace("GL", "strange"), "dnf provides '*/libstrange.so.1'"),
        ("", GL, "choose a base_image"),
        ("ID=debian", GL.replace("GL", "cuda"), "Lambda has none"),
    ],
)
def test_advice_is_for_the_system_of_the_image(
    release: str, message: str, command: str, tmp_path: Path
) -> None:
    file = tmp_path / "os-release"
    if release:
        file.write_text(release)
    assert command in system_packages.advice(f"Failed to load: {message}", str(file))


@pytest.mark.parametrize("message", ["", "No module named 'cv2'", "No such file: 'libGL.so.1'"])
def test_other_errors_have_no_advice(message: str) -> None:
    assert system_packages.advice(message) == ""
