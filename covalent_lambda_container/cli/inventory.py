"""``covalent-lambda list`` and ``gc``: images and functions, and those no longer used."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.formats import age, megabytes
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, duration, executor_options, refuse
from covalent_lambda_container.cli.wiring import wiring

if TYPE_CHECKING:
    from covalent_lambda_container.functions.description import Purpose
    from covalent_lambda_container.functions.inventory import FunctionEntry, Inventory, Unused
    from covalent_lambda_container.ports.registry import ImageRecord

_SHORT: Final = 12
_COLUMNS: Final = (
    *("kind", "name", "packages", "for", "image", "size", "memory", "age", "last use", "made by"),
)
_WHOLE: Final = ("name",)
"""Columns that people copy from."""


@command("list")
@executor_options(*ACCOUNT, "ecr_repository")
@reporting
def list_(given: dict[str, Any], output: Output) -> None:
    """Show images and functions, with their packages and tasks.

    Lists only what executors have created: functions with this project's tag, and images whose tag
    is that of a spec. The last use of a function comes from CloudWatch Logs, that of an image from
    ECR, which records the day.

    \b
    Example:
      covalent-lambda list
    """
    from covalent_lambda_container.functions.inventory import take_inventory
    from covalent_lambda_container.options.resolve import resolve

    stores = wiring().account_stores_for(resolve(given))
    there = take_inventory(stores.registry, stores.functions, stores.logs)
    now = datetime.now(timezone.utc)
    images = sorted(there.images, key=lambda image: image.pushed)
    functions = sorted(there.functions, key=lambda entry: entry.record.modified)
    document = {
        "images": [_image_document(image, there.purpose_of(image)) for image in images],
        "functions": [_function_document(entry) for entry in functions],
    }
    if not (images or functions):
        output.result(document, "No images and no functions")
        return
    output.table(
        document,
        _COLUMNS,
        [
            *(_image_row(image, there.purpose_of(image), now) for image in images),
            *(_function_row(entry, now) for entry in functions),
        ],
        whole=_WHOLE,
    )


@command()
@click.option(
    "--dry-run", "--plan", is_flag=True, help="Show what would be removed, and remove nothing."
)
@click.option(
    "--keep",
    type=duration,
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Keep everything created or used within this time: 30d, 12h.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--local",
    is_flag=True,
    help="Remove files and images of earlier builds on this machine, not from the account.",
)
@executor_options(*ACCOUNT, "ecr_repository", "cache_dir")
@reporting
def gc(
    dry_run: bool,
    keep: timedelta,
    yes: bool,
    local: bool,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Remove functions and images that are no longer used.

    Removes functions that have not been used for a while, then images that no function uses. With
    --local, images in the Docker engine and files in the option cache_dir. Only what executors have
    created is removed: functions with this project's tag, images whose tag is that of a spec. What
    is needed later is created again.

    \b
    Example:
      covalent-lambda gc --keep 30d --dry-run
      covalent-lambda gc --local --dry-run
    """
    if local:
        refuse(given, (*ACCOUNT, "ecr_repository"), "gc --local does not access an account")
        from covalent_lambda_container.cli.pruning import gc_local

        gc_local(given, output, dry_run=dry_run, keep=keep, yes=yes)
        return
    refuse(given, ["cache_dir"], "only gc --local uses it")
    from covalent_lambda_container.functions.inventory import find_unused, remove, take_inventory
    from covalent_lambda_container.options.resolve import resolve

    stores = wiring().account_stores_for(resolve(given))
    now = datetime.now(timezone.utc)
    there = take_inventory(stores.registry, stores.functions, stores.logs)
    what = find_unused(there, now=now, keep=keep)
    if not dry_run and (what.functions or what.images):
        if not yes:
            _show(what, there, now, output.aside)
            click.confirm("Remove these?", abort=True, err=True)
            # They may have been used in the meantime.
            there = take_inventory(stores.registry, stores.functions, stores.logs)
            what = what.still(find_unused(there, now=now, keep=keep))
        remove(what, stores.registry, stores.functions, output.note)
    _show(what, there, now, output, removed=not dry_run)


def _show(
    what: Unused,
    there: Inventory,
    now: datetime,
    output: Output,
    *,
    removed: bool | None = None,
) -> None:
    document = {
        "removed": removed,
        "functions": [_function_document(entry) for entry in what.functions],
        "images": [_image_document(image, there.purpose_of(image)) for image in what.images],
    }
    rows = [
        *(_function_row(entry, now) for entry in what.functions),
        *(_image_row(image, there.purpose_of(image), now) for image in what.images),
    ]
    if rows:
        output.table(document, _COLUMNS, rows, whole=_WHOLE)
    else:
        output.result(document, "nothing to remove")


def _image_document(image: ImageRecord, purpose: Purpose) -> dict[str, Any]:
    return {
        "tags": list(image.tags),
        "digest": image.digest,
        "size_bytes": image.size_bytes,
        "pushed": image.pushed.isoformat(),
        "last_used": image.pulled.isoformat() if image.pulled else None,
        "packages": purpose.packages or None,
        "for": purpose.tasks or None,
    }


def _function_document(entry: FunctionEntry) -> dict[str, Any]:
    return {
        "name": entry.record.name,
        "image": entry.record.image,
        "memory_mb": entry.record.memory_mb,
        "modified": entry.record.modified.isoformat(),
        "last_used": entry.last_used.isoformat() if entry.last_used else None,
        "made_by": entry.creator or None,
        "packages": entry.purpose.packages or None,
        "for": entry.purpose.tasks or None,
    }


def _image_row(image: ImageRecord, purpose: Purpose, now: datetime) -> list[str]:
    size = megabytes(image.size_bytes)
    used = age(image.pulled, now)
    tag = image.tags[-1][:_SHORT]
    return [
        *("image", tag, purpose.packages or "–", purpose.tasks or "–", _digest(image.digest)),
        *(size, "–", age(image.pushed, now), used, "–"),
    ]


def _function_row(entry: FunctionEntry, now: datetime) -> list[str]:
    record = entry.record
    return [
        "function",
        record.name,
        entry.purpose.packages or "–",
        entry.purpose.tasks or "–",
        _digest(entry.digest),
        "–",
        f"{record.memory_mb} MB",
        age(record.modified, now),
        age(entry.last_used, now),
        entry.creator.rpartition(":")[2] or "–",
    ]


def _digest(digest: str) -> str:
    return digest[: len("sha256:") + _SHORT]
