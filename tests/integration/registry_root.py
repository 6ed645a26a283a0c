"""A root image in the local stack's registry, as a private root is in an account's."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import docker

from covalent_lambda_container.local.stack import LocalStack

_REPOSITORY = "covalent-lambda-root"


def push_root(stack: LocalStack, aws: Callable[[str], Any], root_image: str) -> str:
    """Push a root image of the engine to a repository of its own; return its reference there.

    The dispatcher may pull from it: what a private root asks for.
    """
    ecr = aws("ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=_REPOSITORY)
    pull = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                "Resource": f"arn:aws:ecr:*:*:repository/{_REPOSITORY}",
            }
        ],
    }
    aws("iam").put_user_policy(
        UserName="covalent-lambda", PolicyName="pull-root", PolicyDocument=json.dumps(pull)
    )
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    host = stack.endpoint_url.removeprefix("http://")
    name, tag = f"{host}/{_REPOSITORY}", root_image.rpartition(":")[2]
    with contextlib.closing(docker.from_env()) as client:
        client.images.get(root_image).tag(name, tag)
        login = {"username": user, "password": password}
        for line in client.api.push(name, tag=tag, stream=True, decode=True, auth_config=login):
            assert "error" not in line, line
    return f"{name}:{tag}"
