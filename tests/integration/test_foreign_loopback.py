"""With an engine in its own network, the local stack reports that before anything is built.

Only `make test-engines` has such an engine.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local.stack import local_stack

pytestmark = pytest.mark.skipif(
    os.environ.get("COVALENT_LAMBDA_ENGINE") != "namespace",
    reason="the engine's loopback address is this machine's; see make test-engines",
)


def test_the_local_stack_does_not_start_and_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(LocalStackError, match="does not reach this machine's loopback address"),
        local_stack(tmp_path, print),
    ):
        pass
