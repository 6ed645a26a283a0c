"""ECR: only AWS's "not found" means absent, and images that Lambda cannot use are refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import RegistryError, UnusableImage
from covalent_lambda_container.model.image_labels import PACKAGES_LABEL, SPEC_LABEL
from covalent_lambda_container.model.names import REVISIONS
from covalent_lambda_container.model.specs import ImageReference
from tests.fakes.aws_http import FakeAwsHttp
from tests.fakes.aws_server import Answer, FakeAwsServer, Request

URI = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/covalent-lambda"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def clients(credentials_file: str) -> AwsClients:
    return AwsClients(AwsTarget(credentials_file=credentials_file, region="eu-central-1"))


@pytest.fixture
def aws(clients: AwsClients) -> Iterator[FakeAwsHttp]:
    answers = FakeAwsHttp()
    with answers.behind(clients.ecr):
        yield answers


@pytest.fixture
def registry(clients: AwsClients) -> EcrRegistry:
    return EcrRegistry(clients, "covalent-lambda")


def image(media_type: str = DOCKER) -> dict[str, Any]:
    return answer({"tag": "sha256:0a"}, media_type)


def answer(tags: dict[str, str], media_type: str = DOCKER, failure: str = "") -> dict[str, Any]:
    """Return what ECR answers to BatchGetImage: digests by tag, and the others' absence."""
    images = [
        {
            "registryId": "123456789012",
            "imageId": {"imageTag": tag, "imageDigest": digest},
            "imageManifest": "{}",
            "imageManifestMediaType": media_type,
        }
        for tag, digest in tags.items()
    ]
    code = failure or "ImageNotFound"
    return {"images": images, "failures": [{"failureCode": code, "failureReason": "no key"}]}


REPOSITORY = {"repositories": [{"repositoryUri": URI}]}


@pytest.mark.parametrize("media_type", [DOCKER, OCI])
def test_an_image_is_found_by_digest(
    registry: EcrRegistry, aws: FakeAwsHttp, media_type: str
) -> None:
    aws.json(image(media_type))
    assert registry.find("tag") == ImageReference(repository_uri=URI, digest="sha256:0a")


def test_a_later_revision_is_found_in_the_same_call(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    aws.json(answer({"tag-r2": "sha256:0c", "tag": "sha256:0a", "tag-r10": "sha256:0b"}))
    assert registry.find("tag") == ImageReference(repository_uri=URI, digest="sha256:0b")
    ((_, looked),) = aws.requests
    assert looked["imageIds"][:2] == [{"imageTag": "tag"}, {"imageTag": "tag-r1"}]
    assert len(looked["imageIds"]) == REVISIONS


def test_the_next_revision_follows_the_last(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.json(answer({}))
    aws.json(answer({"tag": "sha256:0a"}))
    aws.json(answer({"tag-r9": "sha256:0a"}))
    aws.json(answer({f"tag-r{REVISIONS - 1}": "sha256:0a"}))
    assert [registry.next_tag("tag") for _ in range(3)] == ["tag", "tag-r1", "tag-r10"]
    with pytest.raises(RegistryError, match="rebuilt 99 times"):
        registry.next_tag("tag")


def test_a_missing_repository_is_absence(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.error("RepositoryNotFoundException")
    assert registry.find("tag") is None


def test_ecrs_codes_for_absent_images_mean_absent(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.json(answer({}))
    assert registry.find("tag") is None


def test_an_image_that_ecr_cannot_read_is_not_absent(
    registry: EcrRegistry, aws: FakeAwsHttp
) -> None:
    aws.json(answer({}, failure="KmsError"))
    with pytest.raises(RegistryError, match="did not say whether it has image tag: KmsError: no"):
        registry.find("tag")


def test_no_answer_is_not_absence(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
    aws.error("AccessDeniedException")
    with pytest.raises(RegistryError, match=r"'covalent-lambda': .*(.|\n)*BatchGetImage"):
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
    with pytest.raises(
        UnusableImage, match=r"single platform(.|\n)*imageTag=tag'(.|\n)*force_rebuild"
    ):
        registry.find("tag")


def test_a_repository_that_exists_is_not_created(registry: EcrRegistry, aws: FakeAwsHttp) -> None:
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


# -- what is in an image, from the registry itself ------------------------------------------------

CONFIGURED = {"config": {"Labels": {SPEC_LABEL: '{"requirements": ["six"]}', PACKAGES_LABEL: "{}"}}}


def registry_with_an_image(request: Request) -> Answer:
    """Answer as ECR does, and as its registry at a custom endpoint."""
    if request.path == "/v2/covalent-lambda/blobs/sha256:0c":
        return 200, {}, json.dumps(CONFIGURED).encode()
    if request.operation == "GetAuthorizationToken":
        token = base64.b64encode(b"AWS:secret").decode()
        return 200, {}, json.dumps({"authorizationData": [{"authorizationToken": token}]}).encode()
    manifest = json.dumps({"config": {"digest": "sha256:0c"}})
    found = image()
    found["images"][0]["imageManifest"] = manifest
    return 200, {}, json.dumps(found).encode()


@pytest.mark.parametrize("named_by", ["environment", "profile"])
def test_an_image_is_read_by_the_authorities_that_botocore_trusts(
    secured: FakeAwsServer,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named_by: str,
) -> None:
    bundle, configuration = tmp_path / "ca.pem", tmp_path / "config"
    authority.cert_pem.write_to_path(str(bundle))
    configuration.write_text("[default]\n")
    if named_by == "environment":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    else:
        configuration.write_text(f"[default]\nca_bundle = {bundle}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKI")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    # Somebody else's authorities, which AWS's SDKs do not ask either.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    secured.answer = registry_with_an_image
    clients = AwsClients(AwsTarget(region="eu-central-1", endpoint_url=secured.url))
    said = EcrRegistry(clients, "covalent-lambda").contents("tag")
    assert said is not None
    assert said.spec == {"requirements": ["six"]}
