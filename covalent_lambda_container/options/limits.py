"""AWS's limits for functions, tags, environments and images, each with its source."""

from __future__ import annotations

import re
from typing import Final

AWS_ROOT_IMAGE: Final = "public.ecr.aws/lambda/python"
"""AWS's own images for Lambda; their tags are Python's minor versions."""

LONGEST_TIMEOUT_S: Final = 900
"""Timeout of a function ("Lambda quotas" page, read 2026-11)."""

MEMORY_MB: Final = (128, 10240)
"""Least and most memory of a function ("Lambda quotas" page, read 2026-11)."""

TMP_MB: Final = (512, 10240)
"""Least and most ephemeral storage of a function ("Lambda quotas" page, read 2026-11)."""

RESERVED_VARIABLE: Final = re.compile(r"_HANDLER|_X_AMZN_TRACE_ID|AWS_.*")
"""Environment variables that Lambda sets itself and refuses from users ("Defined runtime
environment variables", Lambda developer guide, read 2026-11)."""

REGION: Final = r"(eusc-)?[a-z]{2}((-gov)|(-iso[a-z]?))?-[a-z]+-[0-9]+"
"""Form of a region's name, known to this machine's botocore or not ("FileSystemConfig", Lambda API
reference, and botocore's partitions, read 2026-11)."""

HOST_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
"""A label of an endpoint's host name, between two dots; botocore refuses any other."""

VARIABLE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
"""Names of environment variables ("Environment", Lambda API reference, read 2026-11)."""

ENVIRONMENT_BYTES: Final = 4096
"""All environment variables of a function together ("Lambda quotas" page, read 2026-11). Lambda
measures their JSON text, as its error messages show."""

MAX_TAGS: Final = 50
TAG_KEY_CHARACTERS: Final = 128
TAG_VALUE_CHARACTERS: Final = 256
"""Limits of tags ("Tag naming limits and requirements", Tagging AWS Resources user guide, and
"TagResource", Lambda API reference, both read 2026-11)."""

TAG_PUNCTUATION: Final = "_.:/=+-@"
"""Characters allowed in tags besides Unicode letters, numbers and separators ("TagResource",
Lambda API reference, read 2026-11)."""

MAX_SUBNETS: Final = 16
MAX_SECURITY_GROUPS: Final = 5
"""Most entries in the lists of a function's VpcConfig ("VpcConfig", Lambda API reference, read
2026-11)."""

ACCESS_POINT: Final = re.compile(
    r"arn:aws[a-zA-Z-]*:elasticfilesystem:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d"
    r":\d{12}:access-point/fsap-[a-f0-9]{17}"
    r"|arn:aws[-a-z]*:s3files:[0-9a-z:-]+:file-system/fs-[0-9a-f]{17,40}"
    r"/access-point/fsap-[0-9a-f]{17,40}",
    re.ASCII,
)
MOUNT_PATH: Final = re.compile(r"/mnt/[a-zA-Z0-9-_.]+")
MOUNT_PATH_CHARACTERS: Final = 160
"""Access points of EFS and S3 Files, and where to mount them ("FileSystemConfig", Lambda API
reference, read 2026-11)."""

CONCURRENCY_QUOTA: Final = 1000
"""Concurrent invocations of an account, unless AWS has raised the limit ("Lambda quotas"
page, read 2026-11)."""

LAMBDA_IMAGE_MB: Final = 10240
"""All layers of an image together, uncompressed ("Container image code package size", "Lambda
quotas" page, read 2026-11)."""
