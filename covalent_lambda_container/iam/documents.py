"""IAM documents, and the names of a deployment that they contain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from covalent_lambda_container.model.names import FUNCTION_PREFIX, OBJECT_PREFIX

Document = dict[str, Any]
"""An IAM policy document, as JSON."""


TRUST_LAMBDA: Final[Document] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LambdaAssumesTheRole",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
"""Trust policy of the execution role."""

LAMBDA_MAY_PULL: Final[Document] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LambdaPullsImages",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
"""Policy of the repository ("Container image permissions", Lambda developer guide, read 2026-11).
Lambda would add it itself, if whoever creates the function has ecr:SetRepositoryPolicy: with the
policy in place, nobody needs that."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The names of the resources that one AWS account has for the executor.

    Parameters
    ----------
    account
        Its ID, twelve digits.
    region, partition
        Where they are; the partition is ``"aws"`` except in China and for AWS GovCloud.
    bucket, repository
        S3 bucket and ECR repository.
    role
        Execution role of the functions, a name or an ARN.
    """

    account: str
    region: str
    partition: str = "aws"
    bucket: str
    repository: str
    role: str

    @property
    def bucket_arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def objects_arn(self) -> str:
        return f"{self.bucket_arn}/{OBJECT_PREFIX}*"

    @property
    def repository_arn(self) -> str:
        return self._arn("ecr", f"repository/{self.repository}")

    @property
    def functions_arn(self) -> str:
        return self._arn("lambda", f"function:{FUNCTION_PREFIX}*")

    @property
    def any_function(self) -> str:
        return self._arn("lambda", "function:*")

    @property
    def role_arn(self) -> str:
        if self.role.startswith("arn:"):
            return self.role
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"

    @property
    def logs_arn(self) -> str:
        # In every region: a role is the whole account's.
        groups = f"log-group:/aws/lambda/{FUNCTION_PREFIX}*"
        return f"arn:{self.partition}:logs:*:{self.account}:{groups}"

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def actions(document: Document) -> list[str]:
    """Return the actions that a policy of this module allows."""
    return sorted({action for stated in document["Statement"] for action in stated["Action"]})


def without(document: Document, action: str) -> Document:
    """Return a policy of this module without one action."""
    kept = []
    for stated in document["Statement"]:
        rest = [allowed for allowed in stated["Action"] if allowed != action]
        if rest:
            kept.append(stated | {"Action": rest})
    return document | {"Statement": kept}


def states(document: Document, wanted: Document) -> bool:
    """Return whether a document has all statements of another, word for word."""
    present = listed(document.get("Statement", []))
    return all(statement in present for statement in wanted["Statement"])


def with_statements(document: Document, added: Document) -> Document:
    """Return a document with the statements of another in addition.

    What it has under their Sids, which must be unique, or says alike, is replaced.
    """
    sids = {statement["Sid"] for statement in added["Statement"]}
    bare = [_without_sid(statement) for statement in added["Statement"]]
    kept = [
        statement
        for statement in listed(document.get("Statement", []))
        if statement.get("Sid") not in sids and _without_sid(statement) not in bare
    ]
    return added | document | {"Statement": [*kept, *added["Statement"]]}


def listed(value: Any) -> list[Any]:
    """Return a list of what IAM writes as a list or, if there is only one, by itself."""
    return value if isinstance(value, list) else [value]


def _without_sid(statement: Document) -> Document:
    return {key: value for key, value in statement.items() if key != "Sid"}


def allow(
    sid: str, allowed: Collection[str], resource: str, *, where: Mapping[str, str] | None = None
) -> Document:
    """Return a statement that allows some actions on a resource.

    Parameters
    ----------
    where
        Condition keys and the values that they must equal.
    """
    stated = {"Sid": sid, "Effect": "Allow", "Action": sorted(allowed), "Resource": resource}
    return stated | {"Condition": {"StringEquals": dict(where)}} if where else stated


def policy(*statements: Document) -> Document:
    """Return the document that consists of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
