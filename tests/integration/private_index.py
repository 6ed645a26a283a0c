"""A package index with a password and its own TLS authority, and a proxy with a password.

It serves wheels and source distributions that it makes, and git repositories by git's "dumb"
protocol.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import io
import os
import select
import socket
import ssl
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import trustme

from tests.fakes.loopback import TlsServer, serving

OPEN = "open"
"""First part of the paths that need no password."""

_GIT = {
    "GIT_AUTHOR_NAME": "nobody",
    "GIT_AUTHOR_EMAIL": "nobody@example.com",
    "GIT_COMMITTER_NAME": "nobody",
    "GIT_COMMITTER_EMAIL": "nobody@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_BACKEND = """
import pathlib, shutil
NAME, VERSION = {name!r}, {version!r}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    wheel = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    shutil.copy(pathlib.Path(__file__).with_name("made.zip"), pathlib.Path(folder, wheel))
    return wheel
"""


_TALKATIVE_BACKEND = """
import os, sys

def build_wheel(folder, config_settings=None, metadata_directory=None):
    sys.exit("\\n".join(f"{key}={value}" for key, value in os.environ.items() if "://" in value))
"""


class PrivateIndex:
    """An index; each user's password is checked.

    Parameters
    ----------
    folder
        Folder for the files that are served.
    hosts
        Names and addresses to which the certificate is made out; it listens on the addresses.
    logins
        Passwords by user.

    Attributes
    ----------
    authority
        PEM text of the authority that signed the certificate.
    requests
        User and path of each request that was answered.
    refused
        Paths of requests that came without a user, or with a wrong password.
    digests
        SHA-256 of what is served, hexadecimal, by file name.
    """

    def __init__(self, folder: Path, hosts: list[str], logins: dict[str, str]) -> None:
        self._folder = folder
        self._logins = {
            base64.b64encode(f"{user}:{password}".encode()).decode(): user
            for user, password in logins.items()
        }
        self._addresses = [host for host in hosts if host[0].isdigit()]
        authority = trustme.CA()
        self._certificate = authority.issue_cert(*hosts)
        self.authority = authority.cert_pem.bytes()
        self.requests: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.digests: dict[str, str] = {}
        self.port = 0
        (folder / "files").mkdir(parents=True)

    def add_wheel(
        self, index: str, name: str, version: str = "1.0", *, needs: Sequence[str] = ()
    ) -> None:
        """Put a wheel on the index of a name."""
        self._add(index, name, f"{name}-{version}-py3-none-any.whl", _wheel(name, version, needs))

    def add_installed(self, index: str, name: str) -> None:
        """Put a distribution that is installed here, and is of Python only, on an index."""
        distribution = importlib.metadata.distribution(name)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in distribution.files or ():
                if path.suffix != ".pyc" and ".." not in path.parts:
                    archive.writestr(zipfile.ZipInfo(str(path)), path.read_binary())
        file = f"{name}-{distribution.version}-py3-none-any.whl"
        self._add(index, name, file, buffer.getvalue())

    def add_source(
        self, index: str, name: str, version: str = "1.0", *, talkative: bool = False
    ) -> None:
        """Put a source distribution on an index.

        One that is talkative does not build, and shows the addresses in its environment instead.
        """
        buffer = io.BytesIO()
        files = _source(name, version)
        if talkative:
            files["backend.py"] = _TALKATIVE_BACKEND.encode()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for member, content in files.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{member}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        self._add(index, name, f"{name}-{version}.tar.gz", buffer.getvalue())

    def add_repository(
        self, name: str, version: str = "1.0", *, private: bool = False
    ) -> tuple[str, str]:
        """Make a git repository of a source tree; return its path and its commit."""
        path = f"{'private' if private else OPEN}/git/{name}.git"
        work, bare = self._folder / "work" / name, self._folder / path
        work.mkdir(parents=True)
        for member, content in _source(name, version).items():
            (work / member).write_bytes(content)
        git = partial(
            subprocess.run, check=True, capture_output=True, text=True, env=os.environ | _GIT
        )
        git(["git", "init", "-q", "-b", "main", str(work)])
        git(["git", "-C", str(work), "add", "."])
        git(["git", "-C", str(work), "commit", "-qm", "All of it"])
        git(["git", "clone", "-q", "--bare", str(work), str(bare)])
        git(["git", "-C", str(bare), "update-server-info"])
        commit = git(["git", "-C", str(bare), "rev-parse", "main"]).stdout.strip()
        return path, commit

    def url(self, host: str, path: str, login: str = "") -> str:
        """Return a URL on this server; `login` is ``user:password``."""
        return f"https://{login + '@' if login else ''}{host}:{self.port}/{path}"

    @contextmanager
    def running(self) -> Iterator[PrivateIndex]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        handler = type("Handler", (_Handler,), {"index": self})
        with ExitStack() as cleanup:
            for address in self._addresses:
                handles = partial(handler, directory=self._folder)
                server = TlsServer((address, self.port), handles, context)
                self.port = server.server_port
                cleanup.enter_context(serving(server))
            yield self

    def user_of(self, authorization: str) -> str | None:
        """Return who asks, or None for somebody unknown."""
        return self._logins.get(authorization.removeprefix("Basic "))

    def _add(self, index: str, name: str, file: str, content: bytes) -> None:
        (self._folder / "files" / file).write_bytes(content)
        digest = self.digests[file] = hashlib.sha256(content).hexdigest()
        page = self._folder / index / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a") as out:
            out.write(f'<a href="/files/{file}#sha256={digest}">{file}</a>\n')


class _Handler(SimpleHTTPRequestHandler):
    index: PrivateIndex

    def do_GET(self) -> None:
        if self._admitted():
            super().do_GET()

    def do_HEAD(self) -> None:
        if self._admitted():
            super().do_HEAD()

    def _admitted(self) -> bool:
        path = urlsplit(self.path).path
        user = self.index.user_of(self.headers.get("Authorization", ""))
        if user is None and not path.startswith(f"/{OPEN}/"):
            self.index.refused.append(path)
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        self.index.requests.append((user or "", path))
        return True

    def log_message(self, *_: Any) -> None:
        pass


def bridge_address() -> str:
    """Return the address by which containers reach this machine."""
    with contextlib.closing(docker.from_env()) as client:
        (configuration,) = client.networks.get("bridge").attrs["IPAM"]["Config"]
        return str(configuration["Gateway"])


class Proxy:
    """A proxy for TLS connections that asks for a password.

    Parameters
    ----------
    address
        Where it listens.
    login
        ``user:password``.

    Attributes
    ----------
    passed_on
        Hosts that were connected to.
    refused
        Hosts that were asked for without the password.
    """

    def __init__(self, address: str, login: str) -> None:
        self._authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
        self.passed_on: list[str] = []
        self.refused: list[str] = []
        self._server = ThreadingHTTPServer(
            (address, 0), type("Handler", (_ProxyHandler,), {"proxy": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://{login}@{address}:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        with serving(self._server):
            yield self

    def admits(self, authorization: str, host: str) -> bool:
        admitted = authorization == self._authorization
        (self.passed_on if admitted else self.refused).append(host)
        return admitted


class _ProxyHandler(BaseHTTPRequestHandler):
    proxy: Proxy

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        if not self.proxy.admits(self.headers.get("Proxy-Authorization", ""), host):
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with socket.create_connection((host, int(port)), timeout=10) as upstream:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [], 30)[0] or [None]:
                    piece = end.recv(1 << 16) if end else b""
                    if not piece:
                        self.close_connection = True
                        return
                    ends[end].sendall(piece)

    def log_message(self, *_: Any) -> None:
        pass


def _source(name: str, version: str) -> dict[str, bytes]:
    """Return the files of a project that needs nothing to be built."""
    return {
        "pyproject.toml": _PYPROJECT.encode(),
        "backend.py": _BACKEND.format(name=name, version=version).encode(),
        "made.zip": _wheel(name, version),
    }


def _wheel(name: str, version: str, needs: Sequence[str] = ()) -> bytes:
    metadata = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Requires-Dist: {each}\n" for each in needs)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{metadata}/METADATA": about,
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
        archive.writestr(zipfile.ZipInfo(f"{metadata}/RECORD"), f"{record}{metadata}/RECORD,,\n")
    return buffer.getvalue()
