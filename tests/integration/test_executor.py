"""The executor against a real engine, registry and Lambda containers, without Covalent's server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import covalent as ct
import docker
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container import AWSLambdaContainerExecutor, step_log
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL
from covalent_lambda_container.errors import (
    ConfigurationError,
    FunctionCrashed,
    ImageBuildError,
    TaskTimedOut,
)
from covalent_lambda_container.executor.wiring import clients_of

TINY = ct.DepsPip(["iniconfig==2.1.0"])


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count recorded steps by name."""
    path = tmp_path / "steps.jsonl"
    monkeypatch.setenv(step_log.VARIABLE, str(path))
    return lambda name: len([step for step in step_log.read(path) if step["step"] == name])


def run(executor: AWSLambdaContainerExecutor, function: Any, *args: Any, pip: Any = TINY) -> Any:
    """Run one function as Covalent's dispatcher would; return its value, stdout and stderr."""
    assembled = partial(wrapper_fn, TransportableObject(function), [pip.apply()] if pip else [], [])
    inputs = [TransportableObject(arg) for arg in args]

    async def execute() -> Any:
        executor._init_runtime()
        return await executor.execute(assembled, inputs, {}, "dispatch", "/nowhere", 0)

    result, stdout, stderr, status = asyncio.run(execute())
    return (result.get_deserialized() if result else None), stdout, stderr, str(status)


def names(aws: Any) -> set[str]:
    return {found["FunctionName"] for found in aws("lambda").list_functions()["Functions"]}


def images(aws: Any, stack: Any) -> set[str]:
    found = aws("ecr").describe_images(repositoryName=stack.repository)["imageDetails"]
    return {image["imageDigest"] for image in found}


def test_second_run_builds_nothing(options: Any, cache_dir: str, steps: Any):
    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    assert run(executor, lambda x: x + 1, 1)[0] == 2
    made = steps("image.build"), steps("function.create")
    equal = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    assert run(equal, lambda x: x + 1, 2)[0] == 3
    assert (steps("image.build"), steps("function.create")) == made


def test_the_file_system_is_lambdas(options: Any, cache_dir: str):
    def look() -> Any:
        import os
        from pathlib import Path

        here = Path.cwd()
        Path("kept").write_text("by nobody")
        try:
            Path("/var/task/new").write_text("")
            writable = True
        except OSError:
            writable = False
        home_writable = os.access(Path.home(), os.W_OK)
        return len(list(here.iterdir())), writable, home_writable

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    # Twice, since the second finds a warm container: its work directory is clean again.
    assert run(executor, look)[0] == (1, False, True)
    assert run(executor, look)[0] == (1, False, True)


def test_a_deleted_function_is_recreated(options: Any, cache_dir: str, aws: Any, steps: Any):
    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir, memory_size=640)
    before = names(aws)
    run(executor, abs, -1)
    (name,) = names(aws) - before
    aws("lambda").delete_function(FunctionName=name)
    assert run(executor, abs, -2)[0] == 2
    assert steps("function.create") == 2
    assert name in names(aws)


@pytest.mark.parametrize("killed", [False, True], ids=["raises", "is killed"])
def test_a_task_out_of_memory_runs_again_with_more(options: Any, cache_dir: str, killed: bool):
    def hungry(killed: bool) -> Any:
        import os
        import signal

        memory_mb = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        if memory_mb < 1000:
            if killed:
                # As the kernel does; the emulator gives functions all the memory there is.
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError
        return memory_mb

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir, max_memory_size=1024)
    value, _, stderr, _ = run(executor, hungry, killed)
    assert value == 1024
    assert "of 1024 MB (raised from 512 MB)" in stderr


def test_options_reach_the_function(options: Any, cache_dir: str, aws: Any):
    before = names(aws)
    executor = AWSLambdaContainerExecutor(
        **options,
        cache_dir=cache_dir,
        memory_size=768,
        timeout=77,
        ephemeral_storage=1024,
        environment={"GREETING": "hello"},
        tags={"team": "science"},
        requirements=["inflection==0.5.1"],
    )

    def look() -> Any:
        import os

        import inflection

        return os.environ["GREETING"], inflection.pluralize("day")

    assert run(executor, look, pip=None)[0] == ("hello", "days")
    (name,) = names(aws) - before
    found = aws("lambda").get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert configuration["MemorySize"] == 768
    assert configuration["Timeout"] == 77
    assert configuration["EphemeralStorage"] == {"Size": 1024}
    assert found["Tags"]["team"] == "science"
    assert "@sha256:" in found["Code"]["ImageUri"]


def test_a_task_over_its_time_says_which_option_helps(options: Any, cache_dir: str):
    def sleep() -> None:
        import time

        time.sleep(30)

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir, timeout=1)
    with pytest.raises(TaskTimedOut, match=r"did not end within 1 s[\s\S]*option timeout"):
        run(executor, sleep)


def test_a_crash_shows_the_last_log_lines(options: Any, cache_dir: str):
    def crash() -> None:
        import os

        print("about to end", flush=True)
        os._exit(3)

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    with pytest.raises(FunctionCrashed, match=r"exit status 3[\s\S]*about to end"):
        run(executor, crash)


def test_a_package_that_does_not_exist(options: Any, cache_dir: str, aws: Any, stack: Any):
    functions, stored = names(aws), images(aws, stack)
    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    missing = ct.DepsPip(["covalent-lambda-no-such-package==9.9"])
    said = "there is no package covalent-lambda-no-such-package on"
    with pytest.raises(ImageBuildError, match=said):
        run(executor, abs, -1, pip=missing)
    assert names(aws) == functions
    assert images(aws, stack) == stored
    with contextlib.closing(docker.from_env()) as client:
        ours = {"label": f"{CONTAINER_LABEL}={os.getpid()}"}
        assert client.containers.list(all=True, filters=ours) == []


def test_no_docker_engine(options: Any, cache_dir: str, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    unreachable = options | {"base_image": "localhost:9/root:3.11"}
    executor = AWSLambdaContainerExecutor(**unreachable, cache_dir=cache_dir)
    fresh = ct.DepsPip(["iniconfig==1.1.1"])
    with pytest.raises(
        ImageBuildError, match=r"No Docker engine answers[\s\S]*Start a Docker engine"
    ):
        run(executor, abs, -1, pip=fresh)


def test_an_image_that_exists_costs_no_docker_call_and_one_of_ecr(
    options: Any, cache_dir: str, monkeypatch: pytest.MonkeyPatch
):
    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    run(executor, abs, -1)
    asked: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        asked.append(event_name)

    ecr = clients_of(executor.options()).ecr
    ecr.meta.events.register("before-send.ecr", note)
    try:
        with socket.create_server(("127.0.0.1", 0)) as engine:
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine.getsockname()[1]}")
            # What the first has learnt, the others do not know, but of one another.
            other = options | {"cache_dir": f"{cache_dir}-2"}
            for memory_size in (896, 960):
                elsewhere = AWSLambdaContainerExecutor(**other, memory_size=memory_size)
                assert run(elsewhere, abs, -1)[0] == 1
            engine.settimeout(0)
            with pytest.raises(BlockingIOError):
                engine.accept()
    finally:
        ecr.meta.events.unregister("before-send.ecr", note)
    assert asked == ["before-send.ecr.BatchGetImage"]


def test_an_image_in_ecr_lists_its_contents(options: Any, cache_dir: str, aws: Any, stack: Any):
    executor = AWSLambdaContainerExecutor(
        **options | {"profile": stack.owner_profile}, cache_dir=cache_dir
    )
    assert run(executor, lambda: 1)[0] == 1
    listed = aws("ecr").list_images(repositoryName=stack.repository)["imageIds"]
    registry = EcrRegistry(clients_of(executor.options()), stack.repository)
    said = [registry.contents(image["imageTag"]) for image in listed if "imageTag" in image]
    ours = [each for each in said if each and each.spec["requirements"] == ["iniconfig==2.1.0"]]
    cloudpickle_version = metadata.version("cloudpickle")
    assert [each.lock.split() for each in ours] == [
        [f"cloudpickle=={cloudpickle_version}", "iniconfig==2.1.0"]
    ]


def test_wrong_credentials(options: Any, cache_dir: str, tmp_path: Path):
    wrong = tmp_path / "credentials"
    wrong.write_text(
        "[default]\naws_access_key_id=AKIANOSUCHKEY0000000\naws_secret_access_key=no\n"
    )
    given = options | {"credentials_file": str(wrong), "profile": "default"}
    executor = AWSLambdaContainerExecutor(**given, cache_dir=cache_dir)
    with pytest.raises(ConfigurationError, match="AWS refused the credentials") as raised:
        run(executor, abs, -1)
    assert "credentials_file" in str(raised.value)


def test_missing_credentials_file(options: Any, cache_dir: str):
    given = options | {"credentials_file": "/no/such/file"}
    executor = AWSLambdaContainerExecutor(**given, cache_dir=cache_dir)
    with pytest.raises(
        ConfigurationError, match="credentials_file='/no/such/file': the file does not"
    ):
        run(executor, abs, -1)


@pytest.mark.parametrize(
    ("option", "value"),
    [("s3_bucket_name", "no-such-bucket-here"), ("lambda_role_name", "NoSuchRole")],
)
def test_missing_bucket_or_role(
    options: Any, cache_dir: str, aws: Any, stack: Any, steps: Any, option: str, value: str
):
    functions, stored = names(aws), images(aws, stack)
    # A dispatcher may not even look for others' roles.
    given = options | {option: value, "profile": stack.owner_profile}
    executor = AWSLambdaContainerExecutor(**given, cache_dir=cache_dir)
    with pytest.raises(ConfigurationError, match=f"{option}='{value}'"):
        run(executor, abs, -1, pip=ct.DepsPip(["iniconfig==0.1"]))
    assert steps("image.build") == 0
    assert names(aws) == functions
    assert images(aws, stack) == stored


def test_nothing_answers_at_the_endpoint(options: Any, cache_dir: str):
    given = options | {"endpoint_url": "http://localhost:9"}
    executor = AWSLambdaContainerExecutor(**given, cache_dir=cache_dir)
    with pytest.raises(ConfigurationError, match="option endpoint_url"):
        run(executor, abs, -1)


def test_the_standard_library_comes_before_packages(options: Any, cache_dir: str):
    """Packages that replace modules of the interpreter where they come first."""

    def look() -> Any:
        import enum
        import subprocess
        import typing

        import six

        child = subprocess.run(
            ["python3", "-c", "import enum, re, typing, six; print(enum.__file__, six.__file__)"],
            capture_output=True,
            text=True,
            check=False,
        )
        return enum.__file__, typing.__file__, six.__file__, child.stdout.split(), child.stderr

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir)
    backports = ct.DepsPip(["enum34==1.1.10", "typing==3.7.4.3", "six==1.17.0"])
    enum_file, typing_file, six_file, child, stderr = run(executor, look, pip=backports)[0]
    assert "/var/task" not in enum_file + typing_file
    assert (six_file, child, stderr) == ("/var/task/six.py", [enum_file, "/var/task/six.py"], "")
