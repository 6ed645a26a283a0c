"""A connection to the Docker engine, and pulls with the credentials that they need."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import docker
from docker import auth
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.credentials.errors import StoreError
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from docker.utils import parse_repository_tag
from docker.utils.config import find_config_file

from covalent_lambda_container.adapters.docker.address import EngineAddress, engine_address
from covalent_lambda_container.adapters.docker.build_arguments import keep_out_of_logs
from covalent_lambda_container.adapters.docker.failures import ENGINE_ERRORS, explained
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.errors import ImageBuildError

log = logging.getLogger(__name__)

_CREDENTIAL_ERRORS: Final = (DockerException, StoreError, KeyError, ValueError, OSError)
"""docker-py's errors for a credential helper that is missing, fails, or returns invalid data."""

NOT_PULLED: Final = (
    "Check the image's name and tag (option base_image; default: AWS's image for the client's "
    "Python). If its registry is private, log in to it with 'docker login'; if it cannot be "
    "reached, check the network and the proxy of the Docker engine."
)
"""Advice for a root image that an engine cannot pull."""

_BUILD_TIMEOUT_S: Final = 6 * 3600
"""Compiling a package may print nothing for hours; docker-py's default is 60 s."""


class EngineConnection:
    """A connection to an engine, opened on first use and again after a failure.

    Parameters
    ----------
    address
        The engine's address; default: that of Docker's command line.
    """

    def __init__(self, address: EngineAddress | None = None) -> None:
        self._address = address
        self._client: docker.DockerClient | None = None

    @contextmanager
    def client(self, operation: str, refused: str = "") -> Iterator[docker.DockerClient]:
        """Yield a client; what fails is raised as an `ImageBuildError` that names the operation.

        The error has the advice `refused` if the engine answers that it cannot do it.

        When the work is cancelled, the engine's answers break off, with which it stops what it does
        for them, and `Cancelled` is raised.
        """
        address = self._address or engine_address()
        with explained(operation, address, refused):
            try:
                if self._client is None:
                    self._client = connect(address)
                yield self._client
            except ENGINE_ERRORS:
                self.close()
                cancellable.check()
                raise
            except ImageBuildError:
                # An answer that breaks off may look like one that ends too soon.
                cancellable.check()
                raise

    @contextmanager
    def api(self, operation: str) -> Iterator[docker.APIClient]:
        """Yield the engine's API, like `client`."""
        with self.client(operation) as client:
            yield client.api

    def close(self) -> None:
        """Close the connection; it may be used again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def connect(
    address: EngineAddress | None = None, *, timeout_s: int = _BUILD_TIMEOUT_S
) -> docker.DockerClient:
    """Connect to an engine.

    Parameters
    ----------
    address
        The engine's address; default: that of `engine_address`.
    timeout_s
        Seconds that each request may remain silent.

    Raises
    ------
    docker.errors.DockerException
        No engine answers; see `explained`.
    """
    where = address or engine_address()
    keep_out_of_logs()
    # Replaces its API by `_Api`. With an explicit version, the constructor makes no request.
    client = docker.DockerClient(version=MINIMUM_DOCKER_API_VERSION)
    client.api.close()
    client.api = _Api(where.host, tls=_tls(where) or False, timeout=timeout_s)
    return client


def pull(client: docker.DockerClient, name: str, platform: str | None = None) -> None:
    """Pull an image, with the credentials of its registry if there are any.

    Raises
    ------
    docker.errors.DockerException
        It cannot be pulled, including for reasons inside the pull's stream.
    """
    repository, tag = _tagged(name)
    credentials = registry_credentials(name)
    for record in client.api.pull(
        repository, tag=tag, platform=platform, auth_config=credentials, stream=True, decode=True
    ):
        if "error" in record:
            raise APIError(str(record["error"]))


def registry_credentials(name: str) -> dict[str, str]:
    """Return the credentials for an image's registry, if any: most images need none.

    A credential helper that is missing or fails only causes a warning: it may not be needed.
    """
    registry, _ = auth.resolve_repository_name(_tagged(name)[0])
    try:
        # Read for each pull: a login may be newer than the connection.
        found = auth.load_config().resolve_authconfig(registry)
    except _CREDENTIAL_ERRORS as exc:
        log.warning(
            "Docker's credentials for %s cannot be read (%s: %s); trying without. Docker's "
            "configuration names the credential helper: %s",
            registry,
            type(exc).__name__,
            exc,
            find_config_file() or "absent",
        )
        return {}
    return dict(found or {})


class _Api(docker.APIClient):
    """Docker's API with what docker-py and requests add to it left out.

    Its answers break off when the work that waits for them is cancelled.
    """

    def send(self, request: Any, **given: Any) -> Any:
        response = super().send(request, **given)
        cancellation = cancellable.current()
        if cancellation is not None and given.get("stream"):
            cancellation.on_request(partial(_break_off, weakref.ref(response.raw)))
        return response

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        # REQUESTS_CA_BUNDLE would override the engine's own certificate authority.
        wanted = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, wanted, cert)

    def _raise_for_status(self, response: Any) -> None:
        try:
            super()._raise_for_status(response)  # type: ignore[misc]
        # docker-py assumes that a JSON answer has a message.
        except (KeyError, TypeError) as exc:
            kind = NotFound if response.status_code == HTTPStatus.NOT_FOUND else APIError
            raise kind(f"the engine answered {response.text[:500]}", response) from exc

    def _set_auth_headers(self, headers: Any) -> None:
        """Send no credentials with a build: the engine already has the image that it builds on.

        docker-py would send those of all registries, and ask every credential helper for them.
        """


def _break_off(answer: weakref.ref[Any]) -> None:
    """Have the thread that reads an answer see its end, unless it has been read."""
    raw = answer()
    # urllib3's for one that has been read.
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        if raw is not None:
            raw.shutdown()


def _tls(address: EngineAddress) -> TLSConfig | None:
    if not address.certificates:
        return None
    folder = Path(address.certificates)
    pair = folder / "cert.pem", folder / "key.pem"
    authority = folder / "ca.pem"
    return TLSConfig(
        client_cert=(str(pair[0]), str(pair[1])) if pair[0].exists() else None,
        ca_cert=str(authority) if authority.exists() else None,
        verify=address.verifies,
    )


def _tagged(name: str) -> tuple[str, str]:
    """Split a name into repository and tag or digest, as docker-py's ``pull`` expects."""
    repository, tag = parse_repository_tag(name)
    return repository, tag or "latest"
