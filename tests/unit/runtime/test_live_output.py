"""A task's output is uploaded while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from tests.fakes import FakeBlobStore
from tests.fakes.examples import value_of
from tests.unit.runtime.conftest import Process, Run

INTERVAL_S = 0.3


class Uploads(FakeBlobStore):
    """Remembers each object that was uploaded, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads: list[tuple[float, str, str]] = []

    def put(self, key: str, body: Any) -> None:
        super().put(key, body)
        if key == "live":
            stdout, stderr = wire.unpack_output(body)
            self.uploads.append((time.monotonic(), stdout.decode(), stderr.decode()))

    @property
    def texts(self) -> list[str]:
        return [stdout for _, stdout, _ in self.uploads]


@pytest.fixture
def bucket() -> Any:
    with Uploads() as bucket:
        yield bucket


@pytest.fixture
def event(bucket: Uploads) -> dict[str, Any]:
    return {"live_url": bucket.write_url("live", valid_s=60), "live_interval_s": INTERVAL_S}


def print_words(count: int, pause_s: float) -> None:
    for number in range(count):
        print(f"word {number}")
        time.sleep(pause_s)


def test_output_comes_while_the_task_runs(run: Run, event: dict[str, Any], bucket: Uploads) -> None:
    answer = run(print_words, 20, 0.1, event=event)
    assert answer["stdout"] == "".join(f"word {number}\n" for number in range(20))
    # A prefix of the output each time, longer each time, and never more often than that.
    assert 3 <= len(bucket.texts) <= 2 / INTERVAL_S
    assert all(answer["stdout"].startswith(text) for text in bucket.texts)
    assert sorted(set(bucket.texts), key=len) == bucket.texts
    times = [moment for moment, _, _ in bucket.uploads]
    # One may take longer to arrive than the next one: all of them count, not each pair.
    assert times[-1] - times[0] > (len(times) - 1) * INTERVAL_S * 0.6


def test_both_streams_come(run: Run, event: dict[str, Any], bucket: Uploads) -> None:
    def work() -> None:
        print("printed", end="")
        print("a warning \N{GRINNING FACE}", file=sys.stderr)
        time.sleep(2 * INTERVAL_S)

    run(work, event=event)
    ((_, stdout, stderr),) = bucket.uploads
    assert (stdout, stderr) == ("printed", "a warning \N{GRINNING FACE}\n")


def test_a_task_that_ends_earlier_uploads_nothing(
    run: Run, event: dict[str, Any], bucket: Uploads
) -> None:
    run(print_words, 1, 0.01, event=event)
    time.sleep(2 * INTERVAL_S)
    assert bucket.requests == []


def test_only_new_output_is_uploaded(run: Run, event: dict[str, Any], bucket: Uploads) -> None:
    def work() -> None:
        time.sleep(2 * INTERVAL_S)
        print("late")
        time.sleep(4 * INTERVAL_S)

    run(work, event=event)
    assert bucket.texts == ["late\n"]


def test_output_after_a_pause_is_uploaded_at_once(
    run: Run, event: dict[str, Any], bucket: Uploads
) -> None:
    def work() -> float:
        time.sleep(5 * INTERVAL_S)
        print("late")
        printed = time.monotonic()
        time.sleep(4 * INTERVAL_S)
        return printed

    answer = run(work, event=event | {"live_interval_s": 2 * INTERVAL_S})
    ((uploaded, _, _),) = bucket.uploads
    assert uploaded - value_of(answer["result"]["pickle"]) < 2 * INTERVAL_S


def test_without_a_url_nothing_is_uploaded(run: Run, bucket: Uploads) -> None:
    run(print_words, 5, 0.1)
    assert bucket.requests == []


def test_a_failed_upload_fails_no_task_and_is_made_up_for(
    run: Run, event: dict[str, Any], bucket: Uploads
) -> None:
    def work() -> str:
        print("once")
        time.sleep(4 * INTERVAL_S)
        return "done"

    bucket.failing_requests = 1
    answer = run(work, event=event)
    assert (answer["status"], answer["stdout"], answer["stderr"]) == (
        wire.COMPLETED,
        "once\n",
        "",
    )
    assert bucket.texts == ["once\n"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/refused", "no URL at all"])
def test_an_s3_out_of_reach_fails_no_task(run: Run, event: dict[str, Any], url: str) -> None:
    answer = run(print_words, 5, 0.2, event=event | {"live_url": url})
    assert (answer["status"], answer["stderr"]) == (wire.COMPLETED, "")


def test_an_s3_that_never_answers_delays_nothing_and_gets_one_request_at_a_time(
    start: Callable[..., Process], event: dict[str, Any]
) -> None:
    running: list[int] = []
    most = []

    class Silent(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            running.append(1)
            most.append(len(running))
            # Until the upload's process has ended.
            while self.connection.recv(65536):
                pass
            running.pop()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/live"
        process = start()
        answer = process.run(print_words, 14, 0.5, event=event | {"live_url": url})
        assert answer["status"] == wire.COMPLETED
        assert answer["usage"]["duration_ms"] < 9000
        assert len(most) >= 2
        assert max(most) == 1
        assert process.value(abs, -1) == 1
        time.sleep(0.1)
        assert running == [], "ended with the task"
        server.shutdown()


def test_much_output_is_bounded(run: Run, event: dict[str, Any], bucket: Uploads) -> None:
    def work() -> None:
        sys.stdout.write("x" * 3_000_000)
        sys.stdout.flush()
        time.sleep(2 * INTERVAL_S)

    run(work, event=event)
    assert all(len(text) < 200_000 for text in bucket.texts)
    assert "bytes left out" in bucket.texts[-1]


def test_a_crashed_task_has_uploaded_its_output(
    run: Run, event: dict[str, Any], bucket: Uploads
) -> None:
    def work() -> None:
        import os

        print("working", flush=True)
        time.sleep(2 * INTERVAL_S)
        os._exit(3)

    answer = run(work, event=event)
    assert (answer["status"], answer["stdout"]) == (wire.CRASHED, "working\n")
    assert bucket.texts == ["working\n"]


def test_the_next_task_uploads_its_own_output_only(
    process: Process, event: dict[str, Any], bucket: Uploads
) -> None:
    other = {"live_url": bucket.write_url("other", valid_s=60)}
    process.run(print_words, 3, 0.2, event=event)
    process.run(time.sleep, 2 * INTERVAL_S, event=event | other)
    assert "other" not in bucket.objects
