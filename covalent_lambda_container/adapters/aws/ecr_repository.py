"""One ECR repository: its creation, its policy, and the revisions of its tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import ClientError

from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.iam.documents import LAMBDA_MAY_PULL, Document, with_statements
from covalent_lambda_container.model.names import OWN_TAG, REVISIONS, revised_tag

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageTypeDef

IMMUTABLE: Final[Literal["IMMUTABLE"]] = "IMMUTABLE"
"""Mutability of a repository with immutable tags."""


def revisions(ecr: ECRClient, repository: str, tag: str) -> dict[int, ImageTypeDef]:
    """Return a repository's images of a tag by revision number."""
    numbers = {revised_tag(tag, number): number for number in range(REVISIONS)}
    with explained("look for an image in ECR repository", repository, RegistryError):
        try:
            answer = ecr.batch_get_image(
                repositoryName=repository,
                imageIds=[{"imageTag": name} for name in numbers],
            )
        except ClientError as exc:
            if error_code(exc) == "RepositoryNotFoundException":
                return {}
            raise
    for failure in answer["failures"]:
        if failure["failureCode"] != "ImageNotFound":
            raise RegistryError(
                f"ECR repository {repository} did not say whether it has image {tag}: "
                f"{failure['failureCode']}: {failure.get('failureReason', '')}"
            )
    # The emulator may return a different tag of the same image than the requested one.
    return {numbers.get(image["imageId"]["imageTag"], 0): image for image in answer["images"]}


def create_repository(ecr: ECRClient, repository: str) -> str:
    """Create a repository for images, and return its URI.

    Its tags are immutable, Lambda may pull from it, and it has this project's tag. A repository
    that somebody else creates at the same moment is not changed.
    """
    key, value = OWN_TAG
    try:
        created = ecr.create_repository(
            repositoryName=repository,
            imageTagMutability=IMMUTABLE,
            tags=[{"Key": key, "Value": value}],
        )
    except ClientError as exc:
        if error_code(exc) != "RepositoryAlreadyExistsException":
            raise
        found = ecr.describe_repositories(repositoryNames=[repository])
        return found["repositories"][0]["repositoryUri"]
    allow_pull(ecr, repository, beside={})
    return created["repository"]["repositoryUri"]


def allow_pull(ecr: ECRClient, repository: str, *, beside: Document) -> None:
    """Let Lambda pull from a repository, in addition to its existing policy."""
    policy = with_statements(beside, LAMBDA_MAY_PULL)
    ecr.set_repository_policy(repositoryName=repository, policyText=json.dumps(policy))


def repository_policy(ecr: ECRClient, repository: str) -> Document:
    """Return a repository's policy; an empty one if it has none."""
    try:
        answer = ecr.get_repository_policy(repositoryName=repository)
    except ClientError as exc:
        if error_code(exc) != "RepositoryPolicyNotFoundException":
            raise
        return {}
    policy: Document = json.loads(answer["policyText"])
    return policy
