"""Options that shape a function: from the executor to the requests that leave for AWS."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container import service as service_module
from covalent_lambda_container.aws import AwsClients, AwsTarget
from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.errors import (
    ConfigurationError,
    InvocationError,
    ProvisionError,
)
from covalent_lambda_container.invocation import Outcome
from covalent_lambda_container.lambda_functions import LambdaFunctions
from covalent_lambda_container.options import Options
from covalent_lambda_container.ports import (
    ACTIVE,
    ConnectionLost,
    FunctionMissing,
    FunctionState,
    NotAccepted,
    Reply,
)
from covalent_lambda_container.service import prewarm
from tests.fakes import FakeClock, FakeFunctions
from tests.fakes.aws_http import FakeAwsHttp
from tests.fakes.aws_server import Answer, FakeAwsServer, Request

Executor: Any = AWSLambdaContainerExecutor

URL = "https://aws.example.com"
ROLE = "arn:aws:iam::123456789012:role/CovalentLambdaExecutionRole"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ACCESS_POINT = (
    "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-0123456789abcdef0"
)
VPC: dict[str, Any] = {"subnet_ids": ["subnet-0b", "subnet-0a"], "security_group_ids": ["sg-0f"]}
MOUNT = {"arn": ACCESS_POINT, "mount_path": "/mnt/data-1_a.b"}
USAGE = {"cold": True, "duration_ms": 1234.5, "peak_memory_mb": 100.4}
REPORT = (
    "REPORT RequestId: 1-2\tDuration: 1240.10 ms\tBilled Duration: 2001 ms\tMemory Size: 512 MB\t\n"
)


CALLER = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult>"
    "<Arn>arn:aws:iam::123456789012:user/me</Arn>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class Account:
    """One account with one image, whose functions answer every task alike.

    Attributes
    ----------
    requests
        Operation, path and content of every request, as they would leave.
    reserved
        Executions reserved, by function.
    answer
        What a task answers.
    log
        Text of each invocation's log.
    pings_at_once
        As many pings must be under way together before one of them is answered.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.functions: list[str] = []
        self.reserved: dict[str, int] = {}
        self.answer: dict[str, Any] = {
            "v": 1,
            "status": "completed",
            "result": {
                "header": {},
                "string": "5",
                "pickle": base64.b64encode(cloudpickle.dumps(5)).decode(),
            },
            "stdout": "",
            "stderr": "",
            "error": None,
            "usage": USAGE,
        }
        self.log = ""
        self.pings_at_once = threading.Barrier(1)
        self.refuses_pings = False

    def sent(self, operation: str) -> list[Any]:
        return [content for name, _, content in self.requests if name == operation]

    @property
    def operations(self) -> list[str]:
        names = [
            "Ping" if name == "Invoke" and content.get("ping") else name
            for name, _, content in self.requests
        ]
        return [n for n in names if not n.startswith(("Head", "Describe", "BatchGet", "GetCaller"))]

    def handle(self, request: Request) -> Answer:
        operation, path, content = request.operation, request.path, request.content
        self.requests.append((operation, path, content))
        if operation == "GetCallerIdentity":
            return 200, {}, CALLER.encode()
        status, headers, answered = self._answered(operation, path, content)
        return status, headers, json.dumps(answered).encode() if answered else b""

    def _answered(
        self, operation: str, path: str, content: Any
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        if operation == "BatchGetImage":
            (first, *_) = content["imageIds"]
            image_id = first | {"imageDigest": f"sha256:{'0' * 64}"}
            image = {"registryId": "123456789012", "imageId": image_id}
            return 200, {}, {"images": [image], "failures": []}
        if operation == "HeadBucket":
            return 200, {}, {}
        if operation == "CreateFunction":
            self.functions.append(content["FunctionName"])
            return 201, {}, {}
        name = path.split("/")[3]
        if name not in self.functions:
            return 404, {"x-amzn-errortype": "ResourceNotFoundException"}, {}
        if operation == "PutFunctionConcurrency":
            self.reserved[name] = content["ReservedConcurrentExecutions"]
            return 200, {}, {}
        if operation == "GetFunction":
            there = {"Configuration": {"FunctionName": name, "State": "Active"}}
            if name in self.reserved:
                there["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved[name]}
            return 200, {}, there
        assert operation == "Invoke"
        if content.get("ping"):
            if self.refuses_pings:
                return 429, {"x-amzn-errortype": "TooManyRequestsException"}, {}
            self.pings_at_once.wait(timeout=10)
            return 200, {}, {"v": 1, "pong": True, "cold": True}
        log = {"x-amz-log-result": base64.b64encode(self.log.encode()).decode()}
        return 200, log, self.answer


# boto3 takes a tenth of a second for a client: they serve all tests here.
@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("aws") / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    return str(path)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAwsServer]:
    with FakeAwsServer() as server:
        yield server


@pytest.fixture
def account(server: FakeAwsServer) -> Account:
    """An account at the endpoint that an executor with `given` uses."""
    account = Account()
    service_module._readied_for.cache_clear()
    server.answer = account.handle
    return account


@pytest.fixture
def given(server: FakeAwsServer, credentials: str, tmp_path: Path) -> dict[str, Any]:
    """Options that lead to the account."""
    return {
        "credentials_file": credentials,
        "region": "eu-central-1",
        "endpoint_url": server.url,
        "lambda_role_name": ROLE,
        "cache_dir": str(tmp_path / "cache"),
    }


def run(executor: Any) -> tuple[Any, str, str]:
    """Run one task as Covalent's dispatcher would; return its value, stdout and stderr."""
    assembled = partial(wrapper_fn, TransportableObject(abs), [], [])

    async def execute() -> Any:
        executor._init_runtime()
        return await executor.execute(
            assembled, [TransportableObject(-5)], {}, "dispatch", "/nowhere", 0
        )

    result, stdout, stderr, _ = asyncio.run(execute())
    return (result.get_deserialized() if result else None), stdout, stderr


def created(account: Account, given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the content of the CreateFunction that an executor with these options sends."""
    run(Executor(**given, **options))
    content: dict[str, Any] = account.sent("CreateFunction")[-1]
    return content


# -- the request that makes a function ------------------------------------------------------------


def test_without_options_a_function_has_no_network_no_mount_and_no_key(
    account: Account, given: dict[str, Any]
) -> None:
    content = created(account, given)
    assert content.keys() == {
        *("FunctionName", "PackageType", "Code", "Role", "Architectures", "MemorySize", "Timeout"),
        *("EphemeralStorage", "Environment", "Tags", "Description"),
    }
    assert account.operations == ["GetFunction", "CreateFunction", "GetFunction", "Invoke"]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (
            VPC,
            {
                "VpcConfig": {
                    "SubnetIds": ["subnet-0a", "subnet-0b"],
                    "SecurityGroupIds": ["sg-0f"],
                }
            },
        ),
        (
            VPC | {"file_system": MOUNT},
            {
                "FileSystemConfigs": [
                    {"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/data-1_a.b"},
                ]
            },
        ),
        ({"kms_key_arn": KEY}, {"KMSKeyArn": KEY}),
        ({"ephemeral_storage": 10240}, {"EphemeralStorage": {"Size": 10240}}),
        ({"environment": {"MODE": "fäst"}}, {"Environment": {"Variables": {"MODE": "fäst"}}}),
        (
            {"tags": {"team": "Müller + Co"}},
            {
                "Tags": {
                    "team": "Müller + Co",
                    "made-by": "covalent-lambda-container",
                    "made-by-identity": "arn:aws:iam::123456789012:user/me",
                }
            },
        ),
    ],
)
def test_an_option_is_in_the_request(
    account: Account, given: dict[str, Any], options: dict[str, Any], sent: dict[str, Any]
) -> None:
    content = created(account, given, **options)
    assert content | sent == content


def test_every_option_of_a_function_takes_part_in_its_name(
    account: Account, given: dict[str, Any]
) -> None:
    variants: list[dict[str, Any]] = [
        {},
        VPC,
        VPC | {"subnet_ids": ["subnet-0a"]},
        VPC | {"security_group_ids": ["sg-0e"]},
        VPC | {"file_system": MOUNT},
        VPC | {"file_system": MOUNT | {"mount_path": "/mnt/other"}},
        VPC | {"file_system": MOUNT | {"arn": ACCESS_POINT[:-1] + "f"}},
        {"kms_key_arn": KEY},
        {"reserved_concurrency": 5},
        {"reserved_concurrency": 6},
        {"ephemeral_storage": 513},
        {"environment": {"MODE": "fast"}},
        {"tags": {"team": "physics"}},
    ]
    for options in variants:
        run(Executor(**given, **options))
    assert len(set(account.functions)) == len(account.functions) == len(variants)


def test_order_and_duplicates_of_networks_make_no_other_function(
    account: Account, given: dict[str, Any]
) -> None:
    for subnets in (["subnet-0a", "subnet-0b"], ["subnet-0b", "subnet-0a", "subnet-0b"]):
        run(Executor(**given, **VPC | {"subnet_ids": subnets}))
    assert len(account.functions) == 1


def test_what_concerns_tasks_only_makes_no_other_function(
    account: Account, given: dict[str, Any]
) -> None:
    for options in ({}, {"prewarm": 1}, {"usage_report": False}):
        run(Executor(**given, **options))
    assert len(account.functions) == 1


# -- reserved concurrency -------------------------------------------------------------------------


def test_concurrency_is_reserved_after_the_function_was_made(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    (name,) = account.functions
    (put,) = [request for request in account.requests if request[0] == "PutFunctionConcurrency"]
    assert put[1:] == (
        f"/2017-10-31/functions/{name}/concurrency",
        {"ReservedConcurrentExecutions": 7},
    )
    operations = account.operations
    assert operations[1] == "CreateFunction"
    assert operations[-2:] == ["PutFunctionConcurrency", "Invoke"]


def test_concurrency_is_reserved_once_per_process(account: Account, given: dict[str, Any]) -> None:
    for _ in range(2):
        run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("PutFunctionConcurrency") == 1
    assert account.operations.count("CreateFunction") == 1


def test_a_reservation_that_another_process_left_out_is_made_up_for(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    account.reserved.clear()
    service_module._readied_for.cache_clear()
    service_module._service.cache_clear()
    run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("CreateFunction") == 1
    assert set(account.reserved.values()) == {7}


def test_a_function_that_was_deleted_gets_its_reservation_again(
    account: Account, given: dict[str, Any]
) -> None:
    executor = Executor(**given, reserved_concurrency=7)
    run(executor)
    account.functions.clear()
    account.reserved.clear()
    run(executor)
    assert len(account.functions) == len(account.reserved) == 1


@pytest.fixture(scope="module")
def clients(credentials: str) -> AwsClients:
    return AwsClients(
        AwsTarget(credentials_file=credentials, region="eu-central-1", endpoint_url=URL)
    )


@pytest.fixture
def aws(clients: AwsClients) -> Iterator[FakeAwsHttp]:
    answers = FakeAwsHttp()
    with answers.behind(clients.functions):
        yield answers


@pytest.fixture
def functions(clients: AwsClients, clock: FakeClock) -> LambdaFunctions:
    return LambdaFunctions(clients, sleep=clock.sleep, now=clock.now)


def test_what_is_reserved_already_is_left_alone(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.json({"Concurrency": {"ReservedConcurrentExecutions": 7}})
    functions.reserve("name", 7)
    assert aws.operations == ["GetFunction"]


def test_another_change_of_the_function_is_waited_for(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    aws.json({})
    aws.error("ResourceConflictException", status=409)
    aws.json({"Concurrency": {"ReservedConcurrentExecutions": 6}})
    aws.json({"ReservedConcurrentExecutions": 7})
    functions.reserve("name", 7)
    assert aws.operations == ["GetFunction", "PutFunctionConcurrency"] * 2
    assert len(clock.sleeps) == 1


def test_another_change_is_not_waited_for_without_end(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(100):
        aws.error("ResourceConflictException", status=409)
    with pytest.raises(ProvisionError, match="ResourceConflictException"):
        functions.reserve("name", 7)
    assert 30 < clock.now() < 32


def test_a_reservation_that_lambda_refuses_is_an_error_with_its_reason(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.json({})
    aws.error("InvalidParameterValueException", "below its minimum value of [100]")
    with pytest.raises(ProvisionError, match=r"'name'.*below its minimum value of \[100\]"):
        functions.reserve("name", 7)


def test_no_reservation_for_a_function_that_is_gone(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.error("ResourceNotFoundException", status=404)
    with pytest.raises(FunctionMissing):
        functions.reserve("name", 7)


# -- prewarm --------------------------------------------------------------------------------------


def test_environments_are_started_at_once_before_the_first_task(
    account: Account, given: dict[str, Any]
) -> None:
    account.pings_at_once = threading.Barrier(5)
    assert run(Executor(**given, prewarm=5))[0] == 5
    assert account.operations[-6:] == ["Ping"] * 5 + ["Invoke"]
    assert account.sent("Invoke")[0] == {"v": 1, "ping": True, "hold_s": 0.2}


def test_a_function_is_warmed_once_per_process(account: Account, given: dict[str, Any]) -> None:
    for poll_freq in (5, 6):
        run(Executor(**given, prewarm=2, poll_freq=poll_freq))
    assert account.operations.count("Ping") == 2
    assert account.operations.count("Invoke") == 2


def test_a_function_that_was_made_again_is_warmed_again(
    account: Account, given: dict[str, Any]
) -> None:
    executor = Executor(**given, prewarm=2)
    run(executor)
    account.functions.clear()
    run(executor)
    assert account.operations[-3:] == ["Ping", "Ping", "Invoke"]


def test_a_ping_that_fails_fails_no_task(account: Account, given: dict[str, Any]) -> None:
    account.refuses_pings = True
    assert run(Executor(**given, prewarm=3))[0] == 5
    assert account.operations.count("Ping") == 3


class Troubled(FakeFunctions):
    """Functions that meet the first invocation with an exception or an answer of ours."""

    def __init__(self, clock: FakeClock, trouble: Exception | Reply) -> None:
        super().__init__(clock)
        self._troubles = [trouble]

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        if not self._troubles:
            return await super().invoke(name, event, timeout_s=timeout_s)
        trouble = self._troubles.pop()
        if isinstance(trouble, Exception):
            raise trouble
        return trouble


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What the service warns of."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    service_module.log.addHandler(handler)
    yield messages
    service_module.log.removeHandler(handler)


def test_pings_start_environments_and_find_them_again(clock: FakeClock, warned: list[str]) -> None:
    with FakeFunctions(clock) as functions:
        functions.states["name"] = FunctionState(state=ACTIVE)
        assert asyncio.run(prewarm(functions, "name", 3, timeout_s=60)) == 3
        assert functions.environments == 3
        assert asyncio.run(prewarm(functions, "name", 3, timeout_s=60)) == 0
        assert asyncio.run(prewarm(functions, "name", 0, timeout_s=60)) == 0
        assert functions.environments == 3
    assert warned == []


@pytest.mark.parametrize(
    "trouble",
    [
        NotAccepted("TooManyRequestsException: Rate Exceeded."),
        ConnectionLost("Connection was closed"),
        FunctionMissing("name"),
        InvocationError("invoke function 'name': AWS answered AccessDenied"),
        ZeroDivisionError(),
        Reply(payload={"errorMessage": "no"}, function_error="Unhandled"),
        Reply(payload={"v": 1, "result_at": "s3"}),
        Reply(payload={"v": 1, "pong": True}),
        Reply(payload={"v": 1, "cold": True}),
        Reply(payload=[]),  # type: ignore[arg-type]
    ],
)
def test_a_ping_that_fails_is_logged_and_not_counted(
    clock: FakeClock, warned: list[str], trouble: Exception | Reply
) -> None:
    with Troubled(clock, trouble) as functions:
        functions.states["name"] = FunctionState(state=ACTIVE)
        assert asyncio.run(prewarm(functions, "name", 2, timeout_s=60)) == 1
    (message,) = warned
    assert "unction name " in message


# -- usage report ---------------------------------------------------------------------------------


def test_stderr_ends_with_what_the_task_used(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    warning, line, nothing = run(Executor(**given))[2].split("\n")
    assert warning == "a warning"
    assert line.startswith("Lambda usage: 1234.5 ms (cold start), billed about 1235 ms")
    assert "100 of 512 MB" in line
    assert nothing == ""


def test_the_report_is_all_there_is_of_a_quiet_task(
    account: Account, given: dict[str, Any]
) -> None:
    (line,) = run(Executor(**given))[2].splitlines()
    assert line.startswith("Lambda usage: ")


def test_what_lambda_bills_goes_before_what_was_measured() -> None:
    executor = Executor()
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    executor._write_streams(Outcome(completed=True, usage=USAGE, log_tail=REPORT))
    assert "billed 2001 ms," in executor.task_stderr.getvalue()


def test_what_lambda_bills_is_read_from_the_invocations_log(
    account: Account, given: dict[str, Any]
) -> None:
    account.log = f"START\n{REPORT}"
    assert "billed 2001 ms," in run(Executor(**given))[2]


def test_the_report_is_a_line_of_its_own(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "no end of line"
    first, second, _ = run(Executor(**given))[2].split("\n")
    assert first == "no end of line"
    assert second.startswith("Lambda usage: ")


def test_the_report_knows_the_functions_options(account: Account, given: dict[str, Any]) -> None:
    plain = run(Executor(**given))[2]
    for other in ({"memory_size": 1024}, {"architecture": "arm64"}, {"ephemeral_storage": 10240}):
        assert run(Executor(**given, **other))[2] != plain


def test_a_task_that_raised_has_its_report_after_the_traceback(
    account: Account, given: dict[str, Any]
) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback…\nValueError: no\n"}
    account.answer |= {"status": "failed", "result": None, "error": error}
    lines = run(Executor(**given))[2].splitlines()
    assert lines[:2] == ["Traceback…", "ValueError: no"]
    assert lines[2].startswith("Lambda usage: ")
    assert len(lines) == 3


def test_the_report_can_be_switched_off(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    assert run(Executor(**given, usage_report=False))[2] == "a warning\n"


def test_nothing_is_reported_of_an_answer_without_usage(
    account: Account, given: dict[str, Any]
) -> None:
    account.answer["usage"] = {}
    assert run(Executor(**given))[2] == ""


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("subnet_ids", ["subnet-0a", "vpc-1"], "'vpc-1': String should match pattern '^subnet-"),
        ("subnet_ids", ["subnet-0A"], "'^subnet-[0-9a-f]+$'"),
        ("subnet_ids", ["subnet-0a\n"], "'^subnet-[0-9a-f]+$'"),
        ("subnet_ids", "subnet-0a", "list"),
        ("subnet_ids", [f"subnet-{n}" for n in range(17)], "at most 16"),
        ("security_group_ids", ["sg-0G"], "'^sg-[0-9a-f]+$'"),
        ("security_group_ids", [f"sg-{n}" for n in range(6)], "at most 5"),
        ("kms_key_arn", "alias/mine", "arn:aws"),
        ("kms_key_arn", KEY + "\n", "arn:aws"),
        ("reserved_concurrency", -1, "greater than or equal to 0"),
        ("reserved_concurrency", 1.5, "integer"),
        ("reserved_concurrency", True, "integer"),
        ("prewarm", -1, "greater than or equal to 0"),
        ("prewarm", 1001, "0 to 1000"),
        ("prewarm", "2", "integer"),
        ("usage_report", 1, "boolean"),
        ("usage_report", "no", "boolean"),
        ("tags", {str(n): "" for n in range(49)}, "49 tags; AWS takes at most 50, of which 2 are"),
        ("tags", {"made-by": "x"}, "key 'made-by' is one of the executor's own"),
        ("tags", {"": "x"}, "key '' should have 1 to 128 characters"),
        ("tags", {"k" * 129: "x"}, "should have 1 to 128 characters"),
        ("tags", {"k": "v" * 257}, "the value of 'k' should have at most 256 characters"),
        ("tags", {"aws:cost": "x"}, "key 'aws:cost' begins with aws:"),
        ("tags", {"AWS:cost": "x"}, "key 'AWS:cost' begins with aws:"),
        ("tags", {"a,b": "x"}, "'a,b' should hold only letters, numbers, spaces and _.:/=+-@"),
        ("tags", {"k": "a\nb"}, "should hold only letters"),
    ],
)
def test_a_bad_value_is_refused_by_name_value_and_range(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"AWSLambdaContainerExecutor option {name}=")
    assert said in message
    assert str(Options.model_fields[name].description) in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"subnet_ids": ["subnet-0a"]}, "security_group_ids=[]: should be given together with"),
        ({"security_group_ids": ["sg-0f"]}, "security_group_ids=['sg-0f']: should be given toge"),
        ({"file_system": MOUNT}, "should be given together with subnet_ids"),
        ({"reserved_concurrency": 3, "prewarm": 4}, "prewarm=4: should be at most reserved_"),
    ],
)
def test_options_that_need_one_another_are_refused_alone(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**options)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_missing_is_missed_where_nothing_was_said_of_it() -> None:
    with pytest.raises(ConfigurationError, match=r"security_group_ids=\[\]: should be given toge"):
        Options.check({"subnet_ids": ["subnet-0a"]})


def test_a_wrong_subnet_is_told_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**VPC | {"subnet_ids": ["vpc-1"], "file_system": MOUNT})
    (line,) = str(caught.value).splitlines()
    assert "option subnet_ids='vpc-1'" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arn": ACCESS_POINT[:-1]}, "arn should be an EFS access point's"),
        ({"arn": ACCESS_POINT + "0"}, "arn should be an EFS access point's"),
        ({"arn": ACCESS_POINT.replace("elasticfilesystem", "s3")}, "arn should be"),
        ({"arn": ACCESS_POINT + "\n"}, "arn should be"),
        ({"mount_path": "/mnt"}, "mount_path should be /mnt/ and a name"),
        ({"mount_path": "/mnt/"}, "mount_path should be"),
        ({"mount_path": "/mnt/a/b"}, "mount_path should be"),
        ({"mount_path": "/tmp/a"}, "mount_path should be"),
        ({"mount_path": "/mnt/a\n"}, "mount_path should be"),
        ({"mount_path": "/mnt/" + "a" * 156}, "at most 160 characters"),
        ({"read_only": "true"}, "should have the keys arn and mount_path, and no others"),
    ],
)
def test_a_bad_mount_is_refused_by_name_value_and_range(changes: Any, said: str) -> None:
    value = MOUNT | changes
    with pytest.raises(ConfigurationError) as caught:
        Executor(**VPC, file_system=value)
    assert f"option file_system={value!r}: " in str(caught.value)
    assert said in str(caught.value)


def test_an_environment_over_lambdas_limit_is_refused_without_its_values() -> None:
    # {"NAME":"…"} has eleven characters beside the value.
    assert Executor(environment={"NAME": "x" * 4085}).environment
    with pytest.raises(ConfigurationError) as caught:
        Executor(environment={"NAME": "x" * 4086})
    assert "environment: all variables together have 4097 bytes" in str(caught.value)
    assert "at most 4096" in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_the_limit_of_the_environment_is_one_of_bytes() -> None:
    with pytest.raises(ConfigurationError, match="4099 bytes"):
        Executor(environment={"NAME": "ä" * 2044})


@pytest.mark.parametrize(
    "options",
    [
        {"subnet_ids": [f"subnet-{n}" for n in range(16)], "security_group_ids": ["sg-1"]},
        VPC | {"file_system": MOUNT},
        VPC | {"file_system": MOUNT | {"mount_path": "/mnt/" + "a" * 155}},
        VPC
        | {
            "file_system": MOUNT
            | {"arn": ACCESS_POINT.replace("aws:", "aws-us-gov:").replace("eu-c", "us-gov-c")}
        },
        {"kms_key_arn": KEY.replace("key/", "key/mrk-")},
        {"kms_key_arn": KEY.replace("arn:aws:", "arn:aws-cn:")},
        {"reserved_concurrency": 1, "prewarm": 1},
        {"prewarm": 1000},
        {"tags": {str(n): "" for n in range(48)}},
        {"tags": {"k" * 128: "v" * 256, "Ärger / _.:=+-@ 1": "日本 ½"}},
        {"tags": {"team": "aws"}},
    ],
)
def test_values_at_the_limits_are_taken(options: dict[str, Any]) -> None:
    executor = Executor(**options)
    stored = json.loads(json.dumps(executor.to_dict()))
    again = Executor()
    again.from_dict(stored)
    assert again._options() == executor._options()
    assert {name: executor.__dict__[name] for name in options} == options
