"""Five minutes of the soak that `make soak` runs for twenty."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.soak.soak import Soak

MINUTES = 5


@pytest.mark.slow
def test_nothing_is_lost_while_everything_breaks(
    stack: Any, options: dict[str, Any], aws: Callable[[str], Any], tmp_path: Path
) -> None:
    seed = random.randrange(10**6)
    report = Soak(stack, options | {"cache_dir": str(tmp_path)}, aws, seed).run(MINUTES)
    print(report.text())
    assert report.violations == []
