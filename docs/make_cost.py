"""Writes the page on cost: ``python docs/make_cost.py > docs/cost.md``."""

# ruff: noqa: E501 - lines of a page

from __future__ import annotations

from covalent_lambda_container.tasks import prices
from covalent_lambda_container.tasks.prices import cost_usd
from covalent_lambda_container.tasks.s3_requests import s3_requests

TASKS, SECONDS, MEMORY_MB, IMAGE_MB = 1000, 10, 1024, 300
REGION = "us-east-1"

HEAD = """\
# Cost

Written by `docs/make_cost.py` from the prices in the code: AWS's list prices as of {as_of}, in US dollars, before the
free tier, savings plans and taxes. They were written down from AWS's pages and are not looked up when a task runs:
compare them with [Lambda's](https://aws.amazon.com/lambda/pricing/), [S3's](https://aws.amazon.com/s3/pricing/) and
[ECR's](https://aws.amazon.com/ecr/pricing/) where cents matter. No test of this project runs on AWS, so no invoice
confirms them. This project adds no price of its own, and no server runs between tasks.

## What AWS charges for

| what | price | when |
|---|---|---|
| memory of running tasks, x86_64 | ${x86:.10f} per GB and second | while a task runs, and while an execution environment starts |
| the same, arm64 | ${arm:.10f} per GB and second | |
| invocations | ${request:.2f} per million | each task, retries and prewarming included |
| `ephemeral_storage` above {free} MB | ${storage:.10f} per GB and second | while a task runs |
| images in ECR | ${image:.2f} per GB and month | as long as they exist, used or not; shared layers count once |
| S3 requests | ${put:.3f} per 1,000 PUT, ${get:.4f} per 1,000 GET | answers of tasks that ran longer than a second; tasks and results over 6 MB; each second, a look for a cancellation; [live output](#live-output) |
| CloudWatch Logs | see AWS's page | what tasks print is logged; log groups are kept until you delete them |

In {regions}, memory costs more; the usage lines and reports use the region's price. Prices in China are in another
currency, and no cost is shown there.

**Idle functions, roles and buckets cost nothing.** What remains after a workflow is the storage of its images:
`covalent-lambda gc` removes those that nobody uses.

## An example

{tasks:,} tasks of {seconds} s with {memory} MB, in an image with scikit-learn ({image_mb} MB in ECR), in {region}:

| item | calculation | cost |
|---|---|---|
| memory | {tasks:,} × {seconds} s × {gb:g} GB | ${compute:.4f} |
| invocations | {tasks:,} | ${requests:.4f} |
| looking for cancellations | {tasks:,} × {checks} GET | ${checks_usd:.4f} |
| answers through S3 | {tasks:,} × (1 PUT + 1 GET) | ${answers:.4f} |
| live output | {tasks:,} × ({uploads} PUT + {looks} GET) at most | ${live:.4f} |
| **the run** | | **${run:.4f}** |
| the image | {image_mb} MB | ${month:.4f} a month |

## Live output

The output of a task that runs longer than 5 s is [shown while it runs](watching.md#while-it-runs). Its function uploads
it with at most one PUT in 5 s, and only when there is something new; the dispatcher checks for it every 3 s, a little
more often after an upload. For a task that prints all the time this is at most ${live_hour:.4f} an hour:
{share_large:.1f} % of what its memory costs with 1024 MB, and {share_small:.0f} % with 128 MB. A task that prints
nothing causes no PUT, and GETs for ${silent_hour:.4f} an hour. `live_output=False` avoids both.

## What a dispatch did cost

The last line of each task's stderr has its share, and [`covalent-lambda report`](watching.md#after-it-has-run) sums
them up. This includes tasks that crashed or whose time was up, as far as their function could answer for them. Both
leave out attempts that were rerun, tasks that were cancelled or whose function was ended by Lambda, prewarming and
logs. `covalent-lambda report --images` asks ECR for the size of the images.
"""


def page() -> str:
    seconds_in_all = TASKS * SECONDS
    compute = seconds_in_all * MEMORY_MB / 1024 * prices.usd_per_gb_second(REGION, "x86_64")
    requests = TASKS * prices.USD_PER_REQUEST
    one = cost_usd(
        SECONDS * 1000,
        region=REGION,
        memory_mb=MEMORY_MB,
        architecture="x86_64",
        ephemeral_storage_mb=512,
    )
    if abs(one * TASKS - compute - requests) > 1e-9:
        raise SystemExit("The example does not agree with the usage line.")
    each = s3_requests(SECONDS)
    checks_usd = TASKS * each.cancellation_gets * prices.USD_PER_S3_GET
    answers = TASKS * (
        each.answer_puts * prices.USD_PER_S3_PUT + each.answer_gets * prices.USD_PER_S3_GET
    )
    live = TASKS * each.usd - checks_usd - answers
    hour = s3_requests(3600)
    silent_hour = hour.output_gets * prices.USD_PER_S3_GET
    live_hour = hour.output_puts * prices.USD_PER_S3_PUT + silent_hour
    gb_hour = 3600 * prices.usd_per_gb_second(REGION, "x86_64")
    return HEAD.format(
        as_of=prices.PRICES_AS_OF,
        x86=prices.usd_per_gb_second(REGION, "x86_64"),
        arm=prices.usd_per_gb_second(REGION, "arm64"),
        request=prices.USD_PER_REQUEST * 1e6,
        free=prices.FREE_STORAGE_MB,
        storage=prices.USD_PER_STORAGE_GB_SECOND,
        image=prices.USD_PER_IMAGE_GB_MONTH,
        put=prices.USD_PER_S3_PUT * 1000,
        get=prices.USD_PER_S3_GET * 1000,
        regions=", ".join(f"`{region}`" for region in sorted(prices.DEARER_REGIONS)),
        tasks=TASKS,
        seconds=SECONDS,
        memory=MEMORY_MB,
        gb=MEMORY_MB / 1024,
        image_mb=IMAGE_MB,
        region=f"`{REGION}`",
        compute=compute,
        requests=requests,
        checks=each.cancellation_gets,
        checks_usd=checks_usd,
        answers=answers,
        uploads=each.output_puts,
        looks=each.output_gets,
        live=live,
        live_hour=live_hour,
        silent_hour=silent_hour,
        share_large=100 * live_hour / gb_hour,
        share_small=100 * live_hour / (gb_hour / 8),
        run=compute + requests + TASKS * each.usd,
        month=IMAGE_MB / 1000 * prices.USD_PER_IMAGE_GB_MONTH,
    )


if __name__ == "__main__":
    print(page(), end="")
