"""The output of ``covalent-lambda local``; the stack itself runs in tests/integration."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from covalent._shared_files.config import reload_config

from covalent_lambda_container.cli.local import instructions, undoing
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.local.background import BackgroundStack
from covalent_lambda_container.options.configuration import (
    change_section,
    configuration_file,
)

STACK = BackgroundStack(
    environment={"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_PROFILE": "local"},
    options={"endpoint_url": "http://localhost:4566", "profile": "local"},
    log_file="log",
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The test session's configuration, as it was."""
    before = configuration_file().read_bytes()
    yield
    configuration_file().write_bytes(before)
    reload_config()


def shown() -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    instructions(STACK, Output(stdout, stderr))
    return stdout.getvalue(), stderr.getvalue()


def test_both_instructions_lead_to_the_same_place_as_the_same_user() -> None:
    stdout, stderr = shown()
    assert stdout.splitlines() == [
        "export AWS_ENDPOINT_URL=http://localhost:4566",
        "export AWS_PROFILE=local",
    ]
    command = "  covalent-lambda config set endpoint_url=http://localhost:4566 profile=local"
    assert command in stderr.splitlines()
    # A profile in the configuration goes before AWS_PROFILE.
    assert "covalent-lambda list --profile covalent-lambda-local-owner" in stderr


def test_configured_options_are_not_printed_again() -> None:
    change_section(STACK.options)
    assert "config set" not in shown()[1]


def test_settings_that_point_to_a_stopped_stack_are_reported_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert list(undoing(STACK)) == []
    change_section(STACK.options | {"region": "kept"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert list(undoing(STACK))[1::2] == [
        "  covalent-lambda config unset endpoint_url profile",
        "  unset AWS_ENDPOINT_URL",
    ]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = CliRunner().invoke(cli, ["local", "up", "--folder", f"{tmp_path}/file/stack"])
    assert ended.exit_code == 9
    assert f"{tmp_path}/file/stack cannot be written to: Not a directory." in ended.stderr
