"""Stateful stand-ins for the outside systems of `covalent_lambda_container.ports`.

They pass the same contract tests as the real adapters: see tests/contract.
"""

from tests.fakes.blobs import FakeBlobStore
from tests.fakes.clock import FakeClock
from tests.fakes.functions import FakeFunctions
from tests.fakes.image_store import FakeImageStore
from tests.fakes.images import FakeImageBuilder, FakeRegistry
from tests.fakes.logs import FakeLogs

__all__ = [
    "FakeBlobStore",
    "FakeClock",
    "FakeFunctions",
    "FakeImageBuilder",
    "FakeImageStore",
    "FakeLogs",
    "FakeRegistry",
]
