"""Covalent's objects, taken apart: nothing of the user's is ever unpickled here."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import covalent as ct
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import _gather_deps, wrapper_fn
from hypothesis import assume, given
from hypothesis import strategies as st

from covalent_lambda_container.covalent_api.collections import collection
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.transport import Origin, pickle_of, transportable
from covalent_lambda_container.errors import InvocationError, LambdaContainerError, RequirementError
from covalent_lambda_container.images.dockerfile import render_dockerfile, requirements_files
from covalent_lambda_container.packages.requirements import Requirements
from tests.fakes.examples import image_spec, value_of

GREEDY = set(b"r\x8d\x8e\x96")
"""Opcodes that allocate what they name: see test_pickles.py."""

WENT_OFF: list[str] = []


def go_off() -> None:
    WENT_OFF.append("unpickled")


class Bomb:
    """Tells when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return go_off, ()


@pytest.fixture(autouse=True)
def _nothing_is_unpickled() -> Any:
    WENT_OFF.clear()
    yield
    assert WENT_OFF == []


def add(x: int, y: int = 0) -> int:
    return x + y


def assembled(
    function: Any, call_before: list[Any] | None = None, call_after: list[Any] | None = None
) -> Callable[..., Any]:
    """Return the callable that Covalent's dispatcher passes to an executor."""
    return partial(wrapper_fn, sealed(function), call_before or [], call_after or [])


def sealed(value: Any) -> TransportableObject:
    return TransportableObject(value)


def with_deps(
    *, before: list[Any] | None = None, after: list[Any] | None = None, **deps: Any
) -> Callable[..., Any]:
    """Return `add` with Deps, stored as JSON and gathered by Covalent itself."""

    def stored(dep: Any) -> Any:
        return json.loads(json.dumps(dep.to_dict()))

    call_before, call_after = _gather_deps(
        {kind: stored(dep) for kind, dep in deps.items()},
        [stored(dep) for dep in before or []],
        [stored(dep) for dep in after or []],
    )
    return assembled(add, call_before, call_after)


def named(name: str, pickled: bytes) -> TransportableObject:
    """Return a TransportableObject that says it is a function of some name."""
    header = {"py_version": "3.11.7", "cloudpickle_version": "3.1.0", "attrs": {"name": name}}
    return transportable(header, name, base64.b64encode(pickled).decode())


def pip_hook(arguments: bytes) -> tuple[Any, ...]:
    """Return what DepsPip makes, with other arguments."""
    function, _, kwargs, keyword = ct.DepsPip(["numpy"]).apply()
    return function, named("", arguments), kwargs, keyword


# -- a call ---------------------------------------------------------------------------------------


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


def test_pip_dependencies_of_call_after_go_into_the_image_as_well() -> None:
    before, after = ct.DepsPip(["numpy"]), ct.DepsPip(["inflection==0.5.1"])
    task = read_task(with_deps(before=[before], after=[after, ct.DepsCall(add, [2])]), [], {})
    assert task.requirements.packages == ("inflection==0.5.1", "numpy")
    assert (len(task.payload["before"]), len(task.payload["after"])) == (0, 1)


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


# -- pip ------------------------------------------------------------------------------------------


def test_packages_of_depspip_become_requirements_and_leave_the_hooks() -> None:
    task = read_task(with_deps(pip=ct.DepsPip(["SciPy", "numpy == 2.1"])), [], {})
    assert task.requirements.packages == ("numpy==2.1", "scipy")
    assert task.payload["before"] == ()


@pytest.mark.parametrize("packages", ["numpy==2.1", ("numpy==2.1",), ["numpy==2.1"] * 2])
def test_packages_may_be_written_as_covalent_allows(packages: Any) -> None:
    task = read_task(assembled(add, [ct.DepsPip(packages).apply()]), [], {})
    assert task.requirements.packages == ("numpy==2.1",)


def test_a_requirements_file_overrides_the_packages(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# pinned\nnumpy==2.1 \\\n  ; python_version>'3'\n")
    task = read_task(with_deps(pip=ct.DepsPip(["scipy"], reqs_path=str(file))), [], {})
    assert task.requirements.packages == ('numpy==2.1; python_version > "3"',)


def test_a_wrong_line_of_a_requirements_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy\n-r other.txt\n")
    with pytest.raises(RequirementError) as caught:
        read_task(with_deps(pip=ct.DepsPip(reqs_path=str(file))), [], {})
    message = str(caught.value)
    assert message.startswith("DepsPip reqs_path, line 2: '-r other.txt' names a file that ")
    assert "requirements=['-r FILE']" in message


def test_a_depspip_may_have_options_and_hashes() -> None:
    digest = "0a" * 32
    given = ["--only-binary :all:", f"numpy==2.1 --hash=sha256:{digest}"]
    wanted = read_task(with_deps(pip=ct.DepsPip(given)), [], {}).requirements
    assert wanted.options == ("--only-binary :all:",)
    assert wanted.packages == (f"numpy==2.1 --hash=sha256:{digest}",)


def test_a_wrong_package_is_named_with_where_it_was_written() -> None:
    with pytest.raises(RequirementError, match=r"^DepsPip: 'not a package' is not a valid"):
        read_task(with_deps(pip=ct.DepsPip(["not a package"])), [], {})


def test_a_depspip_without_packages_asks_for_nothing() -> None:
    assert read_task(with_deps(pip=ct.DepsPip()), [], {}).requirements == Requirements()


def test_a_package_that_is_no_string_is_refused() -> None:
    with pytest.raises(RequirementError, match="every package must be a string"):
        read_task(assembled(add, [ct.DepsPip([["numpy"]]).apply()]), [], {})


# -- other hooks ----------------------------------------------------------------------------------


def test_other_hooks_stay_hooks_in_their_order() -> None:
    function = with_deps(
        bash=ct.DepsBash("echo hello"),
        pip=ct.DepsPip("numpy"),
        before=[ct.DepsCall(add, [1], retval_keyword="y")],
        after=[ct.DepsCall(add, [2], {"y": 3})],
    )
    task = read_task(function, [], {})
    (call,), (after,) = task.payload["before"], task.payload["after"]
    assert task.commands == ("echo hello",)
    assert (value_of(call[0])(1), value_of(call[1]), call[3]) == (1, [1], "y")
    assert (value_of(after[1]), value_of(after[2]), after[3]) == ([2], {"y": 3}, "")
    assert task.requirements.packages == ("numpy",)


def test_a_users_function_of_the_same_name_stays_a_hook() -> None:
    def apply_pip_deps(packages: list[str]) -> None:
        raise AssertionError(packages)

    task = read_task(with_deps(before=[ct.DepsCall(apply_pip_deps, [["numpy"]])]), [], {})
    assert task.requirements.packages == ()
    assert len(task.payload["before"]) == 1


def test_a_name_alone_does_not_make_a_pickle_readable() -> None:
    hook = (named("apply_pip_deps", pickle.dumps(Bomb())), *[sealed([Bomb()])] * 2, "")
    task = read_task(assembled(add, [hook]), [], {})
    assert task.requirements.packages == ()
    assert len(task.payload["before"]) == 1


# -- hostile arguments of a pip hook --------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [Bomb(), [[Bomb()], ""], [["numpy"], Bomb()]])
def test_a_bomb_in_the_packages_is_refused_and_does_not_go_off(value: Any, protocol: int) -> None:
    with pytest.raises(InvocationError, match="could not be read: it refers to tests"):
        read_task(assembled(add, [pip_hook(pickle.dumps(value, protocol))]), [], {})


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x05",
        b"garbage",
        b"0.",
        b"}i\n.",
        b"cos\nsystem\n(S'true'\ntR.",
        pickle.dumps([["numpy"], ""])[:-3],
    ],
)
def test_a_broken_pickle_of_packages_is_refused(pickled: bytes) -> None:
    with pytest.raises(InvocationError, match="could not be read"):
        read_task(assembled(add, [pip_hook(pickled)]), [], {})


@pytest.mark.parametrize("value", [5, [], ["numpy"], [None, ""], [5, ""], [["numpy"], 5], {}])
def test_packages_of_another_form_are_refused(value: Any) -> None:
    with pytest.raises(InvocationError, match="another form than Covalent gives them"):
        read_task(assembled(add, [pip_hook(pickle.dumps(value))]), [], {})


@given(st.data())
def test_no_bytes_of_packages_are_ever_executed(data: st.DataObject) -> None:
    good = cloudpickle.dumps([["numpy==2.1", "scipy"], "# none\n", Bomb()])
    position = data.draw(st.integers(0, len(good) - 1))
    changed = good[:position] + data.draw(st.binary(max_size=3)) + good[position + 1 :]
    assume(not set(changed) & GREEDY)
    with contextlib.suppress(LambdaContainerError):
        read_task(assembled(add, [pip_hook(changed)]), [], {})


# -- Covalent's own nodes -------------------------------------------------------------------------


def nodes_of(workflow: Any, kind: str) -> tuple[Any, TransportableObject]:
    """Build a lattice; return its graph and the function of its one node of a kind."""
    workflow.build_graph()
    graph = workflow.transport_graph
    (number,) = [
        number
        for number in graph._graph.nodes
        if graph.get_node_value(number, "name").startswith(kind)
    ]
    return graph, graph.get_node_value(number, "function")


def lattice_of(build: Callable[[Any], Any]) -> Any:
    one: Any = ct.electron(lambda: 1)
    use: Any = ct.electron(lambda values: values)
    return ct.lattice(lambda: use(build(one)))


@pytest.mark.parametrize("values", [[], [1, "two"], [[1], {"a": None}, Path("x")]])
def test_a_list_node_is_put_together_as_covalent_would(values: list[Any]) -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    args = [sealed(value) for value in values]
    function = partial(wrapper_fn, node, [], [])
    collected = collection(function, args, {})
    assert collected is not None
    assert collected.get_deserialized() == function(*args).get_deserialized() == values


@pytest.mark.parametrize("value", [{}, {"a": 1, "b": [2]}, {1: None}])
def test_a_dictionary_node_is_put_together_as_covalent_would(value: dict[Any, Any]) -> None:
    _, node = nodes_of(lattice_of(lambda one: {"a": one(), "b": one()}), ":electron_dict:")
    args = [sealed(list(value)), sealed(list(value.values()))]
    function = partial(wrapper_fn, node, [], [])
    collected = collection(function, args, {})
    assert collected is not None
    assert collected.get_deserialized() == function(*args).get_deserialized() == value


def test_a_collection_requires_what_its_elements_require() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    args = [sealed(1), sealed(2), sealed(3)]
    args[0].header["requires"] = ["numpy==2.1"]
    args[2].header["requires"] = ["scipy==1.14", "NumPy == 2.1"]
    collected = collection(partial(wrapper_fn, node, [], []), args, {})
    assert collected is not None
    assert collected.header["requires"] == ["numpy==2.1", "scipy==1.14"]
    assert TransportableObject.deserialize(collected.serialize()).header == collected.header


def test_a_collection_has_the_versions_of_the_client() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    node.header.update(py_version="3.12.1", cloudpickle_version="2.2.1")
    collected = collection(partial(wrapper_fn, node, [], []), [sealed(1)], {})
    assert collected is not None
    header = collected.header
    assert (header["py_version"], header["cloudpickle_version"]) == ("3.12.1", "2.2.1")
    assert header["attrs"] == {"doc": "", "name": ""}


def test_what_the_dispatcher_did_not_assemble_is_no_collection() -> None:
    assert collection(partial(add, 1), [sealed(1)], {}) is None


def test_bombs_in_a_collection_stay_closed() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    assert collection(partial(wrapper_fn, node, [], []), [sealed(Bomb())], {}) is not None


def test_electrons_are_no_collections() -> None:
    def _auto_list_node(*args: Any) -> list[Any]:
        return list(args)

    node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")[1]
    hook = ct.DepsCall(add, [1]).apply()
    assert collection(assembled(add), [sealed(1)], {}) is None
    assert collection(assembled(_auto_list_node), [sealed(1)], {}) is None
    assert collection(partial(wrapper_fn, node, [hook], []), [sealed(1)], {}) is None
    assert collection(partial(wrapper_fn, node, [], []), [], {"x": sealed(1)}) is None


# -- what a task needs ----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("function", "hooks", "needs"),
    [
        (lambda: TransportableObject, [], True),
        (lambda: ct.DepsPip, [], True),
        (lambda: "covalent.executor", [], False),
        (add, [], False),
        (add, [(lambda: TransportableObject, [])], True),
        (add, [(lambda value: value, [TransportableObject(1)])], True),
        (add, [(add, ["covalent"])], False),
    ],
)
def test_covalent_is_needed_by_what_refers_to_it(
    function: Any, hooks: list[Any], needs: bool
) -> None:
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


def test_deps_that_become_part_of_the_image_need_no_covalent() -> None:
    task = read_task(with_deps(pip=ct.DepsPip("numpy"), bash=ct.DepsBash("true")), [], {})
    assert not task.refers_to_covalent
    assert task.commands == ("true",)


@pytest.mark.parametrize(
    ("source", "target", "packages", "covalent"),
    [
        ("s3://bucket/file", "/tmp/file", {"boto3"}, False),
        ("/tmp/file", "s3://bucket/file", {"boto3"}, False),
        ("https://www.example.com/file", "/tmp/file", {"requests"}, False),
        ("/etc/hostname", "https://www.example.com/file", {"requests"}, False),
        ("/tmp/file", "/tmp/other", set(), True),
    ],
)
@pytest.mark.parametrize("order", list(ct.fs.Order))
def test_a_file_transfer_brings_along_what_its_strategy_imports(
    source: str, target: str, packages: set[str], covalent: bool, order: Any
) -> None:
    @ct.electron(files=[ct.fs.FileTransfer(source, target, order=order)])
    def electron(files: Any = None) -> None:
        pass

    hooks = electron.electron_object.metadata["hooks"]
    before, after = _gather_deps({}, hooks["call_before"], hooks.get("call_after", []))
    task = read_task(assembled(add, before, after), [], {})
    assert {text for origin in task.origins for text in origin.requirements} == packages
    assert {origin.image for origin in task.origins} <= {""}
    assert task.refers_to_covalent is covalent


# -- the way back ---------------------------------------------------------------------------------


def test_a_result_is_what_covalent_would_have_made() -> None:
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


# -- what is small and becomes large ---------------------------------------------------------------


def hook_with(hook: Any, value: Any) -> tuple[Any, ...]:
    """Return one of Covalent's hooks with another value as its arguments."""
    function, args, *rest = hook.apply()
    pickled = base64.b64encode(pickle.dumps(value, 5)).decode()
    return (function, transportable(args.header, "", pickled), *rest)


@pytest.mark.parametrize("kind", [ct.DepsPip, ct.DepsBash])
def test_lists_in_lists_make_a_short_error(kind: Any) -> None:
    laughs: list[Any] = ["ha"]
    for _ in range(9):
        laughs = [laughs] * 10
    value = [laughs, ""] if kind is ct.DepsPip else [laughs]
    with pytest.raises(RequirementError, match="has a list: every") as caught_error:
        read_task(assembled(add, [hook_with(kind(["six"]), value)]), [], {})
    assert len(str(caught_error.value)) < 300


@pytest.mark.parametrize("kind", [ct.DepsPip, ct.DepsBash])
def test_a_text_that_is_repeated_has_a_limit(kind: Any) -> None:
    texts = ["x" * 100_000] * 1000
    value = [texts, ""] if kind is ct.DepsPip else [texts]
    with pytest.raises(RequirementError, match="has 100000000 characters; 1048576 are the limit"):
        read_task(assembled(add, [hook_with(kind(["six"]), value)]), [], {})


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
