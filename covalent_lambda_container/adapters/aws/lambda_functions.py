"""Lambda's control plane: finds, creates, awaits and deletes functions."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from covalent_lambda_container.adapters.aws.aws_errors import error_code, error_message, explained
from covalent_lambda_container.adapters.aws.function_list import list_functions
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import ConfigurationError, ProvisionError
from covalent_lambda_container.model.names import CREATOR_TAG, OWN_TAG
from covalent_lambda_container.model.specs import FunctionSpec
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    PENDING,
    FunctionMissing,
    FunctionRecord,
    FunctionState,
    ImageMissing,
)

_ROLE_NOT_READY: Final = "cannot be assumed by Lambda"
_ROLE_PATIENCE_S: Final = 90.0
"""IAM is eventually consistent: a new role is refused for some seconds."""

_CONFLICT_PATIENCE_S: Final = 30.0
"""How long to wait for somebody else's simultaneous change of a function."""

_IMAGE_MISSING: Final = re.compile(r"[Ss]ource image .*(does not exist|not found)")
"""CreateFunction's message for a removed image; its code is that of any invalid parameter."""

_NOT_IN_TAGS: Final = re.compile(r"[^\w .:/=+@-]")
_TAG_CHARACTERS: Final = 256
"""Characters and length that a tag's value may have ("Using tags on Lambda functions", developer
guide, read 2026-11). Names in IAM may contain commas, and users' paths may be longer."""

_PENDING_PATIENCE_S: Final = 600.0
"""How long Lambda may prepare an image."""


class LambdaFunctions:
    """Lambda's control plane for the functions of this project.

    Parameters
    ----------
    clients
        AWS clients of the account.
    creator
        Returns the ARN of the identity that creates functions, for their tag; empty if unknown.
    sleep, now
        Clock; replaced in tests.
    """

    def __init__(
        self,
        clients: AwsClients,
        *,
        creator: Callable[[], str] = str,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._creator = creator
        self._sleep = sleep
        self._now = now

    def role_arn(self, role: str) -> str:
        """Return a role's ARN; an ARN is returned unchanged.

        Raises
        ------
        ConfigurationError
            The role does not exist.
        """
        if role.startswith("arn:"):
            return role
        with explained("look for the execution role", role, ConfigurationError):
            try:
                return self._clients.iam.get_role(RoleName=role)["Role"]["Arn"]
            except ClientError as exc:
                if error_code(exc) != "NoSuchEntity":
                    raise
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor option lambda_role_name={role!r}: there is no such role "
            "in this account.",
            hint="Create it with 'covalent-lambda bootstrap', or name another that "
            "lambda.amazonaws.com may assume.",
        )

    def find(self, name: str) -> FunctionState | None:
        """Return a function's state, or None if it does not exist."""
        with explained("look for function", name, ProvisionError):
            try:
                answer = self._clients.functions.get_function(FunctionName=name)
            except ClientError as exc:
                if error_code(exc) == "ResourceNotFoundException":
                    return None
                raise
        configuration = answer["Configuration"]
        return FunctionState(
            state=configuration.get("State", ACTIVE),
            reason=configuration.get("StateReason", ""),
        )

    def create(self, spec: FunctionSpec, description: str = "") -> None:
        """Create a function; an existing one is left unchanged.

        Returns when Lambda has accepted the request; `wait_active` waits for the function.

        Raises
        ------
        ImageMissing
            ECR does not have its image.
        ProvisionError
            Lambda refuses for another reason, which the message contains.
        """
        patience_ends = self._now() + _ROLE_PATIENCE_S
        delay_s = 1.0
        request = _create_request(spec, self._creator(), description)
        with explained("create function", spec.name, ProvisionError):
            while True:
                try:
                    self._clients.functions.create_function(**request)
                    return
                except ClientError as exc:
                    if error_code(exc) == "ResourceConflictException":
                        return
                    if _IMAGE_MISSING.search(error_message(exc)):
                        raise ImageMissing(
                            f"Function {spec.name} could not be created: image {spec.image.uri} "
                            f"is not in ECR. AWS answered: {error_message(exc)}",
                            hint="Somebody removed it. Dispatch the electron again: the image "
                            "is rebuilt.",
                        ) from exc
                    not_ready = _ROLE_NOT_READY in error_message(exc)
                    if not not_ready or self._now() + delay_s > patience_ends:
                        raise
                self._sleep(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
                delay_s = min(delay_s * 1.5, 8.0)

    def reserve(self, name: str, concurrency: int) -> None:
        """Reserve this many concurrent executions for a function, unless they already are.

        The function must not be Pending: Lambda refuses to change pending functions.

        Raises
        ------
        FunctionMissing
            The function does not exist.
        ProvisionError
            Lambda refuses; the message has its reason.
        """
        client = self._clients.functions
        patience_ends = self._now() + _CONFLICT_PATIENCE_S
        with explained("reserve concurrency for function", name, ProvisionError):
            while True:
                try:
                    there = client.get_function(FunctionName=name).get("Concurrency", {})
                    if there.get("ReservedConcurrentExecutions") != concurrency:
                        client.put_function_concurrency(
                            FunctionName=name, ReservedConcurrentExecutions=concurrency
                        )
                    return
                except ClientError as exc:
                    if error_code(exc) == "ResourceNotFoundException":
                        raise FunctionMissing(name) from exc
                    conflict = error_code(exc) == "ResourceConflictException"
                    if not conflict or self._now() > patience_ends:
                        raise
                self._sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret

    def wait_active(self, name: str) -> FunctionState:
        """Wait until a function is no longer Pending and return its state.

        Raises
        ------
        FunctionMissing
            The function does not exist.
        ProvisionError
            It remains Pending for ten minutes.
        """
        patience_ends = self._now() + _PENDING_PATIENCE_S
        delay_s = 0.1
        # botocore's waiter polls at fixed intervals, but one function is ready at once and another
        # takes a minute. GetFunctionConfiguration would use up the 15 requests a second of the
        # account's control plane; GetFunction has a separate quota.
        while True:
            state = self.find(name)
            if state is None:
                raise FunctionMissing(name)
            if state.state != PENDING:
                return state
            if self._now() > patience_ends:
                raise ProvisionError(
                    f"Function {name} is still Pending after {_PENDING_PATIENCE_S:.0f} s.",
                    hint="Check the function in Lambda's console; the next task tries again.",
                )
            self._sleep(delay_s)
            delay_s = min(delay_s * 1.5, 2.0)

    def delete(self, name: str) -> None:
        """Delete a function, if it exists."""
        with explained("delete function", name, ProvisionError):
            try:
                self._clients.functions.delete_function(FunctionName=name)
            except ClientError as exc:
                if error_code(exc) != "ResourceNotFoundException":
                    raise

    def list_functions(self) -> list[FunctionRecord]:
        """Return all functions of the account that run an image, whoever created them."""
        return list_functions(self._clients.functions)


def _create_request(spec: FunctionSpec, creator: str, description: str) -> dict[str, Any]:
    creator = _NOT_IN_TAGS.sub("_", creator)[:_TAG_CHARACTERS]
    own_tags = dict([OWN_TAG]) | ({CREATOR_TAG: creator} if creator else {})
    request: dict[str, Any] = {
        "FunctionName": spec.name,
        "PackageType": "Image",
        "Code": {"ImageUri": spec.image.uri},
        "Role": spec.role_arn,
        "Architectures": [spec.architecture],
        "MemorySize": spec.memory_mb,
        "Timeout": spec.timeout_s,
        "EphemeralStorage": {"Size": spec.ephemeral_storage_mb},
        "Environment": {"Variables": dict(spec.environment)},
        # These two are not part of the function's identity, nor of its name.
        "Tags": dict(spec.tags) | own_tags,
        "Description": description
        or "Runs Covalent electrons; created by covalent-lambda-container.",
    }
    if spec.subnet_ids:
        request["VpcConfig"] = {
            "SubnetIds": list(spec.subnet_ids),
            "SecurityGroupIds": list(spec.security_group_ids),
        }
    if spec.file_system_arn:
        request["FileSystemConfigs"] = [
            {"Arn": spec.file_system_arn, "LocalMountPath": spec.mount_path}
        ]
    if spec.kms_key_arn:
        request["KMSKeyArn"] = spec.kms_key_arn
    return request
