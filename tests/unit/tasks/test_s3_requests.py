"""The most S3 requests of a task."""

from __future__ import annotations

import pytest

from covalent_lambda_container.tasks.prices import USD_PER_S3_GET, USD_PER_S3_PUT
from covalent_lambda_container.tasks.s3_requests import s3_requests


def test_a_short_task_needs_none() -> None:
    assert s3_requests(0.5).usd == 0


def test_a_task_of_seconds_stores_its_answer() -> None:
    assert s3_requests(4.5).usd == pytest.approx(USD_PER_S3_PUT + 5 * USD_PER_S3_GET)


def test_a_long_task_uploads_its_output_every_five_seconds_at_most() -> None:
    requests = s3_requests(60)
    assert (requests.answer_puts, requests.output_puts, requests.cancellation_gets) == (1, 12, 60)
    # As the test of the looks themselves allows.
    assert requests.output_gets <= 24
