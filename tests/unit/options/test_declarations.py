"""Everything derived from an option's declaration follows it."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.model.specs import FunctionSpec
from covalent_lambda_container.options.declarations import OPTIONS, Declared
from covalent_lambda_container.options.schema import Options

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def script() -> Any:
    """The script that writes the executor's arguments."""
    spec = importlib.util.spec_from_file_location("make_options", DOCS / "make_options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plugins_arguments_are_those_that_are_declared(script: Any) -> None:
    source = script.EXECUTOR.read_text("utf-8")
    assert script.with_arguments(source) == source, (
        "write them again: python docs/make_options.py --executor"
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_an_argument_has_its_options_type(name: str, script: Any) -> None:
    argument = inspect.signature(AWSLambdaContainerExecutor).parameters[name]
    assert argument.annotation == f"{script.type_text(OPTIONS[name])} | None"
    assert argument.default is None


def test_the_checked_options_are_those_that_are_declared() -> None:
    assert list(Options.model_fields) == list(OPTIONS)
    declared = {name: declared.default for name, declared in OPTIONS.items()}
    assert Options.defaults() == declared


@pytest.mark.parametrize("declared", OPTIONS.values(), ids=lambda each: each.name)
def test_a_default_has_the_declared_type(declared: Declared) -> None:
    assert isinstance(declared.default, getattr(declared.type, "__origin__", declared.type))


def test_flags_differ_and_have_a_placeholder() -> None:
    flags = [declared for declared in OPTIONS.values() if declared.flag]
    assert len({declared.flag for declared in flags}) == len(flags) > 10
    assert all(declared.flag.startswith("--") and declared.placeholder for declared in flags)


def test_a_functions_fields_are_the_options_that_say_so() -> None:
    fields = {field.name for field in dataclasses.fields(FunctionSpec)}
    assert set(Options().function_fields()) == fields - {"image", "role_arn", "owner"}


def test_a_functions_fields_have_one_form_whatever_the_order() -> None:
    options = Options.check(
        {
            "subnet_ids": ["subnet-2", "subnet-1", "subnet-2"],
            "security_group_ids": ["sg-1"],
            "environment": {"TWO": "2", "ONE": "1"},
            "memory_size": 1024,
        }
    )
    fields = options.function_fields()
    assert fields["subnet_ids"] == ("subnet-1", "subnet-2")
    assert fields["environment"] == (("ONE", "1"), ("TWO", "2"))
    assert fields["memory_mb"] == 1024
