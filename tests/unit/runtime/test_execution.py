"""Execution: a task runs as Covalent would run it, and every outcome is reported."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from botocore.exceptions import ClientError, ProfileNotFound
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covalent_lambda_container.runtime import wire
from covalent_lambda_container.runtime.execution import execute
from tests.fakes import examples
from tests.fakes.examples import value_of

Run = Callable[..., dict[str, Any]]

KEYWORDS = st.sampled_from(["", "a", "b", "files"])
BEFORE = st.lists(st.tuples(KEYWORDS, st.integers() | st.none()), max_size=5)


def note(path: str, word: str, value: Any = None) -> Any:
    """Write a word down, so that others see what happened in which order."""
    with Path(path).open("a") as file:
        file.write(f"{word}\n")
    return value


def noting(*args: Any, path: str, **kwargs: Any) -> Any:
    note(path, "function")
    return args, kwargs


class Odd(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Silent:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Vanished:
    """A value whose class is not there when it is read."""

    def __reduce__(self) -> Any:
        return __import__, ("package_that_is_not_installed",)


def raise_it(error: BaseException) -> None:
    raise error


def say(text: str) -> None:
    print(text)
    print(text, file=sys.stderr)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a task in this process; what it prints and its pickle are put into the answer."""
    monkeypatch.chdir(tmp_path)

    def run(
        function: Callable[..., Any],
        *args: Any,
        task: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        made = examples.task(function, *args, **kwargs) | (task or {})
        result, stdout, stderr = io.BytesIO(), io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            answer = execute(lambda: wire.map_leaves(made, base64.b64decode), result)
        if answer["result"] is not None:
            answer["result"]["pickle"] = base64.b64encode(result.getvalue()).decode()
        return answer | {"stdout": stdout.getvalue(), "stderr": stderr.getvalue()}

    return run


# -- as Covalent would ----------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=BEFORE,
    after=st.lists(st.integers(), max_size=3),
    args=st.lists(st.integers(), max_size=3),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "files"]), st.integers()),
)
def test_hooks_arguments_and_result_are_as_in_covalents_own_wrapper(
    run: Run,
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[str, int | None]],
    after: list[int],
    args: list[int],
    kwargs: dict[str, int],
) -> None:
    folder = tmp_path_factory.mktemp("order")
    ours, theirs = folder / "ours", folder / "theirs"

    def hooks(path: Path) -> tuple[list[Any], list[Any]]:
        return (
            [
                (note, [str(path), f"before {number}", value], keyword)
                for number, (keyword, value) in enumerate(before)
            ],
            [(note, [str(path), f"after {word}"]) for word in after],
        )

    hooks_before, hooks_after = hooks(ours)
    answer = run(noting, *args, before=hooks_before, after=hooks_after, path=str(ours), **kwargs)

    hooks_before, hooks_after = hooks(theirs)
    transport = TransportableObject
    expected = wrapper_fn(
        transport(noting),
        [(*map(transport, (hook, given, {})), name) for hook, given, name in hooks_before],
        [(*map(transport, (hook, given, {})), "") for hook, given in hooks_after],
        *map(transport, args),
        path=transport(str(theirs)),
        **{name: transport(value) for name, value in kwargs.items()},
    )

    assert answer["status"] == wire.COMPLETED
    assert value_of(answer["result"]["pickle"]) == expected.get_deserialized()
    assert answer["result"]["string"] == expected.object_string
    assert ours.read_text() == theirs.read_text()


@pytest.mark.parametrize("value", [None, 1, "text", [1, 2], note, Path, ValueError("x"), Odd])
def test_the_header_is_the_one_covalent_would_write(run: Run, value: Any) -> None:
    expected = TransportableObject(value)
    result = run(lambda: value)["result"]
    assert result["header"] == json.loads(json.dumps(expected.header)) | {"requires": []}
    assert result["string"] == expected.object_string


def test_commands_run_before_the_hooks_in_the_tasks_directory(run: Run) -> None:
    def read(text: str = "") -> str:
        return text + Path("made").read_text()

    commands = {"commands": ["echo one; echo two >&2", "printf by-bash > made"]}
    answer = run(read, before=[(read, [], "text")], task=commands)
    assert value_of(answer["result"]["pickle"]) == "by-bash" * 2
    assert (answer["stdout"], answer["stderr"]) == ("one\n", "two\n")


def test_a_command_that_fails_is_the_tasks_error(run: Run) -> None:
    answer = run(say, "never said", task={"commands": ["echo so far; exit 3", "echo more"]})
    assert answer["error"]["type"] == "subprocess.CalledProcessError"
    assert "exit status 3" in answer["error"]["message"]
    assert answer["stdout"] == "so far\n"


def test_a_hook_that_raises_ends_the_task_before_its_function(run: Run, tmp_path: Path) -> None:
    seen = str(tmp_path / "seen")
    before = [(raise_it, [ValueError("no data")], "")]
    answer = run(noting, before=before, after=[(note, [seen, "after"])], path=seen)
    assert (answer["status"], answer["error"]["message"]) == (wire.FAILED, "no data")
    assert not Path(seen).exists()


# -- what goes wrong in a task --------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit("odd"), KeyboardInterrupt("odd")])
def test_whatever_a_task_raises_is_its_error(run: Run, error: BaseException) -> None:
    answer = run(raise_it, error)
    assert answer["status"] == wire.FAILED
    assert answer["result"] is None
    assert (answer["error"]["type"], answer["error"]["message"]) == (type(error).__name__, "odd")


def test_a_traceback_begins_in_the_task(run: Run) -> None:
    text = run(raise_it, ValueError("odd"))["error"]["traceback"]
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: odd\n")
    assert "in raise_it" in text
    assert "covalent_lambda_container/runtime/" not in text


def test_an_error_of_a_users_class_is_named_in_full(run: Run) -> None:
    assert run(raise_it, Odd())["error"]["type"] == f"{__name__}.Odd"


def test_an_error_whose_str_raises_is_described_all_the_same(run: Run) -> None:
    error = run(raise_it, Odd())["error"]
    assert error["message"] == "<Odd: str() raised RuntimeError>"
    assert "in raise_it" in error["traceback"]


def test_a_result_whose_str_raises_is_still_a_result(run: Run) -> None:
    answer = run(Silent)
    assert answer["result"]["string"] == "<Silent: str() raised RuntimeError>"
    assert isinstance(value_of(answer["result"]["pickle"]), Silent)


def test_a_result_that_cannot_be_pickled_is_named(run: Run) -> None:
    error = run(threading.Lock)["error"]
    assert error["type"] == "TypeError"
    assert error["message"].startswith("The task's return value, a lock, cannot be pickled: ")


async def awaited() -> int:
    return 1


def test_a_coroutine_function_is_no_electron_neither_here_nor_in_covalent(run: Run) -> None:
    sealed = TransportableObject(awaited)
    with (
        pytest.warns(RuntimeWarning, match="never awaited"),
        pytest.raises(TypeError, match="cannot pickle 'coroutine'"),
    ):
        wrapper_fn(sealed, [], [])
    error = run(awaited, after=[(raise_it, [ValueError("must not run")])])["error"]
    assert error["type"] == "TypeError"
    assert "asyncio.run" in error["message"]


def test_an_import_error_is_the_tasks_own(run: Run) -> None:
    answer = run(note, Vanished())
    assert answer["error"]["type"] == "ModuleNotFoundError"
    assert "package_that_is_not_installed" in answer["error"]["message"]
    assert "ct.DepsPip" in answer["error"]["advice"]
    assert answer["error"]["missing_module"] == "package_that_is_not_installed"


def test_a_long_error_message_is_bounded(run: Run) -> None:
    error = run(lambda: raise_it(ValueError("x" * 1_000_000)))["error"]
    assert len(error["message"]) == len(error["traceback"]) == 64 * 1024


@pytest.mark.parametrize(
    ("error", "option"),
    [
        (MemoryError(), "memory_size"),
        (OSError(errno.ENOSPC, "No space left on device"), "ephemeral_storage"),
        (OSError(errno.EROFS, "Read-only file system"), "/tmp"),
        (OSError(errno.ENOSYS, "Function not implemented"), "shared memory"),
        (ValueError("x"), ""),
    ],
)
def test_a_limit_of_lambda_is_reported_with_a_remedy(
    run: Run, error: Exception, option: str
) -> None:
    def fail_directly() -> None:
        raise error

    def fail_because_of_it() -> None:
        raise RuntimeError("in a library") from error

    for fail in (fail_directly, fail_because_of_it):
        advice = run(fail)["error"]["advice"]
        assert option in advice
        assert bool(advice) == bool(option)


def without_module() -> None:
    try:
        import package_that_is_not_installed  # noqa: F401
    except ImportError:
        json.loads("{broken")


def without_file() -> None:
    try:
        raise OSError(errno.EROFS, "Read-only file system")
    except OSError:
        raise_it(ZeroDivisionError())


def with_a_reason_withheld() -> None:
    try:
        import package_that_is_not_installed  # noqa: F401
    except ImportError:
        raise ImportError("an extra is missing") from None


@pytest.mark.parametrize("fall_back", [without_module, without_file, with_a_reason_withheld])
def test_an_error_of_a_fallback_is_not_blamed_on_the_original_error(
    run: Run, fall_back: Any
) -> None:
    error = run(fall_back)["error"]
    assert (error["advice"], error["missing_module"]) == ("", "")


def test_an_import_error_about_another_one_is_a_matter_of_the_first(run: Run) -> None:
    def load() -> None:
        try:
            import package_that_is_not_installed  # noqa: F401
        except ImportError:
            raise ImportError("install it with mylib[extra]")  # noqa: B904

    error = run(load)["error"]
    assert error["missing_module"] == "package_that_is_not_installed"
    assert "ct.DepsPip" in error["advice"]


def test_a_missing_rsync_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    rsync = ct.fs_strategies.Rsync(user="me", host="host.example.com")
    transfer = ct.fs.TransferFromRemote("file:///data", "/tmp/data", strategy=rsync)
    error = run(note, before=[(hook, [], "") for hook in transfer.cp()])["error"]
    assert "rsync: not found" in error["message"]
    assert "ct.DepsBash" in error["advice"]


@pytest.mark.parametrize(
    ("error", "advised"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"), True),
        (ClientError({"Error": {"Code": "403"}}, "HeadObject"), True),
        (ProfileNotFound(profile="mine"), True),
        (ClientError({"Error": {"Code": "404"}}, "HeadObject"), False),
        (subprocess.CalledProcessError(1, "make"), False),
    ],
)
def test_refusals_of_aws_are_the_roles(run: Run, error: Exception, advised: bool) -> None:
    assert ("lambda_role_name" in run(lambda: raise_it(error))["error"]["advice"]) is advised


def test_errors_that_cause_each_other_are_described_all_the_same(run: Run) -> None:
    def fail() -> None:
        one, other = ValueError("one"), ValueError("other")
        one.__cause__, other.__cause__ = other, one
        raise one

    assert run(fail)["error"]["message"] == "one"


@pytest.mark.parametrize(
    "speak", [lambda: "\udcff", lambda: say("\udcff"), lambda: raise_it(ValueError("\udcff"))]
)
def test_an_answer_can_always_be_written_as_utf8(run: Run, speak: Callable[[], Any]) -> None:
    # File names that are not UTF-8 look like this in Python.
    answer = run(speak)
    del answer["stdout"], answer["stderr"]
    json.dumps(answer, ensure_ascii=False).encode()


@pytest.mark.parametrize("path", ["rel.txt", "/tmp/no-such-folder/path.txt"])
@pytest.mark.parametrize("has_commands", [True, False])
def test_a_missing_file_may_be_that_of_a_command(
    run: Run, path: str, has_commands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"/opt/covalent-lambda/commands"} if has_commands else set()
    monkeypatch.setattr(os.path, "isdir", folders.__contains__)
    monkeypatch.setattr(os.path, "abspath", lambda path: f"/tmp/{path}")
    advice = run(lambda: open(path).close())["error"]["advice"]
    assert ("bash_deps='runtime'" in advice) is has_commands


def test_a_missing_library_is_answered_with_its_package(run: Run) -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    assert "libGL.so.1" in run(lambda: raise_it(ImportError(said)))["error"]["advice"]
