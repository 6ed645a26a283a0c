"""boto3 as users call it: the yardstick for latency and large objects."""

from __future__ import annotations

import configparser
from typing import Any

import boto3
from botocore.config import Config


def session(options: dict[str, Any]) -> boto3.Session:
    """Return a session with the credentials that executor options name."""
    credentials = configparser.RawConfigParser()
    credentials.read(options["credentials_file"])
    keys = dict(credentials[options["profile"]])
    return boto3.Session(
        region_name=options["region"],
        aws_access_key_id=keys["aws_access_key_id"],
        aws_secret_access_key=keys["aws_secret_access_key"],
    )


def client(options: dict[str, Any], service: str, **config: Any) -> Any:
    """Return a boto3 client of where executor options lead."""
    made = session(options).client  # boto3's stubs know services by literal name only
    return made(  # type: ignore[call-overload]
        service, endpoint_url=options["endpoint_url"], config=Config(**config)
    )


def invocations_url(options: dict[str, Any], name: str) -> str:
    """Return where invocations of a function go, for clients other than boto3."""
    return f"{options['endpoint_url']}/2015-03-31/functions/{name}/invocations"


def function_with_memory(functions: Any, memory_mb: int) -> str:
    """Return the name of the function with that much memory; there is one."""
    listed = functions.list_functions()["Functions"]
    (name,) = [found["FunctionName"] for found in listed if found["MemorySize"] == memory_mb]
    return str(name)
