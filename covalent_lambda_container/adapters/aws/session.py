"""AWS sessions and clients, created once per process."""

from __future__ import annotations

import asyncio
import functools
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
)
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from covalent_lambda_container.adapters.aws import partitions
from covalent_lambda_container.adapters.aws.aws_errors import explained
from covalent_lambda_container.adapters.aws.credential_source import CredentialSource
from covalent_lambda_container.adapters.aws.credentials import CurrentCredentials
from covalent_lambda_container.adapters.aws.debug_logs import hide_secrets
from covalent_lambda_container.adapters.aws.refusals import OWN_NAMES, local_stack_advice
from covalent_lambda_container.adapters.aws.refused_requests import repeat_refused_requests
from covalent_lambda_container.concurrency.event_loop import PerLoop, in_thread
from covalent_lambda_container.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

_QUICK_S: Final = 3

_S3_CONNECTIONS: Final = 64
"""Connections kept open. Beyond botocore's default of ten, each object would open and close one."""

_RETRIES: Final[Any] = {"mode": "standard", "max_attempts": 3}
_CONTROL_PLANE_RETRIES: Final[Any] = {"mode": "standard", "max_attempts": 8}
"""boto3's own retries, for calls that may be repeated."""
_OWN_ATTEMPTS: Final = 4
"""Attempts where nothing listens on this machine, about four seconds: a stack may be restarting."""


@dataclass(frozen=True, kw_only=True)
class AwsTarget:
    """An account, identity, region and endpoint. Empty strings leave the choice to boto3."""

    credentials_file: str = ""
    profile: str = ""
    region: str = ""
    endpoint_url: str = ""


class AwsClients:
    """The clients of one target, each created on first use.

    Parameters
    ----------
    target
        Account, identity, region and endpoint.
    session
        An existing session; default: one created for the target.
    """

    def __init__(self, target: AwsTarget, session: boto3.Session | None = None) -> None:
        self.target = target
        hide_secrets()
        self._lock = threading.RLock()
        self._renewals: PerLoop[list[asyncio.Future[ReadOnlyCredentials]]] = PerLoop(list)
        opening = "open an AWS session" + (" with profile" if target.profile else "")
        with explained(opening, target.profile):
            self._core = session._session if session else _core_session(target)
            self._session = session or boto3.Session(botocore_session=self._core)
        self._is_readable_again = session is None
        self._source = CredentialSource(self._core.get_credentials)
        self._source_again = CredentialSource(self._read_source_again)
        self._arns: dict[int, str] = {}

    @functools.cached_property
    def s3(self) -> S3Client:
        # Newer buckets refuse the old signature that presigning uses by default in us-east-1.
        config = Config(
            signature_version="s3v4", retries=_RETRIES, max_pool_connections=_S3_CONNECTIONS
        )
        client: S3Client = self._client("s3", config)
        return client

    @functools.cached_property
    def ecr(self) -> ECRClient:
        client: ECRClient = self._client("ecr", Config(retries=_RETRIES))
        return client

    @functools.cached_property
    def iam(self) -> IAMClient:
        client: IAMClient = self._client("iam", Config(retries=_RETRIES))
        return client

    @functools.cached_property
    def sts(self) -> STSClient:
        # Callers do not depend on its answer, so they do not wait for long.
        config = Config(connect_timeout=_QUICK_S, read_timeout=_QUICK_S, retries=_RETRIES)
        client: STSClient = self._client("sts", config)
        return client

    @functools.cached_property
    def logs(self) -> Any:
        return self._client("logs", Config(retries=_RETRIES))

    @property
    def caller_arn(self) -> str:
        """ARN of these clients' identity; empty if AWS does not report it now."""
        generation = self.generation
        if generation not in self._arns:
            try:
                self._arns[generation] = self.sts.get_caller_identity()["Arn"]
            except (BotoCoreError, ClientError):
                # Not remembered: the next one may be answered.
                return ""
        return self._arns[generation]

    @functools.cached_property
    def functions(self) -> LambdaClient:
        """Lambda's control plane: 15 requests a second for the whole account."""
        client: LambdaClient = self._client("lambda", Config(retries=_CONTROL_PLANE_RETRIES))
        return client

    async def renew_credentials(self) -> None:
        """Renew the credentials, in a thread, when they are about to expire."""
        credentials = self._credentials
        if credentials is None or not credentials.are_due:
            return
        # One thread for all tasks that wait for it, whose number may be in the thousands.
        renewals = self._renewals.get()
        if not renewals:
            renewal = in_thread(self._renew, credentials)
            renewals.append(asyncio.ensure_future(renewal))
            renewals[0].add_done_callback(renewals.remove)
        await asyncio.shield(renewals[0])

    def _renew(self, credentials: CurrentCredentials) -> ReadOnlyCredentials:
        with explained("renew the credentials of", self.target.profile or "default profile"):
            return credentials.get_frozen_credentials()

    def frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials to sign with; does not block after `renew_credentials`.

        Raises
        ------
        NoCredentialsError
            boto3 finds no credentials.
        """
        if self._credentials is None:
            raise NoCredentialsError
        return self._credentials.get_frozen_credentials()

    @property
    def generation(self) -> int:
        """The number of times the credentials were replaced because AWS refused them."""
        return self._credentials.generation if self._credentials else 0

    def replace_refused(self, generation: int) -> bool:
        """Read the credentials again after AWS has refused those of a generation; may take seconds.

        Returns
        -------
        bool
            Whether a refused request may be sent again: there are others now, or soon, since the
            refused ones had been accepted before.
        """
        credentials = self._credentials
        return credentials is not None and (
            credentials.replace_refused(generation) or credentials.were_accepted
        )

    def note_accepted(self) -> None:
        """Note that AWS has accepted the credentials."""
        if self._credentials:
            self._credentials.were_accepted = True

    @functools.cached_property
    def _credentials(self) -> CurrentCredentials | None:
        with self._lock:
            found = self._source.get()
            if found is None or isinstance(found, CurrentCredentials):
                return found
            current = CurrentCredentials(found, self._read_again)
            # For boto3's clients as well, which take what the session has.
            vars(self._core)["_credentials"] = current
            repeat_refused_requests(self._core, current)
            return current

    def _read_again(self) -> tuple[Credentials, ReadOnlyCredentials] | None:
        if not self._is_readable_again:
            return None
        try:
            return self._source_again.get()
        except (BotoCoreError, ClientError, ConfigurationError):
            # The refusal says more to the user: the file may be half written.
            return None

    def _read_source_again(self) -> tuple[Credentials, ReadOnlyCredentials] | None:
        # Another session: this one keeps the files that it has read.
        found = _core_session(self.target).get_credentials()
        return None if found is None else (found, found.get_frozen_credentials())

    @property
    def certificates(self) -> str:
        """Path of the PEM file of authorities that verify AWS's endpoints."""
        configured = self._core.get_config_variable("ca_bundle")
        return str(get_cert_path(configured or True))

    def proxy_for(self, url: str) -> str | None:
        """Return the environment's proxy for a URL, or None."""
        return get_environ_proxies(url).get(urlsplit(url).scheme)

    @property
    def registry_host(self) -> str | None:
        """Host and port of a custom endpoint, which also serves the registry; None for AWS."""
        url = self.ecr.meta.endpoint_url
        return None if self.is_aws(url) else urlsplit(url).netloc

    def is_aws(self, url: str) -> bool:
        """Return whether a URL is AWS's own, in any partition."""
        return partitions.is_aws(self._core, url)

    def registry_of(self, account: str) -> str:
        """Return the host of an account's registry, without calling AWS.

        ``123456789012.dkr.ecr.REGION.amazonaws.com``, or below the domain of another partition
        ("Amazon ECR private registry", read 2026-11).
        """
        meta: Any = self.ecr.meta
        domain = partitions.domain_of(self._core, meta.partition)
        return self.registry_host or f"{account}.dkr.ecr.{meta.region_name}.{domain}"

    def _client(self, service: str, config: Config) -> Any:
        # boto3 sessions must not create clients in several threads at once.
        with self._lock, explained(f"open an AWS client for {service}"):
            _ = self._credentials
            client = self._session.client(  # type: ignore[call-overload]
                service, config=config, endpoint_url=self.target.endpoint_url or None
            )
        if urlsplit(client.meta.endpoint_url).hostname in OWN_NAMES:
            client.meta.events.register_first("needs-retry", _give_up_early)
        return client


def _give_up_early(attempts: int, caught_exception: Exception | None, **_: Any) -> None:
    """End boto3's retries of a request that this machine itself refuses: its stack is stopped.

    For Lambda's control plane, they would take most of a minute.
    """
    if isinstance(caught_exception, EndpointConnectionError) and attempts >= _OWN_ATTEMPTS:
        raise caught_exception


@functools.lru_cache(maxsize=64)
def clients_for(target: AwsTarget) -> AwsClients:
    """Return the process's clients for a target; equal targets share them."""
    return AwsClients(target)


def _core_session(target: AwsTarget) -> botocore.session.Session:
    core = botocore.session.Session()
    if target.credentials_file:
        path = Path(target.credentials_file).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"AWSLambdaContainerExecutor option credentials_file={target.credentials_file!r}: "
                "the file does not exist on the dispatcher's machine.",
                # A stopped stack has removed it.
                hint=local_stack_advice(target.endpoint_url),
            )
        core.set_config_variable("credentials_file", str(path))
    if target.profile:
        core.set_config_variable("profile", target.profile)
    if target.region:
        core.set_config_variable("region", target.region)
    return core
