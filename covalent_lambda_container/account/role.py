"""The execution role: Lambda may assume it, and it may write its functions' logs."""

from __future__ import annotations

import json
from typing import Any, Final

from botocore.exceptions import ClientError

from covalent_lambda_container.account.resources import Resource, Setting
from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.iam import documents, running
from covalent_lambda_container.iam.documents import TRUST_LAMBDA, Deployment
from covalent_lambda_container.model.names import OWN_TAG

_POLICY: Final = "covalent-lambda"
"""Name of the role's inline policy."""


class RoleResource(Resource):
    """An IAM role that functions run as.

    Parameters
    ----------
    clients
        AWS clients of the account.
    deployment
        Names of the deployment's resources.
    vpc
        Whether functions join a VPC.
    """

    kind = "role"

    def __init__(
        self, clients: AwsClients, deployment: Deployment, *, vpc: bool, file_system: str = ""
    ) -> None:
        path, _, self.name = deployment.role_arn.partition(":role/")[2].rpartition("/")
        self._path = f"/{path}/" if path else "/"
        self._arn = deployment.role_arn
        self._iam = clients.iam
        self._functions = clients.functions
        self._policy = running.execution_role(deployment, vpc=vpc, file_system=file_system)

    def exists(self) -> bool:
        with explained("look for role", self.name, ConfigurationError):
            try:
                self._iam.get_role(RoleName=self.name)
            except ClientError as exc:
                if error_code(exc) == "NoSuchEntity":
                    return False
                raise
        return True

    def is_ours(self) -> bool:
        key, value = OWN_TAG
        with explained("read the tags of role", self.name, ConfigurationError):
            answer = self._iam.list_role_tags(RoleName=self.name)
        return {"Key": key, "Value": value} in answer["Tags"]

    def create(self) -> None:
        key, value = OWN_TAG
        with explained("create role", self.name, ConfigurationError):
            self._iam.create_role(
                Path=self._path,
                RoleName=self.name,
                AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA),
                Description="Execution role of the Lambda functions of Covalent electrons.",
                Tags=[{"Key": key, "Value": value}],
            )
            # IAM is eventually consistent: the next request may not see the role yet.
            self._iam.get_waiter("role_exists").wait(RoleName=self.name)

    def adopt(self) -> None:
        key, value = OWN_TAG
        with explained("tag role", self.name, ConfigurationError):
            self._iam.tag_role(RoleName=self.name, Tags=[{"Key": key, "Value": value}])

    def settings(self) -> list[Setting]:
        allowed = ", ".join(documents.actions(self._policy))
        return [
            Setting("Lambda may assume it", self._is_trusting, self._trust),
            Setting(f"it is allowed {allowed}", self._is_allowed, self._allow),
        ]

    def obstacles(self) -> list[str]:
        found = []
        with explained("list the policies of role", self.name, ConfigurationError):
            others = [*self._attached().values(), *(set(self._inline()) - {_POLICY})]
        if others:
            found.append(f"it has other policies: {', '.join(sorted(others))}")
        with explained("list the functions with role", self.name, ConfigurationError):
            pages = self._functions.get_paginator("list_functions").paginate()
            users = [
                each["FunctionName"]
                for page in pages
                for each in page["Functions"]
                if each["Role"] == self._arn
            ]
        if users:
            found.append(f"{len(users)} functions run as it, such as {min(users)}")
        return found

    def delete(self) -> None:
        with explained("delete role", self.name, ConfigurationError):
            for arn in self._attached():
                self._iam.detach_role_policy(RoleName=self.name, PolicyArn=arn)
            for policy in self._inline():
                self._iam.delete_role_policy(RoleName=self.name, PolicyName=policy)
            self._iam.delete_role(RoleName=self.name)

    def _attached(self) -> dict[str, str]:
        pages = self._iam.get_paginator("list_attached_role_policies").paginate(RoleName=self.name)
        return {
            each["PolicyArn"]: each["PolicyName"]
            for page in pages
            for each in page["AttachedPolicies"]
        }

    def _inline(self) -> list[str]:
        pages = self._iam.get_paginator("list_role_policies").paginate(RoleName=self.name)
        return [name for page in pages for name in page["PolicyNames"]]

    def _trust_policy(self) -> documents.Document:
        with explained("read the trust policy of role", self.name, ConfigurationError):
            role: Any = self._iam.get_role(RoleName=self.name)["Role"]
        found: documents.Document = role["AssumeRolePolicyDocument"]
        return found

    def _is_trusting(self) -> bool:
        return trusts_lambda(self._trust_policy())

    def _trust(self) -> None:
        trust = self._trust_policy()
        # Other principals keep their access.
        changed = documents.with_statements(trust, TRUST_LAMBDA)
        with explained("change the trust policy of role", self.name, ConfigurationError):
            self._iam.update_assume_role_policy(
                RoleName=self.name, PolicyDocument=json.dumps(changed)
            )

    def _is_allowed(self) -> bool:
        with explained("read the policy of role", self.name, ConfigurationError):
            try:
                found = self._iam.get_role_policy(RoleName=self.name, PolicyName=_POLICY)
            except ClientError as exc:
                if error_code(exc) != "NoSuchEntity":
                    raise
                return False
        document: Any = found["PolicyDocument"]
        # A role that already has the VPC permissions keeps them.
        return documents.states(document, self._policy)

    def _allow(self) -> None:
        with explained("write the policy of role", self.name, ConfigurationError):
            self._iam.put_role_policy(
                RoleName=self.name, PolicyName=_POLICY, PolicyDocument=json.dumps(self._policy)
            )


def trusts_lambda(trust: documents.Document) -> bool:
    """Return whether Lambda may assume a role with this trust policy."""
    (wanted,) = TRUST_LAMBDA["Statement"]
    return any(
        stated["Effect"] == "Allow"
        and wanted["Action"] in documents.listed(stated["Action"])
        and wanted["Principal"]["Service"] in documents.listed(_service(stated["Principal"]))
        for stated in documents.listed(trust["Statement"])
    )


def _service(principal: Any) -> Any:
    return principal.get("Service", []) if isinstance(principal, dict) else []
