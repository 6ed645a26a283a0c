"""A root image in the local stack's registry, like a private root image in an account's."""

from __future__ import annotations

import contextlib
import json
from typing import Final

from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.local.bootstrap import DISPATCHER_USER
from covalent_lambda_container.local.stack import LocalStack

_REPOSITORY: Final = "covalent-lambda-root"
_POLICY: Final = "pull-root"


def push_root_image(stack: LocalStack, root_image: str) -> str:
    """Push a root image of the engine to a repository of its own; return its reference there.

    Builds without Docker read their root image from a registry. The dispatcher may pull it: that is
    what a private root image requires in addition to a dispatcher's own policy.

    Raises
    ------
    RegistryError
        The registry refuses it.
    """
    owner = AwsTarget(
        credentials_file=str(stack.credentials_file),
        profile=stack.owner_profile,
        region=stack.region,
        endpoint_url=stack.endpoint_url,
    )
    clients = AwsClients(owner)
    registry = EcrRegistry(clients, _REPOSITORY)
    statement = {
        "Effect": "Allow",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Resource": f"arn:aws:ecr:*:*:repository/{_REPOSITORY}",
    }
    clients.iam.put_user_policy(
        UserName=DISPATCHER_USER,
        PolicyName=_POLICY,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    name, tag = registry.ensure_repository(), root_image.rpartition(":")[2]
    with contextlib.closing(connect()) as client:
        client.images.get(root_image).tag(name, tag)
        try:
            DockerEngine().push(f"{name}:{tag}", registry.login())
        finally:
            client.images.remove(f"{name}:{tag}")
    return f"{name}:{tag}"
