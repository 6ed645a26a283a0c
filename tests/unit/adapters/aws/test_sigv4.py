"""Signatures from a specimen are those that botocore makes of the request itself."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from covalent_lambda_container.adapters.aws.sigv4 import PresignedUrls, SignedPosts

IDENTITIES = [
    ReadOnlyCredentials("AKI", "secret", None),
    ReadOnlyCredentials("ASI", "se/cr+et", "to/k+en=="),
]
KEYS = ["covalent/dispatch/1-0a/result", "", "a b/ä", "~/+&=?%41"]


def signature(auth: SigV4Auth, request: AWSRequest, timestamp: str) -> str:
    """Return what botocore makes of a whole request at another moment than now."""
    request.context["timestamp"] = timestamp
    canonical = auth.canonical_request(request)
    return auth.signature(auth.string_to_sign(request, canonical), request)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("credentials", IDENTITIES)
@pytest.mark.parametrize("base_url", ["https://jobs.s3.amazonaws.com/", "http://host:4566/jobs/"])
def test_presigned_urls_are_botocores(
    credentials: ReadOnlyCredentials, method: str, base_url: str
) -> None:
    urls = PresignedUrls(credentials, "eu-west-1", method=method, valid_s=960, base_url=base_url)
    for key in map(quote, KEYS):
        before, _, signed = urls.of(key).partition("&X-Amz-Signature=")
        assert before.startswith(f"{base_url}{key}?")
        query = parse_qs(urlsplit(before).query)
        assert query["X-Amz-Expires"] == ["960"]
        assert query.get("X-Amz-Security-Token") == (
            [credentials.token] if credentials.token else None
        )
        auth = S3SigV4QueryAuth(credentials, "s3", "eu-west-1")
        request = AWSRequest(method=method, url=before)
        assert signed == signature(auth, request, query["X-Amz-Date"][0])


@pytest.mark.parametrize("credentials", IDENTITIES)
def test_headers_are_botocores(credentials: ReadOnlyCredentials) -> None:
    url = "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/a%20name/invocations"
    given = {"Content-Type": "application/json", "X-Amz-Log-Type": "Tail"}
    posts = SignedPosts(credentials, "eu-west-1", service="lambda", url=url, headers=given)
    for body in (b"{}", b"\x00" * 1000):
        headers = posts.headers(body)
        assert headers.items() >= given.items()
        assert headers.get("X-Amz-Security-Token") == credentials.token
        said, _, signed = headers.pop("Authorization").partition(", Signature=")
        auth = SigV4Auth(credentials, "lambda", "eu-west-1")
        request = AWSRequest(method="POST", url=url, data=body, headers=headers)
        assert signed == signature(auth, request, headers["X-Amz-Date"])
        names = auth.signed_headers(auth.headers_to_sign(request))
        assert said == f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}"


def test_later_signatures_do_not_change_earlier_ones() -> None:
    posts = SignedPosts(
        IDENTITIES[0], "eu-west-1", service="lambda", url="https://example.com/", headers={}
    )
    one = posts.headers(b"1")
    kept = dict(one)
    assert posts.headers(b"2") != one == kept == posts.headers(b"1")
