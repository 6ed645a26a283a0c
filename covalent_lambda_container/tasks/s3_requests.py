"""How many requests to S3 a task leads to, and what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from covalent_lambda_container.tasks import cancel_signs, live_output, recovery
from covalent_lambda_container.tasks.prices import USD_PER_S3_GET, USD_PER_S3_PUT

_FIRST_LOOKS = 3
"""Looks for a task's output beside those at the longest pause."""


@dataclass(frozen=True, kw_only=True)
class S3Requests:
    """The most requests that one task can lead to, tasks and results over 6 MB aside.

    Parameters
    ----------
    cancellation_gets
        The function looks whether the task was cancelled.
    answer_puts, answer_gets
        The answer of a task that does not end soon goes through S3.
    output_puts, output_gets
        What it prints is shown while it runs (`live_output`).
    """

    cancellation_gets: int
    answer_puts: int
    answer_gets: int
    output_puts: int
    output_gets: int

    @property
    def usd(self) -> float:
        """What they cost, at list prices."""
        gets = self.cancellation_gets + self.answer_gets + self.output_gets
        return gets * USD_PER_S3_GET + (self.answer_puts + self.output_puts) * USD_PER_S3_PUT


def s3_requests(duration_s: float) -> S3Requests:
    """Return the most requests that a task of this duration leads to."""
    answers = int(duration_s >= recovery.DURABLE_AFTER_S)
    uploads = math.floor(duration_s / live_output.INTERVAL_S)
    watched_s = max(0.0, duration_s - live_output.INTERVAL_S)
    looks = math.ceil(watched_s / live_output.LONGEST_PAUSE_S)
    return S3Requests(
        cancellation_gets=math.floor(duration_s / cancel_signs.POLL_S),
        answer_puts=answers,
        answer_gets=answers,
        output_puts=uploads,
        output_gets=looks + _FIRST_LOOKS if uploads else 0,
    )
