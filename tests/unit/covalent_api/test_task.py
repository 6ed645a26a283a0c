"""Covalent's objects, parsed: nothing of the user's is ever unpickled here."""

from __future__ import annotations

import base64
import json
import pickle
from functools import partial
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.transport import Origin, pickle_of, transportable
from covalent_lambda_container.errors import InvocationError, LambdaContainerError
from covalent_lambda_container.images.dockerfile import render_dockerfile, requirements_files
from tests.fakes.examples import image_spec
from tests.unit.covalent_api.assembled import WENT_OFF, Bomb, add, assembled, named, sealed


def test_function_and_arguments_travel_as_the_text_they_are() -> None:
    function, one, two = sealed(add), sealed(1), sealed(2)
    task = read_task(partial(wrapper_fn, function, [], []), [one], {"y": two})
    assert task.payload == {
        "function": function.get_serialized(),
        "args": (one.get_serialized(),),
        "kwargs": {"y": two.get_serialized()},
        "before": (),
        "after": (),
    }


def test_versions_are_those_of_the_client() -> None:
    function = sealed(add)
    function.header.update(py_version="3.12.1+", cloudpickle_version="2.2.1")
    task = read_task(partial(wrapper_fn, function, [], []), [], {})
    assert (task.python_version, task.cloudpickle_version) == ("3.12", "2.2.1")


def test_the_size_counts_every_pickle() -> None:
    hook = ct.DepsCall(add, [1]).apply()
    task = read_task(assembled(add, [hook], [hook]), [sealed(1)], {"y": sealed(2)})
    text = json.dumps(task.payload)
    assert 0 < len(text) - task.payload_bytes < 150


def test_a_bomb_goes_off_when_it_is_opened() -> None:
    sealed(Bomb()).get_deserialized()
    assert WENT_OFF == ["unpickled"]
    WENT_OFF.clear()


def test_bombs_pass_through_unopened() -> None:
    bomb = sealed(Bomb())
    hook = (named("hook", pickle.dumps(Bomb())), bomb, bomb, "")
    task = read_task(partial(wrapper_fn, bomb, [hook], [hook]), [bomb], {"y": bomb})
    assert task.payload["function"] == task.payload["args"][0] == bomb.get_serialized()


@pytest.mark.parametrize("function", [add, partial(add, 1), None, partial(wrapper_fn, 1, 2)])
def test_anything_that_the_dispatcher_does_not_assemble_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="callable that Covalent's dispatcher assembles"):
        read_task(function, [], {})


@pytest.mark.parametrize("field", ["py_version", "cloudpickle_version"])
def test_a_version_cannot_add_lines_to_the_image(field: str) -> None:
    function = sealed(add)
    function.header[field] = "3.11\nRUN true"
    try:
        task = read_task(partial(wrapper_fn, function, [], []), [], {})
    except LambdaContainerError:
        return
    spec = image_spec(
        requirements=(),
        python_version=task.python_version,
        cloudpickle_version=task.cloudpickle_version,
    )
    assert len(requirements_files(spec)[0]["requirements.txt"].splitlines()) == 1
    assert "\nRUN true" not in render_dockerfile(spec)


def test_arguments_bring_the_packages_that_made_them() -> None:
    positional, named_argument = sealed(1), sealed(2)
    positional.header["requires"] = ["NumPy==2.1"]
    named_argument.header.update(requires=["scipy==1.14"], image="0f")
    task = read_task(assembled(add), [positional, sealed(3)], {"y": named_argument})
    assert task.origins == {
        Origin(requirements=("numpy==2.1",), image=""),
        Origin(requirements=("scipy==1.14",), image="0f"),
    }
    assert task.requirements.packages == ()


def importing() -> Any:
    def imports_covalent() -> Any:
        import covalent

        return covalent.get_context()

    return imports_covalent


@pytest.mark.parametrize(
    ("function", "hooks", "needs"),
    [
        (lambda: TransportableObject, [], True),
        (lambda: ct.DepsPip, [], True),
        (lambda: "covalent.executor", [], False),
        (importing(), [], True),
        (add, [], False),
        (add, [(lambda: TransportableObject, [])], True),
        (add, [(lambda value: value, [TransportableObject(1)])], True),
        (add, [(add, ["covalent"])], False),
    ],
)
def test_tasks_that_refer_to_covalent_need_it(function: Any, hooks: list[Any], needs: bool) -> None:
    calls = [ct.DepsCall(*hook).apply() for hook in hooks]
    for before, after in ((calls, []), ([], calls)):
        assert read_task(assembled(function, before, after), [], {}).refers_to_covalent is needs


@pytest.mark.parametrize("named", [False, True])
def test_an_electron_as_an_argument_needs_covalent(named: bool) -> None:
    @ct.electron
    def square(x: int) -> int:
        return x * x

    given = sealed(square)
    task = read_task(assembled(add), [] if named else [given], {"op": given} if named else {})
    assert task.refers_to_covalent
    assert not read_task(assembled(add), [sealed("covalent")], {}).refers_to_covalent


def test_a_result_equals_covalents_own() -> None:
    made = sealed([1, 2])
    back = transportable(made.header, made.object_string, made.get_serialized())
    assert back == made
    assert TransportableObject.deserialize(back.serialize()).get_deserialized() == [1, 2]


def test_a_result_is_not_opened_on_its_way_back() -> None:
    pickled = base64.b64encode(pickle.dumps(Bomb())).decode()
    assert transportable({}, "text", pickled).get_serialized() == pickled


@pytest.mark.parametrize("size", [0, 1, 786_431, 786_432, 786_433, 3_000_001])
def test_a_large_pickle_is_decoded_in_pieces(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    value = transportable({}, "", base64.b64encode(content).decode())
    assert pickle_of(value) == content


@pytest.mark.parametrize(
    "header",
    [
        {"requires": "abc"},
        {"requires": 5},
        {"requires": [5]},
        {"requires": [["six"]]},
        {"requires": {"six": 1}},
        {"requires": ["six"], "image": ["a"]},
        {"requires": ["six"], "image": {}},
        {"requires": ["six"], "image": 5},
        {"requires": [f"p{i}==1" for i in range(50_000)]},
        {"requires": ["a" * 1_000_000]},
    ],
)
def test_a_header_of_another_form_is_a_short_error(header: dict[str, Any]) -> None:
    value = TransportableObject(1)
    argument = transportable(value.header | header, "1", value.get_serialized())
    with pytest.raises(InvocationError, match="An argument's header has") as caught_error:
        read_task(assembled(add), [argument], {})
    assert len(str(caught_error.value)) < 500
