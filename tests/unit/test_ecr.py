"""ECR: absence is what AWS calls absence, and an image Lambda cannot take is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.aws import AwsClients, AwsTarget
from covalent_lambda_container.ecr import EcrRegistry
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.spec import ImageReference
from tests.fakes.aws_http import FakeAwsHttp

URI = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/covalent-lambda"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> AwsClients:
    path: Path = tmp_path_factory.mktemp("aws") / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    return AwsClients(AwsTarget(credentials_file=str(path), region="eu-central-1"))


@pytest.fixture
def aws(clients: AwsClients) -> Iterator[FakeAwsHttp]:
    answers = FakeAwsHttp()
    with answers.behind(clients.ecr):
        yield answers


@pytest.fixture
def registry(clients: AwsClients) -> EcrRegistry:
    return EcrRegistry(clients, "covalent-lambda")


def image(media_type: str = DOCKER) -> dict[str, Any]:
    details = {"imageDigest": "sha256:0a", "imageManifestMediaType": media_type}
    return {"imageDetails": [details]}


REPOSITORY = {"repositories": [{"repositoryUri": URI}]}


@pytest.mark.parametrize("media_type", [DOCKER, OCI])
def test_an_image_is_found_by_digest(
    registry: EcrRegistry, aws: FakeAwsHttp, media_type: str
) -> None:
    aws.json(image(media_type))
    aws.json(REPOSITORY)
    assert registry.find("tag") == ImageReference(repository_uri=URI, digest="sha256:0a")


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_what_ecr_calls_absent_is_absent(
    registry: EcrRegistry, aws: FakeAwsHttp, code: str
) -> None:
    aws.error(code)
    assert registry.find("tag") is None


def test_an_empty_answer_is_absence(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.json({"imageDetails": []})
    assert registry.find("tag") is None


def test_no_answer_is_no_absence(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.error("AccessDeniedException")
    with pytest.raises(RegistryError, match=r"'covalent-lambda': .*(.|\n)*DescribeImages"):
        registry.find("tag")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ],
)
def test_an_image_of_several_platforms_is_refused_with_how_to_build_it(
    registry: EcrRegistry, aws: FakeAwsHttp, media_type: str
) -> None:
    aws.json(image(media_type))
    with pytest.raises(RegistryError, match=r"single platform(.|\n)*--provenance=false"):
        registry.find("tag")


def test_a_repository_that_is_there_is_not_made(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.json(REPOSITORY)
    assert registry.ensure_repository() == URI
    assert aws.operations == ["DescribeRepositories"]


def test_a_missing_repository_is_made_immutable_and_open_to_lambda(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    aws.error("RepositoryNotFoundException")
    aws.json({"repository": {"repositoryUri": URI}})
    aws.json({})
    assert registry.ensure_repository() == URI
    _, (_, created), (_, policy) = aws.requests
    assert created["imageTagMutability"] == "IMMUTABLE"
    (statement,) = json.loads(policy["policyText"])["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert set(statement["Action"]) == {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}


def test_a_repository_that_somebody_makes_meanwhile_is_taken(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    aws.error("RepositoryNotFoundException")
    aws.error("RepositoryAlreadyExistsException")
    aws.json(REPOSITORY)
    assert registry.ensure_repository() == URI


def test_a_repository_that_cannot_be_made_is_an_error(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    aws.error("RepositoryNotFoundException")
    aws.error("AccessDeniedException")
    with pytest.raises(RegistryError, match="CreateRepository"):
        registry.ensure_repository()


def test_a_login_is_read_from_the_token_and_does_not_show_itself(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    token = base64.b64encode(b"AWS:pass:word").decode()
    aws.json({"authorizationData": [{"authorizationToken": token}]})
    login = registry.login()
    assert (login.username, login.password) == ("AWS", "pass:word")
    assert "pass:word" not in repr(login)
