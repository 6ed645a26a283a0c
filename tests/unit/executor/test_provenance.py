"""A result requires packages of the image that made it, and nothing else that it names."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.executor.provenance import verified

NODE = "make (node 0)"
INSTALLED = frozenset({"numpy==2.1.0", "torch==2.3.0+cpu", "mine @ git+https://example.com/a@0a1b"})


@pytest.mark.parametrize(
    "forged",
    [
        "evil @ http://example.com/evil-1.0.tar.gz",
        "evil==1.0",
        "numpy",
        "numpy==1.0",
        "numpy>=2.1.0",
        "numpy @ https://example.com/numpy-2.1.0-py3-none-any.whl",
        "mine @ git+https://example.com/a@main",
        "--index-url https://example.com/simple",
        "numpy==2.1.0\nRUN id",
    ],
)
def test_packages_that_were_not_installed_are_excluded(
    forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    header = verified(
        {"requires": ["numpy==2.1.0", forged]}, lambda: INSTALLED, "0a", "make (node 0)"
    )
    assert header == {"requires": ["numpy==2.1.0"], "image": "0a", "node": NODE}
    assert "that were not installed there" in caplog.text


def test_installed_packages_are_kept() -> None:
    honest = [
        "mine @ git+https://example.com/a@0a1b",
        "numpy==2.1.0",
        "torch==2.3.0",
        "torch==2.3.0+cpu",
    ]
    assert verified({"requires": honest}, lambda: INSTALLED, "0a", NODE)["requires"] == honest


def test_an_image_that_nobody_knows_adds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def unreadable() -> frozenset[str]:
        raise RegistryError("AccessDenied")

    header = verified({"requires": ["numpy==2.1.0"]}, unreadable, "0a", NODE)
    assert header["requires"] == []
    assert "AccessDenied" in caplog.text


def test_a_result_without_requirements_asks_nobody() -> None:
    header = verified({"requires": []}, lambda: pytest.fail("it was asked"), "0a", NODE)
    assert header == {"requires": [], "image": "0a", "node": NODE}


def test_a_task_does_not_say_where_its_result_comes_from() -> None:
    forged = {"image": "ff", "node": "another", "parts": [{"requires": ["evil"], "image": "ff"}]}
    header = verified(forged | {"requires": ["numpy==2.1.0"]}, lambda: INSTALLED, "0a", NODE)
    assert header == {"requires": ["numpy==2.1.0"], "image": "0a", "node": NODE}
