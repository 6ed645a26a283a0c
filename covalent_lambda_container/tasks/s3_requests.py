"""The number of S3 requests for a task, and their cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from covalent_lambda_container.tasks import cancel_signs, live_output, recovery
from covalent_lambda_container.tasks.prices import USD_PER_S3_GET, USD_PER_S3_PUT

_FIRST_LOOKS = 3
"""Checks for a task's output in addition to those at the longest pause."""


@dataclass(frozen=True, kw_only=True)
class S3Requests:
    """The most requests for one task, apart from those for tasks and results over 6 MB.

    Parameters
    ----------
    cancellation_gets
        Checks of the function for the task's cancellation.
    answer_puts, answer_gets
        The answer of a task that takes longer than a moment goes through S3.
    output_puts, output_gets
        Output shown while the task runs (`live_output`).
    """

    cancellation_gets: int
    answer_puts: int
    answer_gets: int
    output_puts: int
    output_gets: int

    @property
    def usd(self) -> float:
        """Their cost at list prices."""
        gets = self.cancellation_gets + self.answer_gets + self.output_gets
        return gets * USD_PER_S3_GET + (self.answer_puts + self.output_puts) * USD_PER_S3_PUT


def s3_requests(duration_s: float) -> S3Requests:
    """Return the most requests for a task of this duration."""
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
