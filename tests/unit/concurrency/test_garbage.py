"""The garbage collector does not run while somebody has many objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from covalent_lambda_container.concurrency.garbage import without_collections


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_it_runs_again_after_the_last_user() -> None:
    with without_collections():
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_runs_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), without_collections():
        raise ValueError("no")
    assert gc.isenabled()


def test_who_has_disabled_it_finds_it_disabled() -> None:
    gc.disable()
    with without_collections():
        pass
    assert not gc.isenabled()
