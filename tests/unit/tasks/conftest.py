"""Fixtures of the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covalent_lambda_container.ports.functions import (
    ACTIVE,
    FunctionState,
)
from covalent_lambda_container.tasks.invoker import Invoker
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.unit.tasks.invoking import NAME, Runner


@pytest.fixture
def functions(clock: FakeClock) -> Iterator[FakeFunctions]:
    with FakeFunctions(clock) as functions:
        functions.states[NAME] = FunctionState(state=ACTIVE)
        yield functions


@pytest.fixture
def invoker(functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock) -> Runner:
    return Runner(Invoker(functions, blobs, sleep=clock.pause, now=clock.now))
