"""A registry that speaks the HTTP API, keeps what it is given, and fails on request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.loopback import LoopbackHandler, LoopbackServer

_PATH = re.compile(
    r"(?:/storage)?/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|blobs|manifests)/?(?P<rest>[^/]*)"
)


@dataclass
class Fault:
    """What goes wrong with the next requests that it fits.

    Attributes
    ----------
    method, kind
        Which requests: ``"PUT"``, ``"manifests"``.
    status, code
        The answer; status 0 closes the connection without one.
    headers
        Of the answer.
    times
        How many requests.
    after_bytes
        How much of the body is read before; None for all of it.
    silent_s
        How long the registry is silent before.
    """

    method: str
    kind: str
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after_bytes: int | None = None
    silent_s: float = 0.0


class _Handler(LoopbackHandler):
    fake: FakeRegistryServer

    def _serve(self) -> None:
        self.fake.authorizations.append(self.headers.get("Authorization"))
        if urlsplit(self.path).path == "/token":
            self._token()
            return
        found = _PATH.fullmatch(urlsplit(self.path).path)
        assert found, self.path
        name, kind, rest = found["name"], found["kind"], found["rest"]
        self.fake.requests.append((self.command, kind, rest))
        fault = self.fake.fault(self.command, kind)
        time.sleep(fault.silent_s if fault else 0)
        if fault is not None and fault.after_bytes is not None:
            self.rfile.read(fault.after_bytes)
            self.close_connection = True
            return
        body = self.body()
        if body:
            time.sleep(self.fake.seconds_per_body)
        if fault is not None:
            if fault.status:
                self._error(fault.status, fault.code, fault.headers)
            self.close_connection = True
            return
        if not self._is_known():
            self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": self._challenge()})
        elif self.fake.blobs_at and (self.command, kind) == ("GET", "blobs"):
            self.answer(307, b"", {"Location": f"{self.fake.blobs_at}{self.path}"})
        elif name not in self.fake.repositories:
            self._error(404, "NAME_UNKNOWN")
        else:
            self._answer(self.fake.repositories[name], name, kind, rest, body)

    def _is_known(self) -> bool:
        return self.fake.is_open or self.headers.get("Authorization") == (
            f"Bearer {self.fake.token}" if self.fake.token else self._basic()
        )

    def _basic(self) -> str:
        return f"Basic {base64.b64encode(f'AWS:{self.fake.password}'.encode()).decode()}"

    def _challenge(self) -> str:
        if not self.fake.token:
            return 'Basic realm="fake"'
        return f'Bearer realm="{self.fake.url}/token",service="fake"'

    def _token(self) -> None:
        fault = self.fake.fault(self.command, "token")
        if fault is not None:
            if fault.status:
                self._error(fault.status, fault.code, fault.headers)
            self.close_connection = True
        elif self.headers.get("Authorization") != self._basic():
            self._error(401, "UNAUTHORIZED")
        else:
            self.answer(200, json.dumps({"token": self.fake.token}).encode(), {})

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815 - http.server's names

    def _answer(self, held: Stored, name: str, kind: str, rest: str, body: bytes) -> None:
        if kind == "blobs" and rest in held.blobs:
            data = held.blobs[rest]
            if self.fake.changed_bytes:
                self.fake.changed_bytes -= 1
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.answer(200, data, {})
        elif kind == "blobs":
            self._error(404, "BLOB_UNKNOWN")
        elif kind == "blobs/uploads":
            self._upload(held, name, rest, body)
        elif self.command == "PUT":
            self._manifest(held, rest, body)
        elif rest in held.manifests:
            media_type, data = held.manifests[rest]
            self.answer(200, data, {"Content-Type": media_type})
        else:
            self._error(404, "MANIFEST_UNKNOWN")

    def _upload(self, held: Stored, name: str, rest: str, body: bytes) -> None:
        key = rest if self.command != "POST" else uuid.uuid4().hex
        if self.command == "POST":
            held.uploads[key] = b""
        elif key not in held.uploads:
            self._error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        held.uploads[key] += body
        if self.command == "PUT":
            (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
            data = held.uploads.pop(key)
            if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
                self._error(400, "DIGEST_INVALID")
                return
            held.blobs[digest] = data
            self.answer(201, b"", {})
            return
        place = self.fake.location.format(url=self.fake.url, name=name, key=key)
        self.answer(202, b"", {"Location": place} if place else {})

    def _manifest(self, held: Stored, tag: str, body: bytes) -> None:
        with self.fake.lock:
            if self.fake.forgets:
                held.blobs.pop(self.fake.forgets.pop(), None)
            content = json.loads(body)
            named = [each["digest"] for each in [content["config"], *content["layers"]]]
            if any(digest not in held.blobs for digest in named):
                self._error(404, "MANIFEST_BLOB_UNKNOWN")
            elif tag in held.manifests:
                self._error(400, "TAG_INVALID: the tag is immutable")
            else:
                digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
                stored = self.headers["Content-Type"], body
                held.manifests |= {tag: stored, digest: stored}
                self.answer(201, b"", {})

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        error = {"errors": [{"code": code, "message": code.lower()}]}
        self.answer(status, json.dumps(error).encode(), headers or {})


@dataclass
class Stored:
    """What a repository holds."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class FakeRegistryServer(LoopbackServer):
    """Serves repositories whose tags are immutable, to who knows the password.

    Attributes
    ----------
    repositories
        By name.
    password
        What a client has to present.
    requests
        Method, kind and last part of the path of each request.
    faults
        What is to go wrong, each once or more.
    forgets
        Blobs that are gone when the next manifests come.
    changed_bytes
        How many of the next blobs that are read have a wrong byte.
    seconds_per_body
        How long it takes to answer a request that has a body.
    authorizations
        Of each request, or None.
    token
        What its token service gives to who knows the password; requests then have to present that.
    is_open
        Set to ask nobody for anything.
    blobs_at
        Address of another server, which has the blobs.
    location
        Where it says that uploads go on.
    """

    handler = _Handler

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.repositories: dict[str, Stored] = {}
        self.password = "secret-of-the-registry"
        self.requests: list[tuple[str, str, str]] = []
        self.faults: list[Fault] = []
        self.forgets: list[str] = []
        self.changed_bytes = 0
        self.seconds_per_body = 0.0
        self.authorizations: list[str | None] = []
        self.token = self.blobs_at = ""
        self.is_open = False
        self.location = "/v2/{name}/blobs/uploads/{key}"
        self.lock = threading.Lock()

    def fault(self, method: str, kind: str) -> Fault | None:
        """Return what is to go wrong with a request."""
        with self.lock:
            for fault in self.faults:
                if (fault.method, fault.kind) == (method, kind) and fault.times:
                    fault.times -= 1
                    return fault
        return None

    def add_image(self, name: str, tag: str, layers: list[bytes], config: Any, **types: str) -> str:
        """Put an image into a repository, as from a push; return its manifest's digest."""
        held = self.repositories.setdefault(name, Stored())
        data = json.dumps(config).encode()
        described = []
        for content in [data, *layers]:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            held.blobs[digest] = content
            described.append({"digest": digest, "size": len(content)})
        oci = "application/vnd.oci.image"
        layer_type = types.get("layer_type", f"{oci}.layer.v1.tar+gzip")
        manifest = {
            "schemaVersion": 2,
            "config": described[0] | {"mediaType": f"{oci}.config.v1+json"},
            "layers": [each | {"mediaType": layer_type} for each in described[1:]],
        }
        body = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        stored = f"{oci}.manifest.v1+json", body
        held.manifests |= {tag: stored, digest: stored}
        return digest
