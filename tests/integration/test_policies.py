"""Each generated policy allows what is needed and nothing that is not.

That the policies suffice, the other tests show: the local stack's dispatcher has the one that is
generated for dispatchers. Here, each action is taken away in turn, and the smallest piece of work
that needs it fails with AWS's words for it.
"""

from __future__ import annotations

import asyncio
import base64
import configparser
import contextlib
import hashlib
import io
import json
import re
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import covalent as ct
import docker
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.account import steps as account
from covalent_lambda_container.adapters.aws.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.registry.image_record import CONFIG_TYPE, MANIFEST_TYPE
from covalent_lambda_container.adapters.registry.layer_store import LAYER_TYPE
from covalent_lambda_container.adapters.registry.references import Reference
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.iam import administration, documents, running
from covalent_lambda_container.iam.documents import Deployment, Document
from covalent_lambda_container.model.names import OBJECT_PREFIX, OWN_TAG
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.ports.functions import FunctionMissing
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.electron import run

MB = 1024 * 1024
NAMES = Deployment(
    account="000000000000",
    region="us-east-1",
    bucket=Options().s3_bucket_name,
    repository=Options().ecr_repository,
    role=Options().lambda_role_name,
)
DISPATCHER = running.dispatcher(NAMES, reserves_concurrency=True)
CI = running.ci(NAMES)
EXECUTION_ROLE = running.execution_role(NAMES)
OPERATOR = administration.operator(NAMES)
KEPT = replace(NAMES, bucket="kept-bucket", repository="kept", role="Kept")
"""Names of another deployment, which is set up and removed."""
BOOTSTRAP = administration.bootstrap(KEPT)


@dataclass(frozen=True)
class Work:
    """Somebody with some policy, and the parts of the executor in his hands."""

    clients: AwsClients
    owner: Callable[[str], Any]
    engine: docker.DockerClient

    @property
    def registry(self) -> EcrRegistry:
        return EcrRegistry(self.clients, NAMES.repository)

    @property
    def functions(self) -> LambdaFunctions:
        return LambdaFunctions(self.clients)

    @property
    def bucket(self) -> S3Bucket:
        return S3Bucket(self.clients, NAMES.bucket)

    @contextlib.contextmanager
    def _pushed(self, login: RegistryLogin) -> Iterator[str]:
        """Push an image with a layer that nobody has pushed before; yield its tag."""
        repository = f"{self.clients.registry_host}/{NAMES.repository}"
        tag = uuid.uuid4().hex
        self.engine.api.import_image_from_data(_layer(tag), repository=repository, tag=tag)
        try:
            DockerEngine().push(f"{repository}:{tag}", login)
            yield tag
        finally:
            self.engine.images.remove(f"{repository}:{tag}")
            ids: Any = [{"imageTag": tag}]
            self.owner("ecr").batch_delete_image(repositoryName=NAMES.repository, imageIds=ids)

    def push(self) -> None:
        with self._pushed(EcrRegistry(self.clients, NAMES.repository).login()):
            pass

    def push_without_docker(self) -> None:
        """Upload an image that nobody has pushed before."""
        ecr = EcrRegistry(self.clients, NAMES.repository)
        host, tag = str(self.clients.registry_host), uuid.uuid4().hex
        reference = Reference(host=host, repository=NAMES.repository, version=tag)
        repository = Repository(reference, ecr.login, sleep=lambda _: None)
        blobs = [json.dumps({"architecture": "amd64", "tag": tag}).encode(), _layer(tag)]
        digests = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in blobs]
        for digest, content in zip(digests, blobs, strict=True):
            repository.upload(digest, len(content), partial(iter, [content]))
        config, layer = (
            {"digest": digest, "size": len(content)}
            for digest, content in zip(digests, blobs, strict=True)
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config | {"mediaType": CONFIG_TYPE},
            "layers": [layer | {"mediaType": LAYER_TYPE}],
        }
        repository.put_manifest(tag, MANIFEST_TYPE, json.dumps(manifest).encode())
        ids: Any = [{"imageTag": tag}]
        self.owner("ecr").batch_delete_image(repositoryName=NAMES.repository, imageIds=ids)

    def read_contents(self) -> None:
        answer = self.owner("ecr").get_authorization_token()
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"])
        username, _, password = token.decode().partition(":")
        with self._pushed(RegistryLogin(username=username, password=password)) as tag:
            self.registry.contents(tag)

    def make_function(self, role_arn: str = NAMES.role_arn) -> None:
        spec = _function(role_arn)
        try:
            self.functions.create(spec)
        finally:
            LambdaFunctionsOfOwner(self.owner).delete(spec.name)

    def reserve(self) -> None:
        with LambdaFunctionsOfOwner(self.owner).one() as name:
            self.functions.reserve(name, 1)

    def delete_function(self) -> None:
        with LambdaFunctionsOfOwner(self.owner).one() as name:
            self.functions.delete(name)

    def invoke(self) -> None:
        invoked = LambdaInvocations(self.clients).invoke("covalent-absent", b"{}", timeout_s=1)
        with contextlib.suppress(FunctionMissing):
            asyncio.run(invoked)

    def read_an_object(self) -> None:
        key = f"{OBJECT_PREFIX}{uuid.uuid4().hex}"
        self.owner("s3").put_object(Bucket=NAMES.bucket, Key=key, Body=b"content")
        try:
            assert self.bucket.read(key, lambda stream: stream.read()) == b"content"
        finally:
            self.owner("s3").delete_object(Bucket=NAMES.bucket, Key=key)

    def write_an_object(self, key: str = f"{OBJECT_PREFIX}written") -> None:
        try:
            self.bucket.put(key, b"content")
        finally:
            self.owner("s3").delete_object(Bucket=NAMES.bucket, Key=key)

    def break_off_a_large_object(self) -> None:
        key = f"{OBJECT_PREFIX}{uuid.uuid4().hex}"

        def pieces() -> Iterator[bytes]:
            for _ in range(40):
                yield bytes(MB)
            raise RuntimeError("broken off")

        with pytest.raises(RuntimeError, match="broken off"):
            self.bucket.put(key, pieces())
        s3 = self.owner("s3")
        left = s3.list_multipart_uploads(Bucket=NAMES.bucket, Prefix=key).get("Uploads", [])
        for upload in left:
            s3.abort_multipart_upload(Bucket=NAMES.bucket, Key=key, UploadId=upload["UploadId"])
        # The transfer library keeps the denial to itself.
        assert not left, "AccessDenied: s3:AbortMultipartUpload: parts are left"

    def read_logs(self, read: Callable[[FunctionLogs, str], Any]) -> None:
        """Read the log of a function that has one."""
        name = f"covalent-{uuid.uuid4().hex}"
        owner = self.owner("logs")
        owner.create_log_group(logGroupName=f"/aws/lambda/{name}")
        try:
            read(FunctionLogs(self.clients), name)
        finally:
            owner.delete_log_group(logGroupName=f"/aws/lambda/{name}")

    def keep_an_account(self) -> None:
        """Set an account up, change its settings, adopt it, and undo it."""
        ecr, iam, s3 = self.owner("ecr"), self.owner("iam"), self.owner("s3")
        resources = account.resources(self.clients, KEPT)
        account.apply(account.plan_bootstrap(resources), lambda _: None)
        s3.delete_bucket_tagging(Bucket=KEPT.bucket)
        # New buckets have it by themselves.
        s3.delete_public_access_block(Bucket=KEPT.bucket)
        for key in ("photograph", "another"):
            s3.put_object(Bucket=KEPT.bucket, Key=key, Body=b"")
        (found,) = ecr.describe_repositories(repositoryNames=[KEPT.repository])["repositories"]
        ecr.untag_resource(resourceArn=found["repositoryArn"], tagKeys=[OWN_TAG[0]])
        ecr.put_image_tag_mutability(repositoryName=KEPT.repository, imageTagMutability="MUTABLE")
        iam.untag_role(RoleName=KEPT.role, TagKeys=[OWN_TAG[0]])
        nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
        iam.update_assume_role_policy(RoleName=KEPT.role, PolicyDocument=nobody)
        iam.attach_role_policy(RoleName=KEPT.role, PolicyArn=MANAGED_POLICY)
        account.apply(account.plan_bootstrap(resources, adopt=True), lambda _: None)
        account.apply(account.plan_teardown(resources, force=True), lambda _: None)

    def write_logs(self, group: str = "/aws/lambda/covalent-policies") -> None:
        """Do what Lambda does in the name of the role."""
        logs = self.clients._session.client("logs", endpoint_url=self.clients.target.endpoint_url)
        stream = {"logGroupName": group, "logStreamName": "2026/11/24/[$LATEST]1"}
        try:
            logs.create_log_group(logGroupName=group)
            logs.create_log_stream(**stream)
            logs.put_log_events(**stream, logEvents=[{"timestamp": 1, "message": "line"}])
        finally:
            owner = self.owner("logs")
            with contextlib.suppress(owner.exceptions.ResourceNotFoundException):
                owner.delete_log_group(logGroupName=group)


MANAGED_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

NEEDED_FOR: dict[str, Callable[[Work], Any]] = {
    "ecr:BatchCheckLayerAvailability": Work.push,
    "ecr:BatchDeleteImage": lambda work: work.registry.remove("absent"),
    "ecr:BatchGetImage": lambda work: work.registry.find("absent"),
    "ecr:CompleteLayerUpload": Work.push,
    "ecr:DescribeImages": lambda work: work.registry.list_images(),
    "ecr:DescribeRepositories": lambda work: work.registry.ensure_repository(),
    "ecr:GetAuthorizationToken": lambda work: work.registry.login(),
    "ecr:GetDownloadUrlForLayer": Work.read_contents,
    "ecr:InitiateLayerUpload": Work.push,
    "ecr:PutImage": Work.push,
    "ecr:UploadLayerPart": Work.push,
    "iam:GetRole": lambda work: work.functions.role_arn(NAMES.role),
    "iam:PassRole": Work.make_function,
    "lambda:CreateFunction": Work.make_function,
    "lambda:DeleteFunction": Work.delete_function,
    "lambda:GetFunction": lambda work: work.functions.find("covalent-absent"),
    "lambda:InvokeFunction": Work.invoke,
    "lambda:ListTags": lambda work: work.functions.find("covalent-absent"),
    "lambda:ListFunctions": lambda work: work.functions.list_functions(),
    "lambda:PutFunctionConcurrency": Work.reserve,
    "lambda:TagResource": Work.make_function,
    "logs:CreateLogGroup": Work.write_logs,
    "logs:CreateLogStream": Work.write_logs,
    "logs:DescribeLogStreams": lambda work: work.read_logs(FunctionLogs.last_event),
    "logs:FilterLogEvents": lambda work: work.read_logs(
        lambda logs, name: list(logs.read(name, datetime.now(timezone.utc)))
    ),
    "logs:PutLogEvents": Work.write_logs,
    "s3:AbortMultipartUpload": Work.break_off_a_large_object,
    "s3:DeleteObject": lambda work: work.bucket.delete([f"{OBJECT_PREFIX}absent"]),
    "s3:GetObject": Work.read_an_object,
    "s3:ListBucket": lambda work: work.bucket.check(),
    "s3:PutObject": Work.write_an_object,
}
"""The smallest piece of work that cannot be done without an action."""


class LambdaFunctionsOfOwner:
    """Functions that the account's owner makes and removes."""

    def __init__(self, owner: Callable[[str], Any]) -> None:
        self._client = owner("lambda")

    @contextlib.contextmanager
    def one(self) -> Iterator[str]:
        spec = _function(NAMES.role_arn)
        self._client.create_function(
            FunctionName=spec.name,
            PackageType="Image",
            Code={"ImageUri": spec.image.uri},
            Role=spec.role_arn,
        )
        self._client.get_waiter("function_active_v2").wait(
            FunctionName=spec.name, WaiterConfig={"Delay": 1}
        )
        yield spec.name
        self.delete(spec.name)

    def delete(self, name: str) -> None:
        with contextlib.suppress(self._client.exceptions.ResourceNotFoundException):
            self._client.delete_function(FunctionName=name)


@pytest.fixture
def work(
    stack: Any, aws: Callable[[str], Any], tmp_path: Path
) -> Iterator[Callable[[Document], Work]]:
    """Make somebody with a policy, who is gone afterwards."""
    iam = aws("iam")
    user = f"limited-{uuid.uuid4().hex}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials_file = tmp_path / "credentials"
    content = configparser.RawConfigParser()
    content["default"] = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    with credentials_file.open("w") as file:
        content.write(file)
    target = AwsTarget(
        credentials_file=str(credentials_file),
        region=stack.region,
        endpoint_url=stack.endpoint_url,
    )
    with contextlib.closing(docker.from_env()) as engine:

        def with_policy(document: Document) -> Work:
            policy = json.dumps(document)
            iam.put_user_policy(UserName=user, PolicyName="only", PolicyDocument=policy)
            return Work(AwsClients(target), aws, engine)

        yield with_policy
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=user, PolicyName="only")
    iam.delete_user(UserName=user)


def denied(do: Callable[[], Any]) -> str:
    """Return what AWS, or the engine for it, says that was not allowed; empty if all was."""
    try:
        do()
    except (LambdaContainerError, ClientError, docker.errors.APIError, AssertionError) as exc:
        if not re.search(r"AccessDenied|denied|Forbidden|403", str(exc)):
            raise
        return str(exc)
    return ""


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
def test_each_action_is_needed(work: Callable[[Document], Work], document: Document, action: str):
    do = NEEDED_FOR[action]
    assert denied(lambda: do(work(document))) == ""
    refusal = denied(lambda: do(work(documents.without(document, action))))
    assert action in refusal or action.partition(":")[2] in refusal


PUSHES = [action for action, do in NEEDED_FOR.items() if do is Work.push]


@pytest.mark.parametrize("action", PUSHES)
def test_a_push_without_docker_needs_what_dockers_needs(
    work: Callable[[Document], Work], action: str
):
    pushes = DISPATCHER
    for other in {*documents.actions(DISPATCHER)} - {*PUSHES, "ecr:GetAuthorizationToken"}:
        pushes = documents.without(pushes, other)
    assert denied(lambda: work(pushes).push()) == ""
    assert denied(lambda: work(pushes).push_without_docker()) == ""
    refusal = denied(lambda: work(documents.without(pushes, action)).push_without_docker())
    # Whether a layer is there is asked by HEAD, and the answer to that has no text.
    assert (
        action.partition(":")[2] in refusal or "could not HEAD to the registry: HTTP 403" in refusal
    )


@pytest.fixture
def nothing_kept(stack: Any) -> Iterator[None]:
    """Neither before nor after a test is anything there of the other deployment."""
    target = AwsTarget(
        credentials_file=str(stack.credentials_file),
        profile=stack.owner_profile,
        region=stack.region,
        endpoint_url=stack.endpoint_url,
    )
    resources = account.resources(AwsClients(target), KEPT)

    def remove() -> None:
        for resource in resources:
            if resource.exists():
                resource.delete()

    remove()
    yield
    remove()


def test_an_identity_that_sets_an_account_up_can_undo_it(
    work: Callable[[Document], Work], nothing_kept: None
):
    work(BOOTSTRAP).keep_an_account()


# S3 encrypts every bucket by itself since 2023; the action is for endpoints that do not.
NEEDED = [a for a in documents.actions(BOOTSTRAP) if a != "s3:PutEncryptionConfiguration"]


@pytest.mark.slow
@pytest.mark.parametrize("action", NEEDED)
def test_each_action_is_needed_to_keep_an_account(
    work: Callable[[Document], Work], nothing_kept: None, action: str
):
    refusal = denied(work(documents.without(BOOTSTRAP, action)).keep_an_account)
    assert action in refusal or action.partition(":")[2] in refusal


OUT_OF_REACH: dict[str, tuple[Document, Callable[[Work], Any]]] = {
    "another repository": (
        DISPATCHER,
        lambda work: EcrRegistry(work.clients, "covalent-lambda-2").find("tag"),
    ),
    "another function": (DISPATCHER, lambda work: work.functions.find("payroll")),
    "another role": (
        DISPATCHER,
        lambda work: work.make_function(NAMES.role_arn.replace(NAMES.role, "Administrator")),
    ),
    "another object": (DISPATCHER, lambda work: work.write_an_object("results/table.csv")),
    "another bucket": (
        DISPATCHER,
        lambda work: S3Bucket(work.clients, "elsewhere").put(f"{OBJECT_PREFIX}key", b""),
    ),
    "tasks, for CI": (CI, Work.invoke),
    "data, for CI": (CI, Work.write_an_object),
    "functions, for a CI of images": (running.ci(NAMES, functions=False), Work.make_function),
    "pushes, for a dispatcher that does not build": (
        running.dispatcher(NAMES, builds=False),
        Work.push,
    ),
    "tasks, for the operator": (OPERATOR, Work.invoke),
    "data, for the operator": (OPERATOR, Work.read_an_object),
    "others' functions, to remove": (OPERATOR, lambda work: work.functions.delete("payroll")),
    "data, for functions": (EXECUTION_ROLE, Work.write_an_object),
    "others' logs, for functions": (
        EXECUTION_ROLE,
        lambda work: work.write_logs("/aws/lambda/payroll"),
    ),
}


@pytest.fixture(scope="module")
def elsewhere(aws: Callable[[str], Any]) -> Iterator[None]:
    """Another bucket."""
    aws("s3").create_bucket(Bucket="elsewhere")
    yield
    aws("s3").delete_bucket(Bucket="elsewhere")


@pytest.mark.parametrize("what", OUT_OF_REACH)
def test_it_does_not_reach(work: Callable[[Document], Work], what: str, elsewhere: None):
    document, do = OUT_OF_REACH[what]
    assert denied(lambda: do(work(document)))


def test_what_ci_makes_runs_for_a_dispatcher_that_does_not_build(
    work: Callable[[Document], Work], options: dict[str, Any], tmp_path: Path
):
    (tmp_path / "requirements.txt").write_text("iniconfig==2.1.0\n")
    given = options | {"credentials_file": str(tmp_path / "credentials"), "profile": "default"}
    work(CI)
    flags = ["--credentials-file", given["credentials_file"], "--profile", given["profile"]]
    flags += ["--region", given["region"], "--endpoint-url", given["endpoint_url"]]
    flags += ["--base-image", given["base_image"], "--json"]
    made = CliRunner().invoke(cli, ["prebuild", "-r", str(tmp_path / "requirements.txt"), *flags])
    assert made.exit_code == 0, made.output

    work(running.dispatcher(NAMES, builds=False))
    executor = AWSLambdaContainerExecutor(**given, cache_dir=str(tmp_path / "cache"))
    ended = run(executor, abs, -1, pip=ct.DepsPip(["iniconfig==2.1.0"]))
    assert ended.value == 1, ended.stderr


def test_the_dispatcher_of_the_local_stack_has_the_generated_policy(aws: Callable[[str], Any]):
    found = aws("iam").get_user_policy(UserName="covalent-lambda", PolicyName="allowed")
    assert found["PolicyDocument"] == DISPATCHER


def _function(role_arn: str) -> FunctionSpec:
    image = ImageReference(
        repository_uri=f"localhost/{NAMES.repository}", digest=f"sha256:{'0' * 64}"
    )
    return FunctionSpec(
        image=image,
        architecture="x86_64",
        role_arn=role_arn,
        memory_mb=128,
        timeout_s=1,
        ephemeral_storage_mb=512,
        environment=(),
        tags=(("run", uuid.uuid4().hex),),
    )


def _layer(content: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content.encode()))
    return packed.getvalue()
