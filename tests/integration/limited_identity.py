"""Somebody with some policy, and the work for which it is needed."""

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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from botocore.exceptions import ClientError

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
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.iam.documents import Deployment, Document
from covalent_lambda_container.local.stack import LocalStack
from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.ports.functions import FunctionMissing
from covalent_lambda_container.ports.registry import RegistryLogin

MB = 1024 * 1024
NAMES = Deployment(
    account="000000000000",
    region="us-east-1",
    bucket=Options().s3_bucket_name,
    repository=Options().ecr_repository,
    role=Options().lambda_role_name,
)


@dataclass(frozen=True)
class LimitedIdentity:
    """A user with some policy, and the parts of the executor with the user's credentials."""

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


@contextlib.contextmanager
def limited_identity(
    stack: LocalStack, aws: Callable[[str], Any], folder: Path
) -> Iterator[Callable[[Document], LimitedIdentity]]:
    """Yield a function that gives a user a policy; the user is gone afterwards.

    The user's credentials are in the file ``credentials`` of the folder.
    """
    iam = aws("iam")
    user = f"limited-{uuid.uuid4().hex}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials_file = folder / "credentials"
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

        def with_policy(document: Document) -> LimitedIdentity:
            policy = json.dumps(document)
            iam.put_user_policy(UserName=user, PolicyName="only", PolicyDocument=policy)
            return LimitedIdentity(AwsClients(target), aws, engine)

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
