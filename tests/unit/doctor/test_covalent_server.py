"""The doctor's checks of Covalent on this machine."""

from __future__ import annotations

from covalent_lambda_container.doctor.covalent_server import CovalentServer


def test_installed_versions_are_compatible() -> None:
    assert "covalent-lambda-container" in CovalentServer(timeout_s=1).versions()
