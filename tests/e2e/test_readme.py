"""Every command and example of the README does what the README says."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LAST_LINE = re.compile(
    r"demo: ok accuracy=(?P<accuracy>[01]\.\d+) builds=(?P<builds>\d+) "
    r"second_dispatch_builds=0 warm_ms=(?P<warm_ms>\d+) "
    r"first_result_s=[\d.]+ first_result_registry_s=[\d.]+"
)


def blocks(language: str) -> list[str]:
    return [
        re.sub(r"^ {0,2}", "", block, flags=re.MULTILINE)
        for block in re.findall(
            rf"^ *```{language}\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL
        )
    ]


def commands() -> list[str]:
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as git would make it, without anything of this one's environment."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return folder


def processes_of(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], check=True, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def containers_of(printed: str) -> list[str]:
    """Return the containers of the local AWS whose start was printed; others may be running."""
    port = re.search(r"Starting MiniStack on http://localhost:(\d+)", printed)
    assert port is not None, printed
    with contextlib.closing(docker.from_env()) as client:
        labels = [c.labels for c in client.containers.list(all=True, ignore_removed=True)]
    instances = [label.get("ministack.instance", "") for label in labels]
    return [instance for instance in instances if instance.endswith(f":{port[1]}")]


def test_every_command_is_known_here():
    kinds = {" ".join(command.split()[:2]) for command in commands()}
    assert kinds == {
        *("make demo", "make test", "pip install"),
        *("covalent-lambda bootstrap", "covalent-lambda policy", "covalent-lambda doctor"),
        # The local stack in the background: tests/integration/test_cli.py starts it in this way.
        *(". .venv/bin/activate", "covalent-lambda local", "covalent start", "python workflow.py"),
    }


@pytest.mark.slow
def test_make_demo_in_a_fresh_checkout(clone: Path, engine: None, root_image: str):
    # As from a shell: a make that runs the tests speaks to the makes under it.
    shell = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    demo = subprocess.run(
        ["make", "demo"], cwd=clone, env=shell, check=True, capture_output=True, text=True
    )
    lines = demo.stdout.strip().splitlines()
    last = LAST_LINE.fullmatch(lines[-1])
    assert last is not None, demo.stdout
    assert float(last["accuracy"]) > 0.9
    assert int(last["builds"]) == 1
    assert "covalent-lambda local up --configure" in demo.stderr
    assert processes_of(clone) == []
    assert containers_of(demo.stderr) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(clone: Path, number: int):
    """Runs after the test above, in the environment that it made."""
    with subprocess.Popen(
        [clone / ".venv" / "bin" / "covalent-lambda", "demo", "examples/iris_svm.py"],
        cwd=clone,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stderr is not None
        begun = []
        for line in demo.stderr:
            begun.append(line)
            if "Dispatching" in line:
                break
        time.sleep(1)
        demo.send_signal(number)
        printed = demo.stderr.read()
    assert demo.returncode == 130
    assert "interrupted" in printed
    assert processes_of(clone) == []
    assert containers_of("".join(begun)) == []


def test_make_test_is_this_suite(clone: Path):
    shown = subprocess.run(
        ["make", "--dry-run", "test"], cwd=clone, check=True, capture_output=True, text=True
    ).stdout
    assert re.search(r'-m pytest .*-m "not slow"', shown)


def test_the_example(dispatcher: Any, tmp_path: Path):
    (example,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(example)
    assert float(dispatcher.run(script).split()[-1]) > 0.9
