"""AWS's signatures for requests that differ in only one place.

For every request that it signs, botocore builds the canonical form from scratch, which takes longer
than everything else a small task needs here. These classes let botocore sign one specimen, and
derive the signatures of similar requests from its canonical form.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping
from functools import reduce
from hashlib import sha256

from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials


class PresignedUrls:
    """Presigned URLs of S3 objects, all signed at the same time.

    Parameters
    ----------
    credentials, region
        Credentials to sign with, and the bucket's region.
    method
        Method that the URLs allow, ``"GET"`` or ``"PUT"``.
    valid_s
        How long they are valid.
    base_url
        The URL up to the objects' keys.
    """

    def __init__(
        self,
        credentials: ReadOnlyCredentials,
        region: str,
        *,
        method: str,
        valid_s: int,
        base_url: str,
    ) -> None:
        key = uuid.uuid4().hex
        request = AWSRequest(method=method, url=base_url + key)
        auth = _QueryAuth(credentials, "s3", region, expires=valid_s)
        self._specimen = _Specimen(auth, request, key)
        self._head, _, rest = str(request.url).partition(key)
        self._query = rest.removesuffix(self._specimen.signature(key))

    def of(self, key: str) -> str:
        """Return the URL of an object.

        Parameters
        ----------
        key
            Its key, percent-encoded.
        """
        return f"{self._head}{key}{self._query}{self._specimen.signature(key)}"


class SignedPosts:
    """Headers of POST requests to one URL, all signed at the same time.

    Parameters
    ----------
    credentials, region, service
        Credentials to sign with, and the service's region and name, such as ``"lambda"``.
    url
        The URL.
    headers
        Headers to sign and send, in addition to those that the signature needs.
    """

    def __init__(
        self,
        credentials: ReadOnlyCredentials,
        region: str,
        *,
        service: str,
        url: str,
        headers: Mapping[str, str],
    ) -> None:
        body = uuid.uuid4().bytes
        request = AWSRequest(method="POST", url=url, data=body, headers=headers)
        digest = sha256(body).hexdigest()
        self._specimen = _Specimen(_HeaderAuth(credentials, service, region), request, digest)
        self._headers = dict(request.headers.items())
        authorization = self._headers["Authorization"]
        self._authorization = authorization.removesuffix(self._specimen.signature(digest))

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers of a request with this body."""
        signature = self._specimen.signature(sha256(body).hexdigest())
        return self._headers | {"Authorization": self._authorization + signature}


class _HeaderAuth(SigV4Auth):
    """Keeps the canonical form of the request that it signed."""

    canonical = ""

    def canonical_request(self, request: AWSRequest) -> str:
        self.canonical = super().canonical_request(request)
        return self.canonical


class _QueryAuth(_HeaderAuth, S3SigV4QueryAuth):
    """The same for signatures in a URL."""


class _Specimen:
    """A request that botocore signs, and the one place in which similar requests differ."""

    def __init__(self, auth: _HeaderAuth, request: AWSRequest, place: str) -> None:
        auth.add_auth(request)
        before, _, after = auth.canonical.partition(place)
        self._before, self._after = sha256(before.encode()), after.encode()
        # The string to sign ends with the hash of the canonical form.
        digest = sha256(auth.canonical.encode()).hexdigest()
        start = auth.string_to_sign(request, auth.canonical).removesuffix(digest)
        # The key is valid for a day ("Create a signed AWS API request", IAM user guide, read
        # 2026-11); botocore derives it again for each signature.
        scope = auth.credential_scope(request).split("/")
        key = reduce(_derived, scope, f"AWS4{auth.credentials.secret_key}".encode())
        self._start = hmac.new(key, start.encode(), sha256)

    def signature(self, content: str) -> str:
        """Return the signature of a request with other content in that place."""
        canonical, signature = self._before.copy(), self._start.copy()
        canonical.update(content.encode() + self._after)
        signature.update(canonical.hexdigest().encode())
        return signature.hexdigest()


def _derived(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), sha256)
