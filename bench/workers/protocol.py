"""Requests to a worker, and its answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def answer(measure: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Measure what the command line asks for, and print the answer as the last line."""
    print(json.dumps(measure(json.loads(sys.argv[1]))), flush=True)
