"""A dispatch that cannot be read; those that can are read from a real server in tests/e2e."""

from __future__ import annotations

import socket

import pytest

from covalent_lambda_container.covalent_api.dispatch import read_dispatch
from covalent_lambda_container.errors import ConfigurationError


def test_a_server_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ConfigurationError) as raised:
            read_dispatch("0f", address)
    assert str(raised.value).startswith(f"Covalent's server at {address} does not answer.\n")
    assert "covalent start" in str(raised.value)
    assert capsys.readouterr() == ("", "")
