"""Checks of AWS: the identity, the clock, and the resources that the executor needs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from covalent_lambda_container.account.bucket import BucketResource
from covalent_lambda_container.account.repository import RepositoryResource
from covalent_lambda_container.account.resources import Resource, Setting
from covalent_lambda_container.account.role import trusts_lambda
from covalent_lambda_container.adapters.aws.aws_errors import explained, is_denial
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.doctor.examination import Check, Unknown
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError
from covalent_lambda_container.executor.wiring import clients_of
from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.options.schema import Options

_SKEW_LIMIT_S: Final = 60
"""AWS refuses requests signed over 5 minutes ago ("Why requests are signed", IAM user guide, read
2026-11); a clock that is this far off will soon exceed that."""

_UNRESERVABLE: Final = 100
"""Executions that an account keeps for functions without a reservation ("Configuring reserved
concurrency", Lambda developer guide, read 2026-11)."""


class AwsAccount:
    """The account that the options select.

    Parameters
    ----------
    options
        The executor's options.
    now
        This machine's clock, in seconds since 1970.
    """

    def __init__(self, options: Options, *, now: Callable[[], float] = time.time) -> None:
        self._options = options
        self._now = now

    def checks(self) -> list[Check]:
        """Return the checks of the account."""
        return [
            Check("AWS credentials", self.credentials),
            Check("AWS region", self.region),
            Check("clock", self.clock),
            Check("bucket", self.bucket),
            Check("repository", self.repository),
            Check("execution role", self.role),
            Check("concurrency", self.concurrency),
        ]

    def credentials(self) -> str:
        """Return the identity of the credentials."""
        with explained("get the identity of", self._who, ConfigurationError):
            identity = self._clients.sts.get_caller_identity()
        return f"{identity['Arn']}, account {identity['Account']}"

    def region(self) -> str:
        """Return the region and endpoint where functions are created."""
        meta = self._clients.ecr.meta
        region = str(meta.region_name)
        # Without a custom endpoint, it is AWS's own.
        return region if self._clients.registry_host is None else f"{region} at {meta.endpoint_url}"

    def clock(self) -> str:
        """Compare this machine's clock with the one in AWS's answers."""
        with explained("get AWS's time as", self._who, ConfigurationError):
            before = self._now()
            try:
                answer: Any = self._clients.sts.get_caller_identity()
            except ClientError as exc:
                # A refusal has a date, too, and a wrong clock may be its cause.
                answer = exc.response
            after = self._now()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date is None:
            raise Unknown("AWS's answer has no date")
        there = parsedate_to_datetime(date).timestamp()
        # The answer was written between the two times, and its date has whole seconds.
        skew_s = max(before - (there + 1), there - after, 0.0)
        if skew_s > _SKEW_LIMIT_S:
            slow = "behind" if there > after else "ahead"
            raise ConfigurationError(
                f"this machine's clock is {skew_s:.0f} s {slow} of AWS's",
                hint="Correct it, and keep it correct with NTP: AWS refuses requests with a wrong "
                "time.",
            )
        return "agrees with AWS's to the second" if not skew_s else f"{skew_s:.0f} s off AWS's"

    def bucket(self) -> str:
        """Check that tasks can pass through the bucket, and that it is private."""
        name = self._options.s3_bucket_name
        bucket = S3Bucket(self._clients, name)
        bucket.check()
        key = f"{OBJECT_PREFIX}doctor-{uuid.uuid4().hex}"
        bucket.put(key, b"")
        bucket.delete([key])
        seen = self._settings(BucketResource(self._clients, name, account="ACCOUNT"))
        return f"{name}: objects can be written and deleted; {seen}"

    def repository(self) -> str:
        """Check that the repository can hold the images."""
        name = self._options.ecr_repository
        repository = RepositoryResource(self._clients, name)
        try:
            there = repository.exists()
        except LambdaContainerError as exc:
            # A dispatcher that does not build does not need this permission.
            if is_denial(exc):
                raise Unknown("not allowed to look for it: ecr:DescribeRepositories") from exc
            raise
        if not there:
            raise ConfigurationError(
                f"there is no repository {name!r}",
                hint="Create it with 'covalent-lambda bootstrap', or name another in "
                "ecr_repository.",
            )
        return f"{name}: {self._settings(repository)}"

    def role(self) -> str:
        """Check that functions can run as the role."""
        name = self._options.lambda_role_name.rpartition("/")[2]
        with explained("look for the execution role", name, ConfigurationError):
            iam = self._clients.iam
            try:
                role: Any = iam.get_role(RoleName=name)["Role"]
            except iam.exceptions.NoSuchEntityException:
                raise ConfigurationError(
                    f"there is no role {name!r}",
                    hint="Create it with 'covalent-lambda bootstrap', or name another in "
                    "lambda_role_name.",
                ) from None
        if not trusts_lambda(role["AssumeRolePolicyDocument"]):
            raise ConfigurationError(
                f"Lambda cannot assume role {name!r}: its trust policy does not name "
                "lambda.amazonaws.com",
                hint="'covalent-lambda bootstrap' fixes a role that it created. Otherwise, name "
                "another one in lambda_role_name.",
            )
        return f"{role['Arn']}: Lambda may assume it"

    def concurrency(self) -> str:
        """Check how many tasks the account can run at once."""
        wanted = self._options.reserved_concurrency
        try:
            with explained("get the account's quotas as", self._who, ConfigurationError):
                limit = self._clients.functions.get_account_settings()["AccountLimit"]
        except LambdaContainerError as exc:
            if is_denial(exc):
                raise Unknown("not allowed to see it: lambda:GetAccountSettings") from exc
            raise
        total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
        if wanted and wanted > free - _UNRESERVABLE:
            raise ConfigurationError(
                f"{free} of the account's {total} executions at once are not reserved; with "
                f"reserved_concurrency={wanted}, fewer than the {_UNRESERVABLE} that AWS requires "
                "would be left",
                hint="Ask for more in the console of Service Quotas, or lower "
                "reserved_concurrency.",
            )
        if self._options.prewarm > free:
            raise ConfigurationError(
                f"prewarm={self._options.prewarm}, but the account runs {free} executions at once",
                hint="Ask for more in the console of Service Quotas, or lower prewarm.",
            )
        return f"{total} tasks at once, {free} of them not reserved; more tasks wait"

    @property
    def _clients(self) -> AwsClients:
        return clients_of(self._options)

    @property
    def _who(self) -> str:
        return self._options.profile or "default"

    def _settings(self, resource: Resource) -> str:
        """Report which of a resource's settings are in place, and which could not be read."""
        found: dict[bool | None, list[str]] = {True: [], False: [], None: []}
        for setting in resource.settings():
            found[_holds(setting)].append(setting.name)
        holding, wrong, unseen = found[True], found[False], found[None]
        if wrong:
            raise ConfigurationError(
                f"{resource.kind} {resource.name}: wrong settings: {'; '.join(wrong)}",
                hint="'covalent-lambda bootstrap' fixes what it created, and with --adopt what was "
                "created otherwise.",
            )
        settings = "; ".join(holding)
        if unseen:
            settings = "; ".join(
                filter(None, [settings, f"not allowed to see whether {', '.join(unseen)}"])
            )
        return settings


def _holds(setting: Setting) -> bool | None:
    """Return whether a setting is in place; None if this identity may not read it."""
    try:
        return setting.holds()
    except LambdaContainerError as exc:
        if not is_denial(exc):
            raise
        return None
