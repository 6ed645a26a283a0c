"""The total time and cost of a dispatch's electrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from covalent_lambda_container.report.electrons import Electron
from covalent_lambda_container.tasks.prices import (
    USD_PER_IMAGE_GB_MONTH,
    USD_PER_REQUEST,
)
from covalent_lambda_container.tasks.s3_requests import s3_requests


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over a dispatch.

    Parameters
    ----------
    electrons, failed, cold_starts
        Numbers of electrons.
    elapsed_s
        Seconds from the first start to the last end.
    run_s, wait_s
        Seconds in which tasks ran and waited, summed over all.
    lambda_usd, requests_usd
        Cost of Lambda, and the part of it for requests.
    s3_usd
        Upper limit for the cost of the tasks' S3 requests.
    images_usd_per_month
        Cost of the images in ECR; None if their sizes are not known.
    billed
        Whether any electron ran on AWS. Otherwise nothing was billed, and all costs are 0.
    all_billed
        Whether all electrons ran on AWS.
    """

    electrons: int
    failed: int
    cold_starts: int
    elapsed_s: float
    run_s: float
    wait_s: float
    lambda_usd: float
    requests_usd: float
    s3_usd: float
    images_usd_per_month: float | None
    billed: bool
    all_billed: bool


def totals_of(electrons: Sequence[Electron], image_bytes: Mapping[str, int] | None) -> Totals:
    """Return the sums.

    Parameters
    ----------
    electrons
        The electrons of one dispatch.
    image_bytes
        Compressed size of images by digest; None if the registry was not queried.
    """
    used = [one.used for one in electrons if one.used]
    on_aws = [usage for usage in used if usage.cost_usd is not None]
    starts = [one.started for one in electrons if one.started]
    ends = [one.ended for one in electrons if one.ended]
    images = {usage.image for usage in on_aws if usage.image}
    known = image_bytes is not None and images <= set(image_bytes)
    return Totals(
        electrons=len(electrons),
        failed=sum(one.state == "FAILED" for one in electrons),
        cold_starts=sum(usage.cold for usage in used),
        elapsed_s=(max(ends) - min(starts)).total_seconds() if starts and ends else 0.0,
        run_s=sum(usage.duration_ms for usage in used) / 1000,
        wait_s=sum(one.wait_s or 0.0 for one in electrons),
        lambda_usd=sum(usage.cost_usd or 0.0 for usage in on_aws),
        requests_usd=len(on_aws) * USD_PER_REQUEST,
        s3_usd=sum(s3_requests(usage.duration_ms / 1000).usd for usage in on_aws),
        images_usd_per_month=(
            sum(image_bytes[image] for image in images) / 1e9 * USD_PER_IMAGE_GB_MONTH
            if known and image_bytes
            else None
        ),
        billed=bool(on_aws),
        all_billed=len(on_aws) == len(used),
    )
