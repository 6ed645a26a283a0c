"""Requirements of values: joined with a task's own, or without their versions."""

from __future__ import annotations

import pytest

from covalent_lambda_container.packages.value_requirements import (
    joined_options,
    left_open,
    with_required,
)
from tests.unit.packages.requirement_examples import ONE


@pytest.mark.parametrize(
    ("own", "required", "joined"),
    [
        ((), (), ()),
        (("numpy==2.1",), ("scipy==1.14",), ("numpy==2.1", "scipy==1.14")),
        (("numpy==2.0",), ("numpy==2.1",), ("numpy==2.0",)),
        ((f"numpy==2.0 --hash={ONE}",), ("numpy==2.1",), (f"numpy==2.0 --hash={ONE}",)),
        (("numpy",), ("numpy==2.1",), ("numpy",)),
        (("numpy[x]<3",), ("numpy==2.1",), ("numpy[x]<3",)),
        ((), ("numpy==2.9", "numpy==2.10"), ("numpy==2.10",)),
        ((), ("numpy==2.10", "numpy==2.9"), ("numpy==2.10",)),
        ((), ("x @ https://example.com/x.zip",), ("x @ https://example.com/x.zip",)),
    ],
)
def test_a_task_has_its_own_packages_and_those_of_its_arguments(
    own: tuple[str, ...], required: tuple[str, ...], joined: tuple[str, ...]
) -> None:
    assert with_required(own, required) == joined


@pytest.mark.parametrize(
    ("line", "opened"),
    [
        ("numpy==2.2.6", "numpy"),
        ("torch==2.3.0+cpu", "torch==2.3.0"),
        ("mine @ git+https://example.com/a@0a1b", "mine @ git+https://example.com/a@0a1b"),
        ("numpy", "numpy"),
    ],
)
def test_a_version_is_left_open_but_not_where_a_package_comes_from(line: str, opened: str) -> None:
    assert left_open(line) == opened


def test_a_packages_index_is_that_of_the_task_then_that_of_its_values() -> None:
    ours, theirs = (f"--package-index six=https://{n}.example.com" for n in ("a", "b"))
    assert joined_options([ours], [theirs]) == (ours,)
    assert joined_options([], [theirs], [ours]) == (ours,)
    other = "--package-index numpy=https://b.example.com"
    assert joined_options([ours], [other]) == (other, ours)


def test_options_of_values_go_after_those_of_the_task() -> None:
    own = ["--index-url https://own.example.com", "--no-binary numpy"]
    values = ["--index-url https://vendor.example.com", "--only-binary numpy", "--only-binary six"]
    assert joined_options(own, values, ["--only-binary six"]) == (
        "--extra-index-url https://vendor.example.com",
        "--index-url https://own.example.com",
        "--no-binary numpy",
        "--only-binary six",
    )
