"""Isolation: every task finds the same surroundings, whatever the previous one did."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import logging
import os
import pwd
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from tests.fakes.examples import value_of
from tests.unit.runtime.conftest import Process, Run

FOLDERS = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "COVALENT_CONFIG_DIR")


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def state() -> dict[str, Any]:
    """Return what a task finds."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "environment": dict(os.environ),
        "directory": Path.cwd().parent,
        "path": list(sys.path),
        "umask": umask,
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE),
        "nice": os.nice(0),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "handlers": [
            signal.getsignal(n) is signal.SIG_DFL for n in (signal.SIGTERM, signal.SIGALRM)
        ],
        "threads": threading.active_count(),
        "descriptors": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())[:3],
        "print": builtins.print.__name__,
        "root": len(logging.root.handlers),
        "files": [path.name for path in Path.cwd().parent.iterdir() if path != Path.cwd()],
        "mine": [path.name for path in Path.cwd().iterdir()],
        "recursion": sys.getrecursionlimit(),
        "scratch": oct(Path.cwd().parent.stat().st_mode),
        "attributes": os.listxattr(Path.cwd().parent),
        "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_AS, resource.RLIMIT_CORE)],
        "processors": os.sched_getaffinity(0),
    }


def change_everything() -> None:
    os.environ["NEW"] = "1"
    os.environ["HOME"] = "/elsewhere"
    sys.path.insert(0, "/elsewhere")
    Path("left").write_text("x")
    (Path.cwd().parent / "left").mkdir()
    (Path.cwd().parent / "left" / "inside").write_text("x")
    (Path.cwd().parent / "left").chmod(0)
    os.chdir("/")
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    os.nice(5)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    threading.Timer(0.1, lambda: os._exit(9)).start()
    atexit.register(lambda: os._exit(9))
    builtins.print = lambda *_: None  # type: ignore[assignment]
    logging.basicConfig(level=logging.DEBUG)
    sys.setrecursionlimit(5000)
    runtime = [module for name, module in sys.modules.items() if "lambda_runtime" in name]
    for module in runtime:
        for name in list(vars(module)):
            if not name.startswith("__"):
                setattr(module, name, None)
    for descriptor in range(3, 30):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_whatever_a_task_changes_the_next_one_finds_it_as_the_first_did(process: Process) -> None:
    before = process.value(state)
    process.run(change_everything)
    time.sleep(0.3)
    assert process.value(state) == before
    assert before["files"] == ["home"]
    assert before["mine"] == []


def change_the_folder() -> None:
    scratch = Path.cwd().parent
    scratch.chmod(0o2757)
    with contextlib.suppress(OSError):
        os.setxattr(scratch, "user.left", b"x")


def lower_limits() -> None:
    """Change what the processes of later tasks would inherit."""
    template = os.getppid()
    resource.prlimit(template, resource.RLIMIT_NOFILE, (64, 64))
    resource.prlimit(template, resource.RLIMIT_CORE, (0, 0))
    os.setpriority(os.PRIO_PROCESS, template, 5)
    os.sched_setaffinity(template, {0})


def lower_the_handlers() -> None:
    handler = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
    limit = resource.prlimit(handler, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(handler, resource.RLIMIT_NOFILE, (64, limit))
    os.sched_setaffinity(handler, {0})
    # The next one inherits them.
    os.kill(os.getppid(), signal.SIGKILL)


def kill_the_template() -> None:
    os.kill(os.getppid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "change", [change_the_folder, lower_limits, lower_the_handlers, kill_the_template]
)
def test_what_a_task_changes_outside_of_itself_is_as_before(
    process: Process, change: Callable[[], None]
) -> None:
    before = process.value(state)
    process.run(change)
    assert [process.value(state) for _ in range(2)] == [before, before]


def fork_and_return() -> str:
    return "its own" if os.fork() else "the fork's"


def fork_and_fail() -> str:
    if not os.fork():
        raise ValueError("the fork's")
    time.sleep(0.3)
    return "its own"


@pytest.mark.parametrize("function", [fork_and_return, fork_and_fail])
def test_a_fork_that_returns_does_not_answer(run: Run, function: Callable[[], str]) -> None:
    for _ in range(3):
        assert value_of(run(function)["result"]["pickle"]) == "its own"


def test_every_task_starts_in_an_empty_directory_that_is_removed(process: Process) -> None:
    places = [process.value(Path.cwd) for _ in range(2)]
    process.ping()
    assert places[0] != places[1]
    assert all(place.name.startswith("task-") for place in places)
    assert not any(place.exists() for place in places[:1])


def test_a_task_may_remove_its_own_directory(run: Run) -> None:
    assert run(lambda: Path.cwd().rmdir())["status"] == wire.COMPLETED
    assert run(lambda: Path.cwd().rmdir())["status"] == wire.COMPLETED


def test_files_in_tmp_before_the_first_task_are_kept(process: Process) -> None:
    # As Lambda's own files.
    process.ping()
    assert process.run(lambda: (Path.cwd().parent / "mine").write_text("x"))["error"] is None
    process.run(abs, -1)
    assert not (process.scratch / "mine").exists()


# -- what a task cannot reach ---------------------------------------------------------------------


def secret(text: str) -> None:
    print(len(text))


def find_secrets() -> list[str]:
    """Search the memory of this process, the template and the handler for another task's secret."""
    found = []
    # Put together here, so that the search does not find itself.
    wanted = b"-".join([b"secret", b"of", b"the", b"first"])
    template = os.getppid()
    handler = Path(f"/proc/{template}/stat").read_text().rpartition(")")[2].split()[1]
    for process in (Path(f"/proc/{pid}") for pid in (os.getpid(), template, handler)):
        with contextlib.suppress(OSError, ValueError):
            for line in (process / "maps").read_text().splitlines():
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if "r" not in line.split()[1] or end - start > 100_000_000:
                    continue
                with (
                    contextlib.suppress(OSError, ValueError),
                    (process / "mem").open("rb") as memory,
                ):
                    memory.seek(start)
                    if memory.read(end - start).count(wanted) > 100:
                        found.append(f"{process.name} {line}")
    return found


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_task_finds_nothing_of_an_earlier_one_in_memory(process: Process) -> None:
    process.run(secret, "-".join(["secret", "of", "the", "first"]) * 1000)
    assert process.value(find_secrets) == []


def test_a_task_cannot_trace_the_handler(process: Process) -> None:
    def look() -> list[str]:
        seen = []
        for pid in (os.getppid(), int(Path(f"/proc/{os.getppid()}/stat").read_text().split()[3])):
            for name in ("mem", "environ", "maps"):
                with contextlib.suppress(OSError):
                    seen.append(str(Path(f"/proc/{pid}/{name}").read_bytes()[:1]))
            for descriptor in range(30):
                with contextlib.suppress(OSError):
                    seen.append(str(Path(f"/proc/{pid}/fd/{descriptor}").readlink()))
        return seen

    assert process.value(look) == []


# -- processes ------------------------------------------------------------------------------------


def leave_processes() -> list[int]:
    """Start a child, a fork, and a daemon in a session of its own; return their ids."""
    child = subprocess.Popen(["sleep", "60"])
    fork = os.fork()
    if not fork:
        time.sleep(60)
        os._exit(0)
    started = subprocess.run(
        ["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"],
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        check=True,
    )
    return [child.pid, fork, int(started.stdout)]


def test_processes_that_a_task_leaves_are_ended(process: Process) -> None:
    left = process.value(leave_processes)
    assert len(left) == 3
    assert (
        process.value(lambda: [Path(f"/proc/{pid}/stat").exists() for pid in left]) == [False] * 3
    )


def test_a_process_that_keeps_the_output_open_does_not_delay_the_answer(process: Process) -> None:
    def leave() -> None:
        subprocess.Popen("setsid sleep 60 &", shell=True)

    started = time.monotonic()
    assert process.run(leave)["status"] == wire.COMPLETED
    assert time.monotonic() - started < 5


def signal_in_the_end() -> None:
    """Have a signal sent while the task's output is flushed, after its answer."""
    flush = sys.stdout.flush

    def flush_and_signal() -> None:
        flush()
        os.kill(os.getpid(), signal.SIGUSR1)

    vars(sys.stdout)["flush"] = flush_and_signal


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os._exit(3), "exit status 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal: killed"),
        (lambda: ctypes.string_at(0), "signal: segmentation fault"),
        (os.abort, "signal: aborted"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), "signal: SIGUSR1"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR2), "signal: SIGUSR2"),
        (signal_in_the_end, "signal: SIGUSR1"),
    ],
)
def test_the_handler_answers_for_a_task_that_died(
    process: Process, end: Callable[[], None], how: str
) -> None:
    def work() -> None:
        print("last words")
        sys.stderr.write("without an end of line")
        end()

    answer = process.run(work)
    assert answer["status"] == wire.CRASHED
    assert answer["error"]["type"] == "Runtime.ExitError"
    assert answer["error"]["message"] == how
    assert (answer["stdout"], answer["stderr"]) == ("last words\n", "without an end of line")
    assert process.run(abs, -1)["usage"]["cold"] is False, "the same environment goes on"


def test_the_handler_answers_for_a_task_whose_time_is_up(process: Process) -> None:
    def work() -> None:
        print("last words", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        time.sleep(60)

    answer = process.run(work, timeout_s=8)
    assert answer["status"] == wire.CRASHED
    assert answer["error"]["type"] == "Sandbox.Timedout"
    assert answer["stdout"] == "last words\n"
    assert process.run(abs, -1)["usage"]["cold"] is False, "the same environment goes on"


def test_a_task_may_use_most_of_its_functions_time(process: Process) -> None:
    assert process.run(time.sleep, 2.5, timeout_s=4)["status"] == wire.COMPLETED


def test_a_task_that_kills_its_template_dies_alone(process: Process) -> None:
    def kill() -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)

    assert process.run(kill)["status"] == wire.CRASHED
    for _ in range(2):
        assert process.run(divmod, 17, 5)["status"] == wire.COMPLETED


def test_a_task_that_forges_its_answers_form_has_none(process: Process) -> None:
    def forge() -> None:
        for descriptor in range(3, 20):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"[]")
        os._exit(0)

    assert process.run(forge)["status"] == wire.CRASHED
    assert process.run(abs, -1)["status"] == wire.COMPLETED


# -- surroundings ---------------------------------------------------------------------------------


def test_folders_that_libraries_write_to_can_be_made(run: Run) -> None:
    def make() -> list[bool]:
        paths = [Path(os.environ[name]) for name in FOLDERS]
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
        return [path.parents[-1] == Path("/") and path.is_dir() for path in paths]

    assert value_of(run(make)["result"]["pickle"]) == [True] * 5


def test_home_is_there(run: Run) -> None:
    assert value_of(run(lambda: Path.home().is_dir())["result"]["pickle"])


def test_lambda_lets_a_task_write_to_tmp_only() -> None:
    # Read from the source: to import it would start a handler here, with this machine's /tmp.
    source = Path(wire.__file__).with_name("handler.py").read_text("utf-8")
    assert 'Handler("/tmp")' in source


def test_the_home_of_the_systems_user_is_replaced(start: Callable[..., Process]) -> None:
    process = start({"HOME": pwd.getpwuid(os.getuid()).pw_dir})
    assert process.value(Path.home) == process.scratch / "home"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_the_user_has_set_stays(start: Callable[..., Process], name: str) -> None:
    process = start({name: "/proc/models"})
    assert process.value(lambda: os.environ[name]) == "/proc/models"


def test_programs_find_the_packages_of_the_image(start: Callable[..., Process]) -> None:
    process = start(
        {
            "LAMBDA_TASK_ROOT": "/image",
            "LAMBDA_RUNTIME_DIR": "/interface",
            "PYTHONPATH": "/interface:/mine",
        }
    )
    found = process.value(lambda: (os.environ["PATH"].split(":")[0], os.environ["PYTHONPATH"]))
    path, python_path = found
    assert path == "/image/bin"
    assert python_path.endswith("/covalent_lambda_runtime/child_processes:/mine")


def test_covalent_does_not_load_its_plugins_in_the_image(process: Process) -> None:
    assert process.value(lambda: os.environ["COVALENT_PLUGIN_LOAD"]) == "false"


def test_logging_is_captured(run: Run) -> None:
    def log() -> None:
        logging.getLogger("user").warning("careful")
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        logging.getLogger("user").info("detail")

    for _ in range(2):
        assert run(log)["stderr"] == "careful\ndetail\n"


def test_output_is_captured_and_passed_on(process: Process) -> None:
    def say() -> None:
        print("hello")
        print("hello", file=sys.stderr)

    answer = process.run(say)
    assert answer["stdout"] == answer["stderr"] == "hello\n"
    assert process.log == "hello\nhello\n"


def test_output_of_programs_is_captured(run: Run) -> None:
    def say() -> None:
        subprocess.run("echo one; echo two >&2", shell=True, check=True)
        sys.stdout.buffer.write(b"raw\n")

    answer = run(say)
    assert (answer["stdout"], answer["stderr"]) == ("one\nraw\n", "two\n")


def test_output_of_a_task_that_fails_is_captured(run: Run) -> None:
    def fail() -> None:
        print("so far")
        raise ValueError

    assert run(fail)["stdout"] == "so far\n"


def test_much_output_does_not_block_a_task(run: Run) -> None:
    def say() -> None:
        for _ in range(1000):
            print("x" * 10_000)

    assert "bytes left out" in run(say)["stdout"]


# -- imports --------------------------------------------------------------------------------------

STATEFUL = """
import logging, os, queue, random, tempfile, threading

generator = random.Random()
precision = os.environ.get("PRECISION", "single")
folder = tempfile.mkdtemp(dir=TMP)
log = logging.getLogger(__name__)
log.addHandler(logging.StreamHandler())
doubled, wanted = queue.Queue(), queue.Queue()

def _double():
    while True:
        doubled.put(2 * wanted.get())

threading.Thread(target=_double, daemon=True).start()
"""
"""A module that has state from its import on, like many packages on an index."""


@pytest.fixture
def with_stateful(process: Process) -> Process:
    """A handler with that module on its search path."""
    text = STATEFUL.replace("TMP", repr(str(process.scratch)))
    (process.scratch.parent / "stateful.py").write_text(text)
    return process


def draw() -> float:
    from stateful import generator  # type: ignore[import-not-found]

    return float(generator.random())


def choose() -> str:
    os.environ["PRECISION"] = "double"
    from stateful import precision

    return str(precision)


def note() -> str:
    from stateful import log

    log.warning("noted")
    return "noted"


def ask_a_thread() -> int:
    from stateful import doubled, wanted

    wanted.put(21)
    return int(doubled.get(timeout=5))


def write() -> int:
    from stateful import folder

    return Path(folder, "file").write_text("four")


def test_a_modules_random_numbers_differ_between_tasks(with_stateful: Process) -> None:
    assert len({with_stateful.value(draw) for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("use", "value", "stderr"),
    [
        pytest.param(choose, "double", "", id="a variable set before the import"),
        pytest.param(note, "noted", "noted\n", id="a stream that it opened"),
        pytest.param(ask_a_thread, 42, "", id="a thread that it started"),
        pytest.param(write, 4, "", id="a folder that it made"),
    ],
)
def test_a_module_is_imported_by_every_task_for_itself(
    with_stateful: Process, use: Callable[[], Any], value: object, stderr: str
) -> None:
    for _ in range(3):
        answer = with_stateful.run(use)
        assert value_of(answer["result"]["pickle"]) == value
        assert answer["stderr"] == stderr


def test_the_next_task_does_not_wait_for_the_imports_of_the_last(process: Process) -> None:
    (process.scratch.parent / "slow_to_import.py").write_text("import time; time.sleep(2)")

    def use() -> None:
        import slow_to_import  # type: ignore[import-not-found]  # noqa: F401

    process.run(use)
    assert process.run(abs, -1)["usage"]["duration_ms"] < 1000


def test_random_numbers_differ_between_tasks(process: Process) -> None:
    def draw() -> float:
        import random

        return random.random()

    assert len({process.value(draw) for _ in range(3)}) == 3
