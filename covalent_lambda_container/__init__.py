"""Run Covalent electrons with any pip package on AWS Lambda, in images built for them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if sys.platform == "win32":
    raise ImportError(
        "covalent-lambda-container runs on Linux and macOS, and not on Windows, which lacks the "
        "file locks and process control that it uses. Run it and Covalent in WSL 2."
    )

if TYPE_CHECKING:
    from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor

__all__ = ["AWSLambdaContainerExecutor", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported lazily: Covalent imports its plugins while it is itself only half imported.
    if name == "AWSLambdaContainerExecutor":
        from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor

        return AWSLambdaContainerExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
