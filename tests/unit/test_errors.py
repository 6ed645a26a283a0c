"""Errors: each has its exit status and a self-contained message."""

from __future__ import annotations

import pytest

from covalent_lambda_container import errors
from covalent_lambda_container.errors import LambdaContainerError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, LambdaContainerError)
]


def test_a_hint_is_part_of_the_message() -> None:
    error = LambdaContainerError("What was seen.", hint="What to do.")
    assert str(error) == "What was seen.\nWhat to do."
    assert error.hint == "What to do."
    assert str(LambdaContainerError("What was seen.")) == "What was seen."


def test_an_error_is_harmless_on_a_terminal_whatever_it_quotes() -> None:
    said = "\x1b]0;title\x07 \x1b[2J\x9b31m \u202egnp.exe 10%\r50%"
    error = LambdaContainerError(f"It said {said}\n\tmore", hint=said)
    assert str(error) == f"{error.message}\n{error.hint}"
    assert not any(sign in str(error) for sign in "\x1b\x07\x9b\u202e\r")
    assert error.message.endswith("50%\n\tmore")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_an_exit_status_and_a_meaning(kind: type[LambdaContainerError]) -> None:
    assert 1 <= kind.exit_code < 64
    assert kind.__doc__


def test_errors_of_one_cause_have_one_exit_status() -> None:
    assert {kind.exit_code for kind in errors.InvocationError.__subclasses__()} == {
        errors.InvocationError.exit_code
    }
