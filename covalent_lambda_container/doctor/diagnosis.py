"""Finds problems that would keep electrons from running: on this machine, in AWS, in Covalent."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

from covalent_lambda_container.doctor.aws_account import AwsAccount
from covalent_lambda_container.doctor.covalent_server import CovalentServer
from covalent_lambda_container.doctor.engine import Engine
from covalent_lambda_container.doctor.examination import Finding, examine
from covalent_lambda_container.options.limits import AWS_ROOT_IMAGE
from covalent_lambda_container.options.schema import Options


def diagnose(
    options: Options, *, timeout_s: float = 20.0, now: Callable[[], float] = time.time
) -> list[Finding]:
    """Run all checks at once; return the findings in a fixed order.

    Parameters
    ----------
    options
        The executor's options.
    timeout_s
        Seconds after which a missing answer is a problem.
    now
        This machine's clock, in seconds since 1970.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    root_image = options.base_image or f"{AWS_ROOT_IMAGE}:{python}"
    return examine(
        [
            *Engine(options, root_image, timeout_s=timeout_s).checks(),
            *AwsAccount(options, now=now).checks(),
            *CovalentServer(timeout_s=timeout_s).checks(),
        ],
        timeout_s=timeout_s,
    )
