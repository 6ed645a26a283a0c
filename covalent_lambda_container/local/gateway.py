"""A gateway in front of MiniStack, in its process: it refuses requests without credentials.

MiniStack with ``AUTH=true`` checks the signatures of IAM users and of temporary credentials. It
also treats ``test``, any twelve digits and its own root key as the account's root, *whatever the
signature*; serves its registry without a password; and resets itself for anyone. Here:

* a request without a key is refused; one with a publicly known key is passed on with a key that
  does not exist, so that the service refuses it with its own message;
* the registry requires the password from ``GetAuthorizationToken``, as ECR does, and the user's
  permission for each action; CreateFunction and GetFunction need more, too (`permissions`);
* of MiniStack's own paths, only its health is public.

Only the process that started this one knows the root key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from ministack.app import app as ministack_app  # type: ignore[import-untyped]

from covalent_lambda_container.local import container_settings, permissions
from covalent_lambda_container.local.emulator import (
    HEALTH_PATH,
    REGISTRY_PASSWORD_VARIABLE,
    REGISTRY_USER,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ROOT_KEY: Final = os.environ["AWS_ACCESS_KEY_ID"]
#: Lambda's own password, for its pulls; users' passwords are derived from it.
_REGISTRY_PASSWORD: Final = os.environ[REGISTRY_PASSWORD_VARIABLE]
_NOBODYS_KEY: Final = "AKIANOBODY0000000000"
_VERIFIED_KEY: Final = re.compile(r"A[KS]IA[0-9A-Z]+")
#: Signature versions 4 and 2 in an Authorization header.
_SIGNED: Final = ("AWS4-", "AWS ")
_HEADER_KEY: Final = re.compile(r"(Credential=|^AWS )([^/:]*)")
_QUERY_KEYS: Final = ("x-amz-credential", "awsaccesskeyid")
#: Read by the SDKs: the header for services that speak JSON, the text for the others.
_UNSIGNED_TYPE: Final = (b"x-amzn-errortype", b"MissingAuthenticationTokenException")
_UNSIGNED: Final = (
    b"<ErrorResponse><Error><Code>MissingAuthenticationToken</Code>"
    b"<Message>Request is missing Authentication Token</Message></Error></ErrorResponse>"
)


permissions.ask_for_what_is_named()
container_settings.remove_shared_memory()
container_settings.guard_containers()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one ASGI connection."""
    if scope["type"] == "lifespan" or scope.get("path") == HEALTH_PATH:
        await ministack_app(scope, receive, send)
    elif scope["type"] != "http":
        raise NotImplementedError(f"no service here speaks {scope['type']}")
    elif scope["path"] == "/v2" or scope["path"].startswith("/v2/"):
        await _registry(scope, receive, send)
    elif scope["path"].startswith(("/_ministack", "/_localstack")):
        await _answer(send, 403, b"not served here")
    elif not _names_a_key(scope):
        # MiniStack refuses most of these itself, but creates a bucket for anyone.
        await _answer(send, 403, _UNSIGNED, _UNSIGNED_TYPE)
    else:
        scope = _without_well_known_keys(scope)
        if _header(scope, b"x-amz-target").endswith(".GetAuthorizationToken"):
            send = _with_registry_login(send, _key(scope))
        if scope["method"] == "POST" and permissions.CREATE_FUNCTION.fullmatch(scope["path"]):
            await _create_function(scope, receive, send)
        elif denial := _get_function_denial(scope):
            await _deny(send, denial)
        else:
            await ministack_app(scope, receive, send)


async def _registry(scope: Scope, receive: Receive, send: Send) -> None:
    password = _registry_password(scope)
    key = password.partition(".")[0]
    if hmac.compare_digest(password.encode(), _REGISTRY_PASSWORD.encode()):
        await ministack_app(scope, receive, send)
    elif not hmac.compare_digest(password.encode(), _password_of(key).encode()):
        error = {"code": "UNAUTHORIZED", "message": "no basic auth credentials"}
        challenge = (b"www-authenticate", b'Basic realm="local registry",service="local"')
        await _answer(send, 401, json.dumps({"errors": [error]}).encode(), challenge)
    elif denial := permissions.registry_denial(key, scope["method"], scope["path"]):
        error = {"code": "DENIED", "message": denial}
        await _answer(send, 403, json.dumps({"errors": [error]}).encode())
    else:
        await ministack_app(scope, receive, send)


async def _create_function(scope: Scope, receive: Receive, send: Send) -> None:
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)
    if denial := permissions.create_function_denial(_key(scope), body):
        await _deny(send, denial)
        return

    async def receive_again() -> Message:
        return messages.pop(0) if messages else await receive()

    await ministack_app(scope, receive_again, send)


def _get_function_denial(scope: Scope) -> str | None:
    found = permissions.GET_FUNCTION.fullmatch(scope["path"])
    if found is None or scope["method"] != "GET":
        return None
    return permissions.get_function_denial(_key(scope), found["name"])


async def _deny(send: Send, denial: str) -> None:
    """Refuse a request as Lambda does."""
    body = json.dumps({"Message": denial}).encode()
    await _answer(send, 403, body, (b"x-amzn-errortype", b"AccessDeniedException"))


def _registry_password(scope: Scope) -> str:
    scheme, _, login = _header(scope, b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(login).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password if user == REGISTRY_USER else ""


def _password_of(key: str) -> str:
    """Return the registry password of the user with this access key."""
    proof = hmac.digest(_REGISTRY_PASSWORD.encode(), key.encode(), hashlib.sha256)
    return f"{key}.{proof.hex()}"


def _key(scope: Scope) -> str:
    """Return the access key that a request names, or an empty string."""
    found = _HEADER_KEY.search(_header(scope, b"authorization"))
    if found:
        return found[2]
    named = [value for name, value in _query(scope) if name.lower() in _QUERY_KEYS]
    return named[0].partition("/")[0] if named else ""


def _names_a_key(scope: Scope) -> bool:
    header = _header(scope, b"authorization")
    return bool(header.startswith(_SIGNED) and _HEADER_KEY.search(header)) or any(
        name.lower() in _QUERY_KEYS for name, _ in _query(scope)
    )


def _without_well_known_keys(scope: Scope) -> Scope:
    headers = []
    for name, value in scope["headers"]:
        if name.lower() == b"authorization":
            text = value.decode("latin-1")
            if not text.startswith(_SIGNED):
                continue
            value = _HEADER_KEY.sub(lambda m: m[1] + _provable(m[2]), text).encode("latin-1")
        headers.append((name, value))
    query = _query(scope)
    named = [(n, _provable(v) if n.lower() in _QUERY_KEYS else v) for n, v in query]
    # Re-encoded only if it changed: a signature covers the text as it was sent.
    query_string = scope["query_string"] if named == query else urlencode(named).encode()
    return {**scope, "headers": headers, "query_string": query_string}


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _provable(credential: str) -> str:
    """Return the credential if its key's secret is checked; else one that does not exist."""
    key, slash, rest = credential.partition("/")
    known = hmac.compare_digest(key.encode(), _ROOT_KEY.encode())
    return credential if known or _VERIFIED_KEY.fullmatch(key) else _NOBODYS_KEY + slash + rest


def _with_registry_login(send: Send, key: str) -> Send:
    """Replace the emulator's fixed registry password in an answer by this user's."""
    login = base64.b64encode(f"{REGISTRY_USER}:{_password_of(key)}".encode()).decode()
    start: Message = {}
    body = b""

    async def send_changed(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        if start["status"] == 200:
            answer = json.loads(body)
            for data in answer["authorizationData"]:
                data["authorizationToken"] = login
            body = json.dumps(answer).encode()
        headers = [(n, v) for n, v in start["headers"] if n.lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return send_changed


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: bytes) -> str:
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return b",".join(values).decode("latin-1")
