"""Hooks: DepsPip and DepsBash become requirements and commands, unopened."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import covalent as ct
import pytest
from covalent.executor.utils.wrappers import _gather_deps
from hypothesis import assume, given
from hypothesis import strategies as st

from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.transport import transportable
from covalent_lambda_container.errors import InvocationError, LambdaContainerError, RequirementError
from covalent_lambda_container.packages.requirements import Requirements
from tests.fakes.examples import value_of
from tests.unit.covalent_api.assembled import Bomb, add, assembled, named, sealed

GREEDY = set(b"r\x8d\x8e\x96")
"""Opcodes that allocate what they name: see test_pickles.py."""


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


def pip_hook(arguments: bytes) -> tuple[Any, ...]:
    """Return what DepsPip makes, with other arguments."""
    function, _, kwargs, keyword = ct.DepsPip(["numpy"]).apply()
    return function, named("", arguments), kwargs, keyword


def test_pip_dependencies_of_call_after_go_into_the_image_as_well() -> None:
    before, after = ct.DepsPip(["numpy"]), ct.DepsPip(["inflection==0.5.1"])
    task = read_task(with_deps(before=[before], after=[after, ct.DepsCall(add, [2])]), [], {})
    assert task.requirements.packages == ("inflection==0.5.1", "numpy")
    assert (len(task.payload["before"]), len(task.payload["after"])) == (0, 1)


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


def test_a_package_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(RequirementError, match="every package must be a string"):
        read_task(assembled(add, [ct.DepsPip([["numpy"]]).apply()]), [], {})


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
    with pytest.raises(InvocationError, match="do not have the form that Covalent gives"):
        read_task(assembled(add, [pip_hook(pickle.dumps(value))]), [], {})


@given(st.data())
def test_no_bytes_of_packages_are_ever_executed(data: st.DataObject) -> None:
    good = cloudpickle.dumps([["numpy==2.1", "scipy"], "# none\n", Bomb()])
    position = data.draw(st.integers(0, len(good) - 1))
    changed = good[:position] + data.draw(st.binary(max_size=3)) + good[position + 1 :]
    assume(not set(changed) & GREEDY)
    with contextlib.suppress(LambdaContainerError):
        read_task(assembled(add, [pip_hook(changed)]), [], {})


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
def test_a_file_transfer_adds_the_packages_of_its_strategy(
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
    with pytest.raises(RequirementError, match="has 100000000 characters; the limit is 1048576"):
        read_task(assembled(add, [hook_with(kind(["six"]), value)]), [], {})
