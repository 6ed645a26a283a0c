"""Options that shape a function, against real Lambda containers."""

from __future__ import annotations

import contextlib
import re
import uuid
from typing import Any

import docker

from covalent_lambda_container import AWSLambdaContainerExecutor
from tests.electron import run

KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
VPC: dict[str, Any] = {"subnet_ids": ["subnet-0b", "subnet-0a"], "security_group_ids": ["sg-0f"]}


def names(aws: Any) -> set[str]:
    return {found["FunctionName"] for found in aws("lambda").list_functions()["Functions"]}


def environments(variable: str) -> int:
    """Count the running containers that have an environment variable."""
    with contextlib.closing(docker.from_env()) as client:
        listed = client.containers.list(ignore_removed=True)
        return sum(variable in (container.attrs["Config"]["Env"] or ()) for container in listed)


def test_network_key_and_reservation_reach_the_function(options: Any, cache_dir: str, aws: Any):
    before = names(aws)
    executor = AWSLambdaContainerExecutor(
        **options, **VPC, cache_dir=cache_dir, kms_key_arn=KEY, reserved_concurrency=3
    )
    assert run(executor, abs, -1).value == 1
    (name,) = names(aws) - before
    found = aws("lambda").get_function(FunctionName=name)
    network = found["Configuration"]["VpcConfig"]
    assert network["SubnetIds"] == ["subnet-0a", "subnet-0b"]
    assert network["SecurityGroupIds"] == ["sg-0f"]
    assert found["Configuration"]["KMSKeyArn"] == KEY
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    # An equal executor finds it as it is.
    again = AWSLambdaContainerExecutor(
        **options, **VPC, cache_dir=cache_dir, kms_key_arn=KEY, reserved_concurrency=3
    )
    assert run(again, abs, -2).value == 2
    assert names(aws) - before == {name}


def test_environments_stand_ready_before_the_first_task(options: Any, cache_dir: str):
    mark = uuid.uuid4().hex
    executor = AWSLambdaContainerExecutor(
        **options, cache_dir=cache_dir, prewarm=3, environment={"MARK": mark}
    )
    ended = run(executor, abs, -1)
    assert ended.value == 1
    assert "(warm start)" in ended.stderr
    assert environments(f"MARK={mark}") == 3


def test_stderr_ends_with_the_usage_line(options: Any, cache_dir: str):
    def work() -> None:
        import sys
        import time

        held = bytearray(150 * 2**20)
        time.sleep(0.3)
        print(len(held), end="", file=sys.stderr)

    executor = AWSLambdaContainerExecutor(**options, cache_dir=cache_dir, memory_size=1024)
    printed, line = run(executor, work).stderr.splitlines()
    assert printed == str(150 * 2**20)
    shown = re.fullmatch(
        r"Lambda usage: (?P<duration>[\d.]+) ms \((cold|warm) start\), "
        r"peak memory (?P<peak>\d+) of 1024 MB, nothing billed \(not on AWS\)",
        line,
    )
    assert shown is not None, line
    assert float(shown["duration"]) >= 300
    assert 150 < int(shown["peak"]) < 1024
    off = AWSLambdaContainerExecutor(
        **options, cache_dir=cache_dir, memory_size=1024, usage_report=False
    )
    assert run(off, work).stderr == printed
