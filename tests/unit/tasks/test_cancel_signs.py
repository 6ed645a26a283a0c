"""Signs of cancellation: one object per dispatch, which exists only while it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.runtime.transfer import look
from covalent_lambda_container.tasks.cancel_signs import CancelSign, CancelSigns
from tests.fakes import FakeBlobStore

KEY = "covalent-lambda/dispatch/called-off"


def test_a_sign_names_the_cancelled_tasks(blobs: FakeBlobStore) -> None:
    signs = CancelSigns(blobs)
    one, two = signs.of("dispatch", "1"), signs.of("dispatch", "2")
    url = signs.url("dispatch", valid_s=60)
    assert look(url) is None
    one.put()
    assert json.loads(look(url) or b"") == ["1"]
    two.put()
    assert json.loads(look(url) or b"") == ["1", "2"]
    assert one.close()
    one.remove()
    assert json.loads(look(url) or b"") == ["2"]
    two.close()
    two.remove()
    assert blobs.objects == {}


def test_tasks_that_are_cancelled_together_are_written_together() -> None:
    written: list[int] = []
    cancelling: list[CancelSign] = []

    class Slow(FakeBlobStore):
        def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
            # Until the others wait for it.
            while len(cancelling) < 20:
                time.sleep(0.001)
            time.sleep(0.1)
            written.append(len(json.loads(bytes(body))))  # type: ignore[arg-type]
            super().put(key, body)

    def cancel(sign: CancelSign) -> None:
        cancelling.append(sign)
        sign.put()

    with Slow() as blobs, ThreadPoolExecutor(20) as pool:
        signs = CancelSigns(blobs)
        held = [signs.of("dispatch", str(number)) for number in range(20)]
        list(pool.map(cancel, held))
        assert written[-1] == 20
        assert len(written) <= 3
        assert all(sign.close() for sign in held)
        for sign in held:
            sign.remove()
        assert blobs.objects == {}


def test_other_dispatches_have_signs_of_their_own(blobs: FakeBlobStore) -> None:
    signs = CancelSigns(blobs)
    sign, other = signs.of("dispatch", "1"), signs.of("other", "1")
    sign.put()
    assert set(blobs.objects) == {KEY}
    assert look(signs.url("other", valid_s=60)) is None
    assert not other.close()


def test_a_task_that_has_ended_gets_no_sign(blobs: FakeBlobStore) -> None:
    sign = CancelSigns(blobs).of("dispatch", "1")
    assert not sign.close()
    sign.put()
    assert blobs.objects == {}


def test_a_task_is_given_a_url_of_the_credentials_that_there_are_when_it_is_sent() -> None:
    class Signed(FakeBlobStore):
        key = "AKIOLD"

        def read_url(self, key: str, *, valid_s: int) -> str:
            return f"{super().read_url(key, valid_s=valid_s)}&credential={self.key}"

    with Signed() as blobs:
        signs = CancelSigns(blobs)
        assert signs.url("dispatch", valid_s=960).endswith("AKIOLD")
        blobs.key = "AKINEW"
        assert signs.url("dispatch", valid_s=960).endswith("AKINEW")


def test_dispatches_without_tasks_are_forgotten(blobs: FakeBlobStore) -> None:
    signs = CancelSigns(blobs)
    for number in range(100):
        signs.of(str(number), "1")
    assert len(signs._dispatches) == 0


def test_a_sign_that_could_not_be_put_is_put_again_until_the_task_ends() -> None:
    class Failing(FakeBlobStore):
        failures = 3

        def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
            if self.failures:
                self.failures -= 1
                raise InvocationError("write S3 object: AWS answered SlowDown")
            super().put(key, body)

    with Failing() as blobs:
        signs = CancelSigns(blobs, retry_s=0.01)
        sign = signs.of("dispatch", "1")
        sign.put()
        ends = time.monotonic() + 5
        while KEY not in blobs.objects and time.monotonic() < ends:
            time.sleep(0.01)
        assert json.loads(blobs.objects[KEY]) == ["1"]
        assert sign.close()
        sign.remove()
        assert blobs.objects == {}

        blobs.failures = 1000
        other = signs.of("dispatch", "2")
        other.put()
        time.sleep(0.05)
        assert other.close()
        time.sleep(0.05)
        left = blobs.failures
        time.sleep(0.1)
        assert blobs.failures == left, "nobody tries any more"
        blobs.failures = 0
        other.remove()
        assert blobs.objects == {}
