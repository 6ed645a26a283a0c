"""The command line as a program, against a real engine, registry and Lambda containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import docker
import pytest
import toml

from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL
from covalent_lambda_container.executor.wiring import account_stores_for
from covalent_lambda_container.functions.inventory import (
    Inventory,
    find_unused,
    remove,
    take_inventory,
)
from covalent_lambda_container.local.child_process import free_port
from covalent_lambda_container.options.schema import Options
from tests.integration.running_commands import is_running

PROGRAM = str(Path(sys.executable).with_name("covalent-lambda"))
TINY = "iniconfig==2.1.0"


@pytest.fixture
def environment(options: dict[str, Any], tmp_path: Path) -> dict[str, str]:
    """An environment whose Covalent configuration leads to the local stack."""
    executor = options | {"cache_dir": str(tmp_path / "cache")}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "covalent.conf").write_text(
        toml.dumps({"executors": {"awslambda_container": executor}})
    )
    return os.environ | {"COVALENT_CONFIG_DIR": str(tmp_path / "config")}


@pytest.fixture
def program(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``covalent-lambda`` to its end."""

    def run(*arguments: str, status: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [PROGRAM, *arguments],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ended.returncode == status, ended.stderr
        return ended

    return run


def workflow(path: Path, packages: list[str], **deps: Any) -> str:
    path.write_text(f"""
import covalent as ct

@ct.electron(executor="awslambda_container", deps_pip={packages!r}, deps_bash={deps.get("bash")!r})
def work(x):
    return x

@ct.lattice(workflow_executor="local")
def workflow(x):
    return work(x)
""")
    return str(path)


def test_a_second_prebuild_finds_everything_quickly(program: Any, tmp_path: Path, aws: Any):
    flow = workflow(tmp_path / "flow.py", [TINY])
    (made,) = json.loads(program("prebuild", flow, "--json").stdout)
    assert made["state"] in ("built", "function created", "there")
    function = aws("lambda").get_function(FunctionName=made["function"])
    assert function["Code"]["ImageUri"].endswith(made["digest"])
    started = time.monotonic()
    # An engine is needed for images that are not there only.
    second = program("prebuild", flow, "--json", DOCKER_HOST="tcp://127.0.0.1:9")
    took_s = time.monotonic() - started
    assert json.loads(second.stdout) == [made | {"state": "there"}]
    assert took_s < 2 * slowness()
    program("prebuild", flow, "--check", DOCKER_HOST="tcp://127.0.0.1:9")


def slowness() -> float:
    """Return how many times as long as on a quiet machine it takes to import Covalent."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import covalent"], check=True)
    return max(1.0, (time.monotonic() - started) / 0.6)


def test_an_image_that_is_missing_needs_an_engine(program: Any, tmp_path: Path):
    flow = workflow(tmp_path / "flow.py", ["iniconfig!=9"])
    assert "image missing" in program("prebuild", flow, "--check", status=3).stdout
    ended = program("prebuild", flow, status=4, DOCKER_HOST="tcp://127.0.0.1:9")
    assert "Start a Docker engine" in ended.stderr
    assert "failed" in ended.stdout


def test_an_interrupted_prebuild_leaves_nothing_half_made(
    environment: Any, program: Any, tmp_path: Path
):
    marker = f"9{os.getpid()}.125"
    flow = workflow(tmp_path / "flow.py", [TINY], bash=[f"sleep {marker}"])
    process = subprocess.Popen(
        [PROGRAM, "prebuild", flow], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: is_running(marker), 120)
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert talk.endswith("Error: interrupted\n")
    wait_for(lambda: not is_running(marker), 20)
    assert not containers_of(process.pid)
    assert not list((tmp_path / "cache").glob("covalent-lambda-build-*"))
    assert "image missing" in program("prebuild", flow, "--check", status=3).stdout


def test_a_program_that_ends_takes_the_containers_of_its_builds_along(root_image: str):
    script = """
import sys, threading, time
from covalent_lambda_container.adapters.docker.engine import DockerEngine

def build():
    with DockerEngine().container(sys.argv[1], "x86_64"):
        started.set()
        time.sleep(600)

started = threading.Event()
threading.Thread(target=build, daemon=True).start()
started.wait()
print("started", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, root_image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    assert len(containers_of(process.pid)) == 1
    process.communicate(timeout=30)
    assert containers_of(process.pid) == []


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def containers_of(pid: int) -> list[str]:
    """Return the containers that a process has for its builds."""
    with contextlib.closing(docker.from_env()) as client:
        label = f"{CONTAINER_LABEL}={pid}"
        found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return [str(container.id) for container in found]


@pytest.fixture
def background(tmp_path: Path, engine: None) -> Iterator[str]:
    folder = str(tmp_path / "background")
    yield folder
    subprocess.run([PROGRAM, "local", "down", "--folder", folder], check=True)


def test_the_local_stack_survives_its_shell_and_leaves_nothing_behind(
    background: str, program: Any, root_image: str
):
    at = ("--folder", background)
    program("local", "status", *at, status=1)
    # The shell is gone when it is used.
    up = program("local", "up", "--json", *at)
    printed = json.loads(up.stdout)
    assert printed == json.loads(program("local", "status", "--json", *at).stdout)
    assert printed == json.loads(program("local", "up", "--json", *at).stdout)
    assert printed["options"]["base_image"] == root_image
    lines = program("local", "up", *at).stdout
    script = "import boto3, sys; print(boto3.client('s3').list_objects_v2(Bucket=sys.argv[1]))"
    shell = f'{lines}exec "$0" -c "$1" "$2"'
    shown = subprocess.run(
        ["sh", "-c", shell, sys.executable, script, printed["options"]["s3_bucket_name"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'KeyCount': 0" in shown.stdout
    pushed = printed["options"]["endpoint_url"].partition("//")[2] + "/covalent-lambda:pushed"
    with contextlib.closing(docker.from_env()) as client:
        client.images.get(root_image).tag(pushed)
        assert program("local", "down", *at).stdout == "stopped\n"
        assert not client.images.list(pushed)
    assert not Path(background).exists()
    assert program("local", "down", *at).stdout == "it was not running\n"
    program("local", "status", *at, status=1)


def test_a_port_that_was_chosen_holds_after_a_restart(background: str, environment: Any):
    port = str(free_port())

    def local(*words: str, status: int = 0, **leading: str) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [PROGRAM, "local", words[0], "--folder", background, *words[1:]],
            env=environment | leading,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == status, ended.stderr
        return ended

    first = json.loads(local("up", "--port", port, "--configure", "--json").stdout)
    assert first["options"]["endpoint_url"] == f"http://localhost:{port}"
    elsewhere = local("up", "--port", "65000", status=9).stderr
    assert f"is already running on http://localhost:{port}" in elsewhere
    # From a shell that still leads there.
    stopped = local("down", **first["environment"])
    assert "covalent-lambda config unset endpoint_url" in stopped.stderr
    assert "unset " in stopped.stderr
    again = json.loads(local("up", "--port", port, "--json", **first["environment"]).stdout)
    assert again["options"] == first["options"]
    taken = ["--folder", f"{background}-2"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = str(other.getsockname()[1])
        refused = local("up", "--port", number, *taken, status=9).stderr
    assert f"Port {number} cannot be used" in refused
    assert "Traceback" not in refused


def test_two_that_start_it_at_once_get_the_same(background: str, environment: Any):
    command = [PROGRAM, "local", "up", "--json", "--folder", background]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    one, other = (process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert json.loads(one) == json.loads(other)


def test_functions_and_images_are_listed_and_removed_and_their_logs_read(
    program: Any, tmp_path: Path, stack: Any, options: dict[str, Any]
):
    flow = workflow(tmp_path / "flow.py", ["iniconfig>=2.1,<3"])
    (made,) = json.loads(program("prebuild", flow, "--json").stdout)
    program("prewarm", flow, "-n", "1")
    owner = ("--profile", stack.owner_profile)
    listed = json.loads(program("list", "--json", *owner).stdout)
    (function,) = (f for f in listed["functions"] if f["name"] == made["function"])
    (image,) = (i for i in listed["images"] if i["digest"] == made["digest"])
    assert function["made_by"].endswith(":user/covalent-lambda")
    assert function["last_used"] is not None
    assert image["tags"] == [made["spec"]]
    assert "START RequestId" in program("logs", made["function"], *owner).stdout
    # Used a moment ago: a task may be running.
    kept = json.loads(program("gc", "--dry-run", "--keep", "0s", "--json", *owner).stdout)
    assert made["function"] not in {function["name"] for function in kept["functions"]}

    stores = account_stores_for(Options.check(options | {"profile": stack.owner_profile}))
    there = take_inventory(stores.registry, stores.functions, stores.logs)
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    what = find_unused(
        # Others of this stack are in use by other tests.
        Inventory(
            images=tuple(i for i in there.images if i.digest == made["digest"]),
            functions=tuple(f for f in there.functions if f.digest == made["digest"]),
            digests_of_others=there.digests_of_others,
        ),
        now=later,
        keep=timedelta(0),
    )
    remove(what, stores.registry, stores.functions, print)
    program("prebuild", flow, "--check", status=3)
    # What is needed again is made again.
    (again,) = json.loads(program("prebuild", flow, "--json").stdout)
    assert (again["spec"], again["state"]) == (made["spec"], "built")
