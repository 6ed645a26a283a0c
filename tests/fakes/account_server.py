"""An AWS account behind HTTP, with one image, whose functions answer every task alike."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from functools import partial
from typing import Any

import cloudpickle
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor
from tests.fakes.aws_server import Answer, Request

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
    "<Arn>{}</Arn>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class Account:
    """One account with one image, whose functions answer every task alike.

    Attributes
    ----------
    requests
        Operation, path and content of every request, as they would leave.
    caller
        ARN of the sender of the requests; without one, AWS STS refuses to answer.
    reserved
        Executions reserved, by function.
    answer
        Answer to each task.
    log
        Text of each invocation's log.
    memory_mb
        Memory that a task needs: it is killed on functions with less.
    deletions
        How many of the next requests of an operation find that the function was deleted a moment
        before.
    deleted_before
        That operation.
    pings_at_once
        As many pings must run at once before one of them is answered.
    """

    def __init__(self) -> None:
        self.caller = "arn:aws:iam::123456789012:user/me"
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
        self.memory_mb = 0
        self.pings_at_once = threading.Barrier(1)
        self.refuses_pings = False
        self.deletions = 0
        self.deleted_before = "Invoke"

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
            status = 200 if self.caller else 403
            return status, {}, CALLER.format(self.caller).encode()
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
        if operation == self.deleted_before and self.deletions:
            self.deletions -= 1
            self.functions.clear()
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
        if any(
            made["FunctionName"] == name and made["MemorySize"] < self.memory_mb
            for made in self.sent("CreateFunction")
        ):
            said = {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}
            return 200, {"x-amz-function-error": "Unhandled"}, said
        log = {"x-amz-log-result": base64.b64encode(self.log.encode()).decode()}
        return 200, log, self.answer


def run(executor: Any) -> tuple[Any, str, str]:
    """Run one task as Covalent's dispatcher would; return its value, stdout and stderr."""
    result, stdout, stderr = run_unopened(executor)
    return (result.get_deserialized() if result else None), stdout, stderr


def run_unopened(executor: Any) -> tuple[Any, str, str]:
    """Do the same, and return a TransportableObject, or None, instead of the value."""
    assembled = partial(wrapper_fn, TransportableObject(abs), [], [])

    async def execute() -> Any:
        executor._init_runtime()
        return await executor.execute(
            assembled, [TransportableObject(-5)], {}, "dispatch", "/nowhere", 0
        )

    result, stdout, stderr, _ = asyncio.run(execute())
    return result, stdout, stderr
