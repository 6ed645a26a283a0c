"""The repository: immutable tags, open to Lambda."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from covalent_lambda_container.account.resources import Resource, Setting
from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.ecr_repository import (
    IMMUTABLE,
    allow_pull,
    create_repository,
    repository_policy,
)
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.iam.documents import LAMBDA_MAY_PULL, states
from covalent_lambda_container.model.names import OWN_TAG, is_image_tag

_TAGS_SHOWN: Final = 3


class RepositoryResource(Resource):
    """An ECR repository for images.

    Parameters
    ----------
    clients
        AWS clients of the account.
    name
        The repository's name.
    """

    kind = "repository"

    def __init__(self, clients: AwsClients, name: str) -> None:
        self.name = name
        self._ecr = clients.ecr

    def exists(self) -> bool:
        with explained("look for repository", self.name, RegistryError):
            try:
                self._describe()
            except ClientError as exc:
                if error_code(exc) == "RepositoryNotFoundException":
                    return False
                raise
        return True

    def is_ours(self) -> bool:
        key, value = OWN_TAG
        with explained("read the tags of repository", self.name, RegistryError):
            answer = self._ecr.list_tags_for_resource(resourceArn=self._describe()["repositoryArn"])
        return {"Key": key, "Value": value} in answer["tags"]

    def create(self) -> None:
        with explained("create repository", self.name, RegistryError):
            create_repository(self._ecr, self.name)

    def adopt(self) -> None:
        key, value = OWN_TAG
        with explained("tag repository", self.name, RegistryError):
            self._ecr.tag_resource(
                resourceArn=self._describe()["repositoryArn"], tags=[{"Key": key, "Value": value}]
            )

    def settings(self) -> list[Setting]:
        return [
            Setting("tags are immutable", self._is_immutable, self._make_immutable),
            Setting("Lambda may pull", self._is_open, self._open),
        ]

    def obstacles(self) -> list[str]:
        with explained("list the images of repository", self.name, RegistryError):
            pages = self._ecr.get_paginator("list_images").paginate(repositoryName=self.name)
            tags = [image.get("imageTag", "") for page in pages for image in page["imageIds"]]
        # An untagged image is one of this project's that was replaced.
        foreign = sorted(tag for tag in tags if tag and not is_image_tag(tag))
        shown = foreign[:_TAGS_SHOWN] + ["…"] * (len(foreign) > _TAGS_SHOWN)
        return [f"it holds other images: {', '.join(shown)}"] if foreign else []

    def delete(self) -> None:
        with explained("delete repository", self.name, RegistryError):
            self._ecr.delete_repository(repositoryName=self.name, force=True)

    def _describe(self) -> Any:
        return self._ecr.describe_repositories(repositoryNames=[self.name])["repositories"][0]

    def _is_immutable(self) -> bool:
        with explained("look at repository", self.name, RegistryError):
            return bool(self._describe()["imageTagMutability"] == IMMUTABLE)

    def _make_immutable(self) -> None:
        with explained("make tags immutable in repository", self.name, RegistryError):
            self._ecr.put_image_tag_mutability(
                repositoryName=self.name, imageTagMutability=IMMUTABLE
            )

    def _is_open(self) -> bool:
        with explained("read the policy of repository", self.name, RegistryError):
            policy = repository_policy(self._ecr, self.name)
        return states(policy, LAMBDA_MAY_PULL)

    def _open(self) -> None:
        with explained("let Lambda pull from repository", self.name, RegistryError):
            allow_pull(self._ecr, self.name, beside=repository_policy(self._ecr, self.name))
