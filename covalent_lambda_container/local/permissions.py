"""Permissions that AWS checks and MiniStack does not.

MiniStack evaluates the policies of users for the requests of its APIs. AWS also checks, for the
same user,

* each request to a registry, whose protocol corresponds to actions of ECR;
* at CreateFunction, whether the user may pass the role to Lambda, and may add tags;
* at GetFunction, whether the user may read the function's tags, which all of ours have.

For some requests MiniStack requires too much, since it does not find their resource: a list of one
repository, a repository's tags, and a function to be created.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ministack.core import iam_actions, iam_evaluator  # type: ignore[import-untyped]

from covalent_lambda_container.local.emulator import ACCOUNT, REGION

_UPLOAD: Final = r"/v2/(?P<name>.+)/blobs/uploads/[^/]+"
_BLOB: Final = r"/v2/(?P<name>.+)/blobs/(?!uploads)[^/]+"
_MANIFEST: Final = r"/v2/(?P<name>.+)/manifests/[^/]+"
_REGISTRY_ACTIONS: Final = [
    (method, re.compile(path), action)
    for method, path, action in (
        ("HEAD", _BLOB, "ecr:BatchCheckLayerAvailability"),
        ("GET", _BLOB, "ecr:GetDownloadUrlForLayer"),
        ("POST", r"/v2/(?P<name>.+)/blobs/uploads/?", "ecr:InitiateLayerUpload"),
        ("PATCH", _UPLOAD, "ecr:UploadLayerPart"),
        ("PUT", _UPLOAD, "ecr:CompleteLayerUpload"),
        ("PUT", _MANIFEST, "ecr:PutImage"),
        ("HEAD", _MANIFEST, "ecr:BatchGetImage"),
        ("GET", _MANIFEST, "ecr:BatchGetImage"),
    )
]
"""The action behind each request: each "is used by the Amazon ECR proxy" (ECR API reference, read
2026-11), which is what ECR's registry is."""

CREATE_FUNCTION: Final = re.compile(r"/\d{4}-\d\d-\d\d/functions/?")
GET_FUNCTION: Final = re.compile(r"/\d{4}-\d\d-\d\d/functions/(?P<name>[^/]+)/?")


def registry_denial(key: str, method: str, path: str) -> str | None:
    """Return why a user may not make a request to the registry, or None if it is allowed.

    Parameters
    ----------
    key
        The user's access key.
    method, path
        The request's method and path.
    """
    for wanted, pattern, action in _REGISTRY_ACTIONS:
        found = pattern.fullmatch(path)
        if found and method == wanted:
            return _denial(
                key, action, f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{found['name']}"
            )
    return None


def create_function_denial(key: str, body: bytes) -> str | None:
    """Return why a user may not create a function with this role or tags, or None if it is allowed.

    Parameters
    ----------
    key
        The user's access key.
    body
        JSON of the request CreateFunction.
    """
    request = _json(body)
    passed = {"iam:passedtoservice": "lambda.amazonaws.com"}
    denial = _denial(key, "iam:PassRole", str(request.get("Role")), passed)
    if denial is None and request.get("Tags"):
        denial = _denial(key, "lambda:TagResource", _function_arn(request))
    return denial


def get_function_denial(key: str, name: str) -> str | None:
    """Return why a user may not read a function with its tags, or None if it is allowed.

    Parameters
    ----------
    key
        The user's access key.
    name
        The function's name.
    """
    return _denial(key, "lambda:ListTags", _function_arn({"FunctionName": name}))


def ask_for_what_is_named() -> None:
    """Make MiniStack find the resource of requests in which it looks in the wrong place."""
    original = iam_actions.extract_resource_arn

    def extract(
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any
    ) -> Any:
        if service == "ecr" and headers.get("x-amz-target", "").endswith(".DescribeRepositories"):
            names = _json(body).get("repositoryNames") or []
            if len(names) == 1:
                body = json.dumps({"repositoryName": names[0]}).encode()
        if service == "ecr" and "resourceArn" in _json(body):
            return _json(body)["resourceArn"]
        if service == "lambda" and method == "POST" and CREATE_FUNCTION.fullmatch(path):
            return _function_arn(_json(body))
        return original(service, method, path, headers, body, *rest)

    iam_actions.extract_resource_arn = extract


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _function_arn(request: dict[str, Any]) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{request.get('FunctionName')}"


def _denial(
    key: str, action: str, resource: str, context: dict[str, str] | None = None
) -> str | None:
    user = iam_evaluator.resolve_principal(key, ACCOUNT)
    if isinstance(user, iam_evaluator.AuthError):
        # MiniStack identifies the user from the signature.
        return None
    if user.policies is None:
        return None
    request = iam_evaluator.EvalContext(
        principal_arn=user.arn,
        principal_type=user.type,
        principal_account=user.account,
        action=action,
        resource_arn=resource,
        region=REGION,
        service_context=context or {},
        principal_keys=user.keys,
    )
    result = iam_evaluator.evaluate(request, user.policies, *user.limits)
    if result.decision == "Allow":
        return None
    message: str = iam_actions.identity_denial_message(
        action, user.arn, resource, result.decision == "Deny"
    )
    return message
