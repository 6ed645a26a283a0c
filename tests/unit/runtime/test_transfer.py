"""Transfers: retried if that helps, and without signatures in errors."""

from __future__ import annotations

import tempfile
from http import HTTPStatus

import pytest

from covalent_lambda_container.runtime.transfer import _request, download, look, upload
from tests.fakes import FakeBlobStore, FakeClock
from tests.fakes.blobs import error_text
from tests.fakes.loopback import LoopbackHandler, LoopbackServer


def fetched(url: str, clock: FakeClock | None = None, patience_s: float = 5) -> bytes:
    """Download an object and return it."""
    with tempfile.TemporaryFile() as file:
        download(url, file.fileno(), patience_s=patience_s, clock=clock or FakeClock())
        return file.read()


def test_bytes_go_both_ways(blobs: FakeBlobStore) -> None:
    upload(blobs.write_url("a key", valid_s=60), [b"\x00", b"", b"\xff"])
    assert fetched(blobs.read_url("a key", valid_s=60)) == b"\x00\xff"


def test_a_large_object_is_sent_in_pieces_of_known_length(blobs: FakeBlobStore) -> None:
    upload(blobs.write_url("key", valid_s=60), [b"x" * 2_500_000, b"y"])
    assert blobs.objects["key"] == b"x" * 2_500_000 + b"y"


@pytest.mark.parametrize("size", [8 * 1024 * 1024, 8 * 1024 * 1024 + 1, 33_000_001])
def test_a_large_object_is_fetched_in_parts_and_whole(blobs: FakeBlobStore, size: int) -> None:
    body = b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]
    blobs.put("key", body)
    blobs.failing_requests = 1
    assert fetched(blobs.read_url("key", valid_s=60)) == body
    assert len(blobs.requests) == 1 + -(-size // (8 * 1024 * 1024))


def test_an_object_is_there_or_it_is_not(blobs: FakeBlobStore) -> None:
    url = blobs.read_url("key", valid_s=60)
    assert look(url) is None
    blobs.put("key", b"it")
    assert look(url) == b"it"
    assert len(blobs.requests) == 2


def test_whether_an_object_is_there_is_not_guessed(blobs: FakeBlobStore) -> None:
    blobs.failing_requests = 1
    with pytest.raises(OSError, match="503"):
        look(blobs.read_url("key", valid_s=60))


def test_a_server_error_is_retried(blobs: FakeBlobStore) -> None:
    blobs.failing_requests = 1
    upload(blobs.write_url("key", valid_s=60), [b"bo", b"dy"], clock=FakeClock())
    assert blobs.requests == ["PUT key"] * 2
    assert blobs.objects["key"] == b"body"


def test_a_server_that_stays_down_is_given_up_with_its_last_word(blobs: FakeBlobStore) -> None:
    blobs.failing_requests = 99
    clock = FakeClock()
    with pytest.raises(
        OSError, match=r"^S3 answered GET with HTTP 503 .*\(SlowDown: Reduce the rate\.\)$"
    ):
        fetched(blobs.read_url("key", valid_s=60), clock)
    assert clock.now() == 3
    assert clock.sleeps == [0.2, 0.4, 0.8, 1.6]


def test_an_upload_is_tried_as_long_as_there_is_time(blobs: FakeBlobStore) -> None:
    blobs.failing_requests = 20
    clock = FakeClock()
    upload(blobs.write_url("key", valid_s=60), [b"body"], patience_s=800, clock=clock)
    assert blobs.objects["key"] == b"body"
    assert max(clock.sleeps) == 5
    blobs.failing_requests = 999
    with pytest.raises(OSError, match="503"):
        upload(blobs.write_url("key", valid_s=60), [b"body"], patience_s=100, clock=clock)
    assert clock.now() <= 78 + 100


def test_a_refusal_is_final_and_does_not_show_the_signature(blobs: FakeBlobStore) -> None:
    said = r"^S3 answered PUT with HTTP 403 Forbidden \(SignatureDoesNotMatch: Check your key\.\)$"
    with pytest.raises(OSError, match=said):
        upload(blobs.read_url("key", valid_s=60), [b"bo", b"dy"])
    assert len(blobs.requests) == 1


def test_an_expired_url_is_refused(blobs: FakeBlobStore) -> None:
    with pytest.raises(OSError, match=r"403 Forbidden \(AccessDenied: Request has expired\)"):
        fetched(blobs.read_url("key", valid_s=-1))


def test_a_denied_request_is_not_repeated(blobs: FakeBlobStore) -> None:
    blobs.denials = True
    with pytest.raises(OSError, match=r"403 Forbidden \(AccessDenied: Access Denied\)"):
        upload(blobs.write_url("key", valid_s=60), [b"body"], patience_s=800, clock=FakeClock())
    assert len(blobs.requests) == 1


class OneRefusal(LoopbackHandler):
    """Refuses the first request."""

    fake: Refusing

    def _serve(self) -> None:
        self.body()
        contents = self.fake.contents
        status = HTTPStatus.BAD_REQUEST if contents else HTTPStatus.OK
        self.answer(status, contents.pop() if contents else b"", {})

    do_PUT = _serve  # noqa: N815 - http.server's name


class Refusing(LoopbackServer):
    handler = OneRefusal

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.contents = [content]


def test_a_request_that_took_s3_too_long_is_repeated() -> None:
    with Refusing(error_text("RequestTimeout", "Idle connections will be closed.")) as server:
        upload(f"{server.url}/key", [b"body"], clock=FakeClock())
        assert server.contents == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"<Code></Code>", b"<Code>" + b"x" * 9999])
def test_an_unreadable_reason_is_left_out(content: bytes) -> None:
    with (
        Refusing(content) as server,
        pytest.raises(OSError, match=r"^S3 answered PUT with HTTP 400 Bad Request$"),
    ):
        upload(f"{server.url}/key", [b"body"], clock=FakeClock())


def test_an_unreachable_server_is_named_without_its_url() -> None:
    with pytest.raises(OSError, match=r"^S3 could not be reached for GET: ") as caught:
        fetched("http://127.0.0.1:1/key?signature=secret", patience_s=0)
    assert "secret" not in str(caught.value)


def test_a_url_of_the_dispatchers_host_leads_to_the_announced_endpoint(
    blobs: FakeBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = blobs.write_url("key", valid_s=60).replace(blobs.endpoint, "localhost:4566")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{blobs.endpoint}")
    upload(url, [b"body"])
    assert blobs.objects["key"] == b"body"
    assert blobs.hosts == ["localhost:4566"], "the name that was signed"


def test_a_url_of_aws_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    request = _request("https://bucket.example.com/key?signature=0a", "GET", None)
    assert request.full_url == "https://bucket.example.com/key?signature=0a"
    assert not request.has_header("Host")
