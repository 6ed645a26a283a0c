"""Advice for requests that AWS refuses: a name, a region, or a policy."""

from __future__ import annotations

import difflib
import functools
import re
from typing import Final
from urllib.parse import urlsplit

import botocore.session
from botocore.exceptions import ClientError

from covalent_lambda_container.iam import administration, running
from covalent_lambda_container.iam.documents import Deployment, Document, actions

_ACTIONS: Final = {
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObjects": "s3:DeleteObject",
    "Invoke": "lambda:InvokeFunction",
}
"""IAM's names of actions that differ from their operations' ("Actions defined by", service
authorization reference, read 2026-11)."""

_NAMED_BY: Final = {
    **dict.fromkeys(("HeadBucket", "ListObjectsV2"), "s3_bucket_name"),
    **dict.fromkeys(("PutObject", "GetObject", "HeadObject", "DeleteObjects"), "s3_bucket_name"),
    "GetRole": "lambda_role_name",
    **dict.fromkeys(("DescribeRepositories", "DescribeImages"), "ecr_repository"),
    **dict.fromkeys(("BatchGetImage", "CreateRepository"), "ecr_repository"),
}
"""The option with the name that an operation uses. A policy allows only the names that it was
printed for: any other is refused, whether it exists or not."""

_NOT_THE_DISPATCHERS: Final = ("operator", "bootstrap")
"""Policies of people, who often have the dispatcher's profile in Covalent's configuration."""

_REFUSED: Final = re.compile(r"not authorized to perform: ([a-z0-9-]{1,40}:[A-Za-z0-9]{1,60})\b")

OWN_NAMES: Final = ("localhost", "127.0.0.1")
"""Names of this machine in endpoints, which are then a local stack's."""
_REGION: Final = re.compile(r"//[^/]*?\.([a-z]{2,}(?:-[a-z0-9]+)+)\.[a-z0-9.-]*amazonaws\.com")


def permission_advice(exc: ClientError) -> str:
    """Return advice for an identity that is not allowed an operation."""
    operation = str(exc.operation_name)
    # A request may need more than one permission: AWS names the one that is missing.
    named = _REFUSED.search(str(exc.response.get("Error", {}).get("Message", "")))
    action = named[1] if named else action_of(operation)
    suffices = policy_with(action)
    policy = (
        f"'covalent-lambda policy {suffices}' prints a policy that suffices."
        if suffices
        else "'covalent-lambda policy --help' lists the policies of this project."
    )
    if suffices in _NOT_THE_DISPATCHERS:
        policy += " Or choose an identity that has it with the option profile."
    allow = f"allow {action} to this identity: {policy}"
    option = _NAMED_BY.get(operation)
    if option is None:
        return f"{allow[0].upper()}{allow[1:]}"
    return (
        f"Check the option {option}: AWS answers the same for a misspelt name and for one in "
        f"another account. If it is correct, {allow}"
    )


def local_stack_advice(url: str) -> str:
    """Return advice for an endpoint on this machine that is gone; an empty string for others."""
    parts = urlsplit(url)
    if parts.hostname not in OWN_NAMES:
        return ""
    port = f" --port {parts.port}" if parts.port else ""
    return f"If this is the local stack, start it: covalent-lambda local up{port}"


def endpoint_advice(url: str) -> str:
    """Return advice for an endpoint of AWS that cannot be reached."""
    if start := local_stack_advice(url):
        return (
            f"{start}\nOtherwise, check the option endpoint_url and the variable AWS_ENDPOINT_URL."
        )
    match = _REGION.search(url)
    if match and match[1] not in _regions():
        near = difflib.get_close_matches(match[1], _regions(), n=1, cutoff=0.5)
        meant = f" Did you mean {near[0]}?" if near else ""
        return (
            f"Check the option region: this machine's botocore does not know region {match[1]}."
            f"{meant} Otherwise, check the network."
        )
    return "Check the option endpoint_url, the option region and the network."


def action_of(operation: str) -> str:
    """Return IAM's name for an operation, ``"lambda:CreateFunction"``."""
    known = (action for allowed in _policies().values() for action in allowed)
    spelt = (action for action in known if action.endswith(f":{operation}"))
    return _ACTIONS.get(operation) or next(spelt, operation)


def policy_with(action: str) -> str:
    """Return the least of this project's policies that allow an action; empty if none does."""
    return next((name for name, allowed in _policies().items() if action in allowed), "")


@functools.cache
def _policies() -> dict[str, frozenset[str]]:
    names = Deployment(
        account="123456789012",
        region="us-east-1",
        partition="aws",
        bucket="bucket",
        repository="repository",
        role="role",
    )
    documents: dict[str, Document] = {
        "dispatcher": running.dispatcher(names, reserves_concurrency=True, vpc=True),
        "operator": administration.operator(names),
        "bootstrap": administration.bootstrap(names),
    }
    return {name: frozenset(actions(document)) for name, document in documents.items()}


@functools.cache
def _regions() -> tuple[str, ...]:
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    return tuple(
        region
        for partition in partitions
        for region in session.get_available_regions("lambda", partition)
    )
