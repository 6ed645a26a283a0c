"""Values that tests start from, and their pickles."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cloudpickle

from covalent_lambda_container.model.specs import FunctionSpec, ImageReference, ImageSpec
from covalent_lambda_container.tasks.call import Call

_IMAGE = ImageSpec(
    python_version="3.11",
    architecture="x86_64",
    base_image="registry.example.com/python:3.11",
    requirements=("scikit-learn==1.5.2",),
    cloudpickle_version="3.1.0",
    recipe="0" * 64,
)
_FUNCTION = FunctionSpec(
    image=ImageReference(
        repository_uri="registry.example.com/covalent-lambda", digest=f"sha256:{'ab' * 32}"
    ),
    architecture="x86_64",
    role_arn="arn:aws:iam::123456789012:role/CovalentLambdaExecutionRole",
    memory_mb=512,
    timeout_s=60,
    ephemeral_storage_mb=512,
    environment=(),
    tags=(),
)


def image_spec(**changes: Any) -> ImageSpec:
    """Return an image spec that differs from the usual one in the given fields."""
    return replace(_IMAGE, **changes)


def function_spec(**changes: Any) -> FunctionSpec:
    """Return a function spec that differs from the usual one in the given fields."""
    return replace(_FUNCTION, **changes)


def leaf(value: Any) -> str:
    """Pickle a value as Covalent does: base64 text."""
    return base64.b64encode(cloudpickle.dumps(value)).decode()


def value_of(pickled: str) -> Any:
    """Return the value of a leaf."""
    return cloudpickle.loads(base64.b64decode(pickled))


def task(
    function: Callable[..., Any],
    *args: Any,
    before: Sequence[tuple[Callable[..., Any], list[Any], str]] = (),
    after: Sequence[tuple[Callable[..., Any], list[Any]]] = (),
    **kwargs: Any,
) -> dict[str, Any]:
    """Return a task as `wire` defines it; hooks are (function, args, keyword of the result)."""
    return {
        "function": leaf(function),
        "args": [leaf(value) for value in args],
        "kwargs": {name: leaf(value) for name, value in kwargs.items()},
        "before": [[leaf(hook), leaf(given), leaf({}), name] for hook, given, name in before],
        "after": [[leaf(hook), leaf(given), leaf({}), ""] for hook, given in after],
    }


def call(payload: dict[str, Any], function_name: str, **changes: Any) -> Call:
    """Return a call of a task on a function."""
    hooks = [*payload["before"], *payload["after"]]
    leaves = [payload["function"], *payload["args"], *payload["kwargs"].values()]
    leaves += [part for hook in hooks for part in hook[:3]]
    usual = Call(
        function_name=function_name,
        payload=payload,
        payload_bytes=sum(map(len, leaves)),
        dispatch_id="dispatch",
        node_id=7,
        timeout_s=60,
        memory_mb=512,
        poll_interval_s=5,
        cleanup=True,
    )
    return replace(usual, **changes)
