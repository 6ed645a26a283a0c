"""The functions of an account that run an image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from botocore.utils import parse_timestamp

from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.errors import ProvisionError
from covalent_lambda_container.ports.functions import FunctionRecord

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_REQUESTS_AT_ONCE: Final = 8
"""GetFunction is allowed 100 times a second ("Lambda quotas" page, read 2026-11)."""


def list_functions(client: LambdaClient) -> list[FunctionRecord]:
    """Return all functions of the account that run an image, whoever created them."""
    with explained("list the account's functions", kind=ProvisionError):
        names = [
            function["FunctionName"]
            for page in client.get_paginator("list_functions").paginate()
            for function in page["Functions"]
            if function.get("PackageType") == "Image"
        ]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        return [record for record in pool.map(partial(_record, client), names) if record]


def _record(client: LambdaClient, name: str) -> FunctionRecord | None:
    # ListFunctions returns neither image nor tags.
    with explained("look for function", name, ProvisionError):
        try:
            answer = client.get_function(FunctionName=name)
        except ClientError as exc:
            if error_code(exc) == "ResourceNotFoundException":
                return None
            raise
    configuration, code = answer["Configuration"], answer["Code"]
    return FunctionRecord(
        name=name,
        image=code.get("ResolvedImageUri") or code.get("ImageUri", ""),
        memory_mb=configuration["MemorySize"],
        modified=parse_timestamp(configuration["LastModified"]),
        tags=answer.get("Tags", {}),
        description=configuration.get("Description", ""),
    )
