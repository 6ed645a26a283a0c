"""``covalent-lambda logs``: the function of a dispatch's task is the one that it ran on."""

from __future__ import annotations

from covalent_lambda_container.cli.logs import function_of
from covalent_lambda_container.model.places import Place
from tests.unit.report.dispatches import node, usage

NAME = "covalent-20193b0346945e4e-ddf6c09f7176e433"


def test_the_record_of_a_result_names_the_function() -> None:
    assert function_of(node(used=usage(function=NAME))) == NAME
    assert function_of(node()) == ""


def test_a_failed_task_has_it_in_its_stderr_or_its_error() -> None:
    place = Place(NAME, "1" * 32)
    assert function_of(node(header={}, stderr=f"KeyError: 1\n{place.line}\n")) == NAME
    assert (
        function_of(
            node(header={}, error=f"The task did not end within 1 s (task d:0 on {place}).")
        )
        == NAME
    )
    assert function_of(node(header={}, error="Build of x failed")) == ""
