"""Advice on errors, by their content."""

from __future__ import annotations

import builtins
import errno
import inspect
import json
import multiprocessing.shared_memory
import multiprocessing.synchronize
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from covalent_lambda_container.runtime import provenance
from covalent_lambda_container.runtime.task_errors import describe


def raised_in(module: ModuleType, error: BaseException) -> BaseException:
    """Return an error that a module's file raised."""
    code = compile("raise error", str(module.__file__), "exec")
    try:
        exec(code, {"error": error})
    except BaseException as exc:
        return exc
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/psm_0123"),
        OSError(errno.ENOSYS, "Function not implemented"),
    ],
)
@pytest.mark.parametrize("module", [multiprocessing.synchronize, multiprocessing.shared_memory])
def test_shared_memory_is_missing_however_the_c_library_reports_it(
    error: OSError, module: ModuleType
) -> None:
    assert "no shared memory" in describe(raised_in(module, error))["advice"]


def test_a_missing_file_of_the_tasks_own_is_not_about_shared_memory() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "data.csv")
    assert "shared memory" not in describe(raised_in(own_module(), error))["advice"]


def own_module() -> ModuleType:
    module = ModuleType("mine")
    module.__file__ = "/var/task/mine.py"
    return module


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cannot cache function 'f': no locator available for file '<dynamic-code>'"),
        OSError("could not get source code"),
        OSError("Can't get source for <function f>. TorchScript requires source access"),
    ],
)
def test_what_needs_the_source_of_a_pickled_function_is_explained(error: Exception) -> None:
    assert "local_packages" in describe(raised_in(own_module(), error))["advice"]


def test_the_standard_librarys_words_about_a_missing_source_are_known() -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def f(): pass", "<dynamic-code>", "exec"), namespace)
    with pytest.raises(OSError) as raised:
        inspect.getsource(namespace["f"])
    assert "source of a function" in describe(raised.value)["advice"]


def test_a_file_of_the_users_machine_is_not_in_the_function(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        (tmp_path / "mine" / "data.csv").open()
    advice = describe(raised.value)["advice"]
    assert f"no folder {tmp_path}/mine in the function, which sees no files of your" in advice
    with pytest.raises(OSError) as raised:
        Path("mine", "data.csv").read_text()
    assert "no folder mine in the function" in describe(raised.value)["advice"]


def test_a_file_that_another_task_wrote_is_not_in_the_function() -> None:
    for path in (Path("/tmp/absent-data.csv"), Path("data.csv")):
        with pytest.raises(OSError) as raised:
            path.open()
        assert f"no file {path} in the function" in describe(raised.value)["advice"]
    # A package's own file is missing for another reason.
    with pytest.raises(OSError) as raised:
        (Path(inspect.__file__).parent / "absent.csv").open()
    assert describe(raised.value)["advice"] == ""


def test_an_error_about_a_name_of_any_bytes_and_length_can_be_sent() -> None:
    for folder in ("/data\udce4", "/data" * 100_000):
        with pytest.raises(OSError) as raised:
            Path(folder, "x").read_bytes()
        described = describe(raised.value)
        assert all(len(json.dumps(part).encode()) < 300_000 for part in described.values())
        json.dumps(described, ensure_ascii=False).encode()


@pytest.fixture
def image_with_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An image that has a module ``broken``, whose import has failed."""
    (tmp_path / provenance.MODULES_FILE).write_text('{"broken": ["broken==1.0"]}')
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    provenance.installed_modules.cache_clear()
    yield
    provenance.installed_modules.cache_clear()


@pytest.mark.usefixtures("image_with_broken")
def test_a_package_that_lacks_a_part_of_its_own_is_not_misspelt() -> None:
    error = ModuleNotFoundError("No module named 'broken._native'", name="broken._native")
    advice = describe(error)["advice"]
    assert "The image has broken, in a version without broken._native" in advice


def test_a_program_that_is_not_in_the_image_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        subprocess.run(["no-such-program"])
    assert "A program is not in the image" in describe(raised.value)["advice"]
    with pytest.raises(OSError) as raised:
        subprocess.run(["true"], cwd=tmp_path / "none")
    assert "A program is not in the image" not in describe(raised.value)["advice"]


def test_data_of_a_library_is_added_while_the_image_is_built() -> None:
    error = LookupError(
        "Resource \x1b[93mpunkt_tab\x1b[0m not found.\n  >>> nltk.download('punkt_tab')\n"
    )
    advice = describe(raised_in(own_module(), error))["advice"]
    assert "python3 -m nltk.downloader -d /usr/share/nltk_data punkt_tab" in advice
    error = OSError("[E050] Can't find model 'en_core_web_sm'. It doesn't seem to be a package")
    assert "'en_core_web_sm @ https://" in describe(raised_in(own_module(), error))["advice"]


def raised_from(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


class OfALibrary(MemoryError):
    """As NumPy and PyArrow have one."""


class NotEnoughQuantumMemoryError(ValueError):
    """An ordinary error, whatever its name."""


@pytest.mark.parametrize(
    ("error", "lacked"),
    [
        (MemoryError(), True),
        (OfALibrary(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (raised_from(RuntimeError("in a library"), MemoryError()), True),
        (NotEnoughQuantumMemoryError(), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ValueError("MemoryError"), False),
    ],
)
def test_the_class_says_whether_memory_was_lacking(error: Exception, lacked: bool) -> None:
    described = describe(error)
    assert described["out_of_memory"] is lacked
    assert ("memory_size" in described["advice"]) is lacked


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has groups of errors since 3.11.")
def test_advice_is_on_errors_in_groups() -> None:
    group: Any = vars(builtins)["BaseExceptionGroup"]
    missing = ModuleNotFoundError("No module named 'absent'", name="absent")
    for error in (
        group("several", [missing]),
        group("several", [ValueError("x"), group("more", [missing])]),
        group("several", [raised_from(RuntimeError("x"), missing)]),
        raised_from(RuntimeError("x"), group("several", [missing])),
    ):
        described = describe(error)
        assert described["missing_module"] == "absent"
        assert "ct.DepsPip" in described["advice"]
    assert describe(group("several", [ValueError("x"), MemoryError()]))["out_of_memory"] is True


def test_advice_is_on_errors_in_groups_of_the_package_for_python_3_10(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Group(Exception):
        exceptions = (ModuleNotFoundError("No module named 'absent'", name="absent"),)

    package = ModuleType("exceptiongroup")
    vars(package)["BaseExceptionGroup"] = Group
    monkeypatch.setitem(sys.modules, "exceptiongroup", package)
    monkeypatch.delattr(builtins, "BaseExceptionGroup", raising=False)
    assert describe(Group())["missing_module"] == "absent"
