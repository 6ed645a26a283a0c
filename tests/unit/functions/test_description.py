"""A function's purpose, in its description."""

from __future__ import annotations

from covalent_lambda_container.functions.description import Purpose, description, purpose


def test_a_description_can_be_read_back() -> None:
    text = description(["flow.py:workflow/train", "other"], ["numpy==2.1.0", "six"])
    assert purpose(text) == Purpose("flow.py:workflow/train, other", "numpy==2.1.0, six")
    assert purpose(description(["train"], [])) == Purpose("train", "no packages")


def test_a_description_has_at_most_256_characters() -> None:
    text = description(["train"], [f"package{number}==1.0" for number in range(40)])
    assert len(text) == 256
    assert text.endswith("…")


def test_another_description_says_nothing() -> None:
    assert purpose("made by hand") == purpose("") == Purpose("", "")
