"""Finding the function and image of a task in its node."""

from __future__ import annotations

from covalent_lambda_container.model.places import Place, recorded_place

PLACE = Place("covalent-20193b0346945e4e-ddf6c09f7176e433", "1" * 32)
OTHER = Place("covalent-ffffffffffffffff-ffffffffffffffff")


def test_the_line_of_the_executor_counts_and_not_one_that_the_task_printed() -> None:
    stderr = f"{OTHER.line}\nTraceback …\n{PLACE.line}\nLambda usage: …\n"
    assert recorded_place(stderr, f"ValueError: {OTHER}") == PLACE


def test_the_error_of_a_task_without_an_answer_names_it() -> None:
    for place in (PLACE, OTHER):
        error = (
            f"The task did not end within 1 s (task d:3 on {place}).\nLast log lines:\non {OTHER}"
        )
        assert recorded_place("", error) == place


def test_nothing_is_made_up_where_nothing_is_recorded() -> None:
    assert recorded_place("", "") is None
    assert recorded_place("function covalent-x", "Build failed\nfunction of something") is None
