"""The image registry: ECR's API, alongside the registry that Docker pushes to."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import requests
from botocore.exceptions import ClientError

from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.ecr_repository import create_repository, revisions
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import RegistryError, UnusableImage
from covalent_lambda_container.model.image_labels import ImageContents, contents
from covalent_lambda_container.model.names import REVISIONS, revised_tag
from covalent_lambda_container.model.specs import ImageReference
from covalent_lambda_container.ports.registry import ImageRecord, RegistryLogin

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageTypeDef

SINGLE_PLATFORM_MANIFESTS: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)
"""Manifests that Lambda accepts; it refuses indexes and lists (developer guide, "Container image
requirements", read 2026-11)."""


_DELETED_AT_ONCE: Final = 100
"""Most images removed by one call ("BatchDeleteImage", ECR API reference, read 2026-11)."""


_READ_TIMEOUT_S: Final = 30


class EcrRegistry:
    """One ECR repository.

    Parameters
    ----------
    clients
        AWS clients of the account.
    repository
        Name of the repository.
    """

    def __init__(self, clients: AwsClients, repository: str) -> None:
        self._clients = clients
        self.repository = repository

    def find(self, tag: str) -> ImageReference | None:
        """Return the newest image of a tag, or None if the registry has none.

        Raises
        ------
        UnusableImage
            Lambda does not accept it.
        RegistryError
            ECR does not answer: absence is never assumed.
        """
        images = self._revisions(tag)
        if not images:
            return None
        newest = max(images)
        image = images[newest]
        media_type = image.get("imageManifestMediaType")
        if media_type and media_type not in SINGLE_PLATFORM_MANIFESTS:
            found = revised_tag(tag, newest)
            raise UnusableImage(
                f"Image {self.repository}:{found} is a {media_type}; Lambda accepts images of a "
                "single platform only.",
                hint="Delete it with 'aws ecr batch-delete-image --repository-name "
                f"{self.repository} --image-ids imageTag={found}', or replace it with the option "
                "force_rebuild. To build it without this executor, run 'docker build "
                "--provenance=false --sbom=false --platform linux/…'.",
            )
        host = self._clients.registry_of(image.get("registryId", ""))
        return ImageReference(
            repository_uri=f"{host}/{self.repository}",
            digest=image["imageId"]["imageDigest"],
        )

    def contents(self, tag: str) -> ImageContents | None:
        """Return the contents of a tag's newest image, or None if its labels lack them.

        Read from the registry itself, as a pull would, which needs ``ecr:GetDownloadUrlForLayer``
        on the repository and ``ecr:GetAuthorizationToken``.

        Raises
        ------
        RegistryError
            There is no such image, or it cannot be read.
        """
        images = self._revisions(tag)
        if not images:
            raise RegistryError(f"There is no image {self.repository}:{tag} in ECR.")
        image = images[max(images)]
        config = json.loads(image["imageManifest"])["config"]["digest"]
        login = self.login()
        # A custom endpoint also serves the registry.
        scheme = urlsplit(self._clients.ecr.meta.endpoint_url).scheme
        host = self._clients.registry_of(image.get("registryId", ""))
        try:
            answer = requests.get(
                f"{scheme}://{host}/v2/{self.repository}/blobs/{config}",
                auth=(login.username, login.password),
                timeout=_READ_TIMEOUT_S,
                verify=self._clients.certificates,
            )
            answer.raise_for_status()
            labels = answer.json()["config"].get("Labels") or {}
        except (requests.RequestException, ValueError, KeyError) as exc:
            raise RegistryError(
                f"The configuration of image {self.repository}:{tag} could not be read: {exc}",
                hint="Check that this identity may pull from the repository: "
                "ecr:GetDownloadUrlForLayer.",
            ) from exc
        return contents(labels)

    def next_tag(self, tag: str) -> str:
        """Return the tag for the next image of a tag, since tags are immutable.

        The tag itself if it is free, otherwise ``TAG-r1``, ``TAG-r2`` and so on, which `find`
        regards as newer.
        """
        images = self._revisions(tag)
        if not images:
            return tag
        number = max(images) + 1
        if number >= REVISIONS:
            raise RegistryError(
                f"Image {self.repository}:{tag} was rebuilt {REVISIONS - 1} times.",
                hint="Delete its older revisions from ECR, or stop forcing rebuilds.",
            )
        return revised_tag(tag, number)

    def remove(self, tag: str) -> None:
        """Remove a tag; an image without another tag is removed with it."""
        with explained("remove an image from ECR repository", self.repository, RegistryError):
            self._clients.ecr.batch_delete_image(
                repositoryName=self.repository, imageIds=[{"imageTag": tag}]
            )

    def list_images(self) -> list[ImageRecord]:
        """Return all images of the repository; none if there is no repository."""
        pages = self._clients.ecr.get_paginator("describe_images")
        with explained("list the images of ECR repository", self.repository, RegistryError):
            try:
                found = [
                    image
                    for page in pages.paginate(repositoryName=self.repository)
                    for image in page["imageDetails"]
                ]
            except ClientError as exc:
                if error_code(exc) == "RepositoryNotFoundException":
                    return []
                raise
        return [
            ImageRecord(
                digest=image["imageDigest"],
                tags=tuple(sorted(image.get("imageTags", ()))),
                size_bytes=image.get("imageSizeInBytes", 0),
                pushed=image["imagePushedAt"],
                pulled=image.get("lastRecordedPullTime"),
            )
            for image in found
        ]

    def remove_images(self, digests: Sequence[str]) -> None:
        """Remove images with all their tags; absent ones are ignored.

        Raises
        ------
        RegistryError
            ECR did not remove one of them; the message has its reason.
        """
        for start in range(0, len(digests), _DELETED_AT_ONCE):
            chosen = digests[start : start + _DELETED_AT_ONCE]
            with explained("remove images from ECR repository", self.repository, RegistryError):
                answer = self._clients.ecr.batch_delete_image(
                    repositoryName=self.repository,
                    imageIds=[{"imageDigest": digest} for digest in chosen],
                )
            for failure in answer.get("failures", ()):
                if failure.get("failureCode") != "ImageNotFound":
                    raise RegistryError(
                        f"Image {failure.get('imageId')} of {self.repository} was not removed: "
                        f"{failure.get('failureReason')}"
                    )

    def ensure_repository(self) -> str:
        """Return the repository's URI; create it, open to Lambda, if it does not exist."""
        ecr = self._clients.ecr
        with explained("find or create ECR repository", self.repository, RegistryError):
            try:
                found = ecr.describe_repositories(repositoryNames=[self.repository])
                uri = found["repositories"][0]["repositoryUri"]
            except ClientError as exc:
                if error_code(exc) != "RepositoryNotFoundException":
                    raise
                uri = create_repository(ecr, self.repository)
        host = self._clients.registry_host
        return uri if host is None else f"{host}/{self.repository}"

    def serves(self, host: str) -> bool:
        """Return whether a host is an ECR registry that `login` has credentials for."""
        custom = self._clients.registry_host
        if custom is not None:
            return host == custom
        region = self._clients.ecr.meta.region_name
        return f".dkr.ecr.{region}." in host and self._clients.is_aws(f"https://{host}")

    def registry_url(self, host: str) -> str:
        """Return the address of an ECR registry: a custom endpoint serves it, too."""
        return f"{urlsplit(self._clients.ecr.meta.endpoint_url).scheme}://{host}"

    def login(self) -> RegistryLogin:
        """Return fresh credentials for a push; ECR's last 12 hours."""
        with explained("log in to ECR for repository", self.repository, RegistryError):
            answer = self._clients.ecr.get_authorization_token()
        token = answer["authorizationData"][0]["authorizationToken"]
        username, password = base64.b64decode(token).decode().split(":", 1)
        return RegistryLogin(username=username, password=password)

    def _revisions(self, tag: str) -> dict[int, ImageTypeDef]:
        return revisions(self._clients.ecr, self.repository, tag)
