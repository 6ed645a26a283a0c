"""Fixtures of the tests in this folder."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.covalent_api.assembled import WENT_OFF


@pytest.fixture(autouse=True)
def _nothing_is_unpickled() -> Any:
    WENT_OFF.clear()
    yield
    assert WENT_OFF == []
