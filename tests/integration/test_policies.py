"""Each generated policy allows what is needed, and nothing else.

That the policies suffice, the other tests show: the local stack's dispatcher has the one that is
generated for dispatchers. Here, each action is taken away in turn, and the smallest piece of work
that needs it fails with AWS's words for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from click.testing import CliRunner

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.adapters.aws.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.iam import administration, documents, running
from covalent_lambda_container.iam.documents import Document
from covalent_lambda_container.model.names import OBJECT_PREFIX
from tests.electron import run
from tests.integration.limited_identity import NAMES, LimitedIdentity, denied, limited_identity

DISPATCHER = running.dispatcher(NAMES, reserves_concurrency=True)
CI = running.ci(NAMES)
EXECUTION_ROLE = running.execution_role(NAMES)
OPERATOR = administration.operator(NAMES)

NEEDED_FOR: dict[str, Callable[[LimitedIdentity], Any]] = {
    "ecr:BatchCheckLayerAvailability": LimitedIdentity.push,
    "ecr:BatchDeleteImage": lambda identity: identity.registry.remove("absent"),
    "ecr:BatchGetImage": lambda identity: identity.registry.find("absent"),
    "ecr:CompleteLayerUpload": LimitedIdentity.push,
    "ecr:DescribeImages": lambda identity: identity.registry.list_images(),
    "ecr:DescribeRepositories": lambda identity: identity.registry.ensure_repository(),
    "ecr:GetAuthorizationToken": lambda identity: identity.registry.login(),
    "ecr:GetDownloadUrlForLayer": LimitedIdentity.read_contents,
    "ecr:InitiateLayerUpload": LimitedIdentity.push,
    "ecr:PutImage": LimitedIdentity.push,
    "ecr:UploadLayerPart": LimitedIdentity.push,
    "iam:GetRole": lambda identity: identity.functions.role_arn(NAMES.role),
    "iam:PassRole": LimitedIdentity.make_function,
    "lambda:CreateFunction": LimitedIdentity.make_function,
    "lambda:DeleteFunction": LimitedIdentity.delete_function,
    "lambda:GetFunction": lambda identity: identity.functions.find("covalent-absent"),
    "lambda:InvokeFunction": LimitedIdentity.invoke,
    "lambda:ListTags": lambda identity: identity.functions.find("covalent-absent"),
    "lambda:ListFunctions": lambda identity: identity.functions.list_functions(),
    "lambda:PutFunctionConcurrency": LimitedIdentity.reserve,
    "lambda:TagResource": LimitedIdentity.make_function,
    "logs:CreateLogGroup": LimitedIdentity.write_logs,
    "logs:CreateLogStream": LimitedIdentity.write_logs,
    "logs:DescribeLogStreams": lambda identity: identity.read_logs(FunctionLogs.last_event),
    "logs:FilterLogEvents": lambda identity: identity.read_logs(
        lambda logs, name: list(logs.read(name, datetime.now(timezone.utc)))
    ),
    "logs:PutLogEvents": LimitedIdentity.write_logs,
    "s3:AbortMultipartUpload": LimitedIdentity.break_off_a_large_object,
    "s3:DeleteObject": lambda identity: identity.bucket.delete([f"{OBJECT_PREFIX}absent"]),
    "s3:GetObject": LimitedIdentity.read_an_object,
    "s3:ListBucket": lambda identity: identity.bucket.check(),
    "s3:PutObject": LimitedIdentity.write_an_object,
}
"""The smallest piece of work that cannot be done without an action."""


@pytest.fixture
def identity(
    stack: Any, aws: Callable[[str], Any], tmp_path: Path
) -> Iterator[Callable[[Document], LimitedIdentity]]:
    """Makes a user with a policy, whose credentials are in ``tmp_path / "credentials"``."""
    with limited_identity(stack, aws, tmp_path) as with_policy:
        yield with_policy


@pytest.fixture(scope="module")
def seen_allowed() -> set[Any]:
    """Work that policies were seen to allow: it is not repeated for each of their actions."""
    return set()


CASES = [
    pytest.param(document, action, id=f"{name}-{action}")
    for name, document in (
        ("dispatcher", DISPATCHER),
        ("ci", CI),
        ("execution-role", EXECUTION_ROLE),
        ("operator", OPERATOR),
    )
    for action in documents.actions(document)
]


@pytest.mark.parametrize(("document", "action"), CASES)
def test_each_action_is_needed(
    identity: Callable[[Document], LimitedIdentity],
    document: Document,
    action: str,
    seen_allowed: set[Any],
):
    do = NEEDED_FOR[action]
    # Several actions are needed for the same work.
    if (id(document), do) not in seen_allowed:
        assert denied(lambda: do(identity(document))) == ""
        seen_allowed.add((id(document), do))
    refusal = denied(lambda: do(identity(documents.without(document, action))))
    assert action in refusal or action.partition(":")[2] in refusal


PUSHES = tuple(action for action, do in NEEDED_FOR.items() if do is LimitedIdentity.push)


@pytest.mark.parametrize("action", PUSHES)
def test_a_push_without_docker_needs_the_same_permissions(
    identity: Callable[[Document], LimitedIdentity], action: str, seen_allowed: set[Any]
):
    pushes = DISPATCHER
    for other in {*documents.actions(DISPATCHER)} - {*PUSHES, "ecr:GetAuthorizationToken"}:
        pushes = documents.without(pushes, other)
    if PUSHES not in seen_allowed:
        assert denied(lambda: identity(pushes).push()) == ""
        assert denied(lambda: identity(pushes).push_without_docker()) == ""
        seen_allowed.add(PUSHES)
    refusal = denied(lambda: identity(documents.without(pushes, action)).push_without_docker())
    # Whether a layer is there is asked by HEAD, and the answer to that has no text.
    assert (
        action.partition(":")[2] in refusal or "could not HEAD to the registry: HTTP 403" in refusal
    )


OUT_OF_REACH: dict[str, tuple[Document, Callable[[LimitedIdentity], Any]]] = {
    "another repository": (
        DISPATCHER,
        lambda identity: EcrRegistry(identity.clients, "covalent-lambda-2").find("tag"),
    ),
    "another function": (DISPATCHER, lambda identity: identity.functions.find("payroll")),
    "another role": (
        DISPATCHER,
        lambda identity: identity.make_function(
            NAMES.role_arn.replace(NAMES.role, "Administrator")
        ),
    ),
    "another object": (DISPATCHER, lambda identity: identity.write_an_object("results/table.csv")),
    "another bucket": (
        DISPATCHER,
        lambda identity: S3Bucket(identity.clients, "elsewhere").put(f"{OBJECT_PREFIX}key", b""),
    ),
    "tasks, for CI": (CI, LimitedIdentity.invoke),
    "data, for CI": (CI, LimitedIdentity.write_an_object),
    "functions, for a CI of images": (
        running.ci(NAMES, functions=False),
        LimitedIdentity.make_function,
    ),
    "pushes, for a dispatcher that does not build": (
        running.dispatcher(NAMES, builds=False),
        LimitedIdentity.push,
    ),
    "tasks, for the operator": (OPERATOR, LimitedIdentity.invoke),
    "data, for the operator": (OPERATOR, LimitedIdentity.read_an_object),
    "others' functions, to remove": (
        OPERATOR,
        lambda identity: identity.functions.delete("payroll"),
    ),
    "data, for functions": (EXECUTION_ROLE, LimitedIdentity.write_an_object),
    "others' logs, for functions": (
        EXECUTION_ROLE,
        lambda identity: identity.write_logs("/aws/lambda/payroll"),
    ),
}


@pytest.fixture(scope="module")
def elsewhere(aws: Callable[[str], Any]) -> Iterator[None]:
    """Another bucket."""
    aws("s3").create_bucket(Bucket="elsewhere")
    yield
    aws("s3").delete_bucket(Bucket="elsewhere")


@pytest.mark.parametrize("what", OUT_OF_REACH)
def test_it_does_not_reach(
    identity: Callable[[Document], LimitedIdentity], what: str, elsewhere: None
):
    document, do = OUT_OF_REACH[what]
    assert denied(lambda: do(identity(document)))


def test_a_dispatcher_that_does_not_build_runs_images_of_ci(
    identity: Callable[[Document], LimitedIdentity], options: dict[str, Any], tmp_path: Path
):
    (tmp_path / "requirements.txt").write_text("iniconfig==2.1.0\n")
    given = options | {"credentials_file": str(tmp_path / "credentials"), "profile": "default"}
    identity(CI)
    flags = ["--credentials-file", given["credentials_file"], "--profile", given["profile"]]
    flags += ["--region", given["region"], "--endpoint-url", given["endpoint_url"]]
    flags += ["--base-image", given["base_image"], "--json"]
    made = CliRunner().invoke(cli, ["prebuild", "-r", str(tmp_path / "requirements.txt"), *flags])
    assert made.exit_code == 0, made.output

    identity(running.dispatcher(NAMES, builds=False))
    executor = AWSLambdaContainerExecutor(**given, cache_dir=str(tmp_path / "cache"))
    ended = run(executor, abs, -1, pip=ct.DepsPip(["iniconfig==2.1.0"]))
    assert ended.value == 1, ended.stderr


def test_the_dispatcher_of_the_local_stack_has_the_generated_policy(aws: Callable[[str], Any]):
    found = aws("iam").get_user_policy(UserName="covalent-lambda", PolicyName="allowed")
    assert found["PolicyDocument"] == DISPATCHER
