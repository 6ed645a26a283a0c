"""The images and functions of an account, and which of them are unused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from covalent_lambda_container.functions.description import Purpose, purpose
from covalent_lambda_container.model.names import CREATOR_TAG, OWN_TAG, is_image_tag
from covalent_lambda_container.ports.functions import FunctionRecord, Functions
from covalent_lambda_container.ports.registry import ImageRecord, Registry
from covalent_lambda_container.ports.stores import Logs

_REQUESTS_AT_ONCE: Final = 5
"""DescribeLogStreams is allowed 25 times a second ("CloudWatch Logs quotas" page, read 2026-11)."""

RUNNING: Final = timedelta(minutes=15)
"""Longest time a task may run: things used more recently may still be in use."""


@dataclass(frozen=True, kw_only=True)
class FunctionEntry:
    """A function that this project created.

    Parameters
    ----------
    record
        The function as Lambda describes it.
    last_used
        When it last wrote to its log; None if it never has.
    """

    record: FunctionRecord
    last_used: datetime | None

    @property
    def digest(self) -> str:
        """Digest of the function's image."""
        return self.record.image.rpartition("@")[2]

    @property
    def creator(self) -> str:
        """ARN of the identity that created it; empty if its tags do not say."""
        return self.record.tags.get(CREATOR_TAG, "")

    @property
    def purpose(self) -> Purpose:
        """The purpose that it was created for."""
        return purpose(self.record.description)

    @property
    def needed_at(self) -> datetime:
        """When it was last used or changed, as far as AWS records it."""
        return max(self.record.modified, self.last_used or self.record.modified)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The images and functions of an account.

    Parameters
    ----------
    images
        Images of the repository whose tags come from image specs.
    functions
        Functions tagged as created by this project.
    digests_of_others
        Images used by functions without that tag.
    """

    images: tuple[ImageRecord, ...]
    functions: tuple[FunctionEntry, ...]
    digests_of_others: frozenset[str]

    def purpose_of(self, image: ImageRecord) -> Purpose:
        """Return the purpose of an image's functions; empty if it has none."""
        purposes = [entry.purpose for entry in self.functions if entry.digest == image.digest]
        tasks = dict.fromkeys(each.tasks for each in purposes if each.tasks)
        packages = next((each.packages for each in purposes if each.packages), "")
        return Purpose(", ".join(tasks), packages)


@dataclass(frozen=True, kw_only=True)
class Unused:
    """Functions and images that can be removed."""

    functions: tuple[FunctionEntry, ...]
    images: tuple[ImageRecord, ...]

    def still(self, later: Unused) -> Unused:
        """Return the part that is still unused in a later inventory."""
        names = {entry.record.name for entry in later.functions}
        digests = {image.digest for image in later.images}
        return Unused(
            functions=tuple(entry for entry in self.functions if entry.record.name in names),
            images=tuple(image for image in self.images if image.digest in digests),
        )


def take_inventory(registry: Registry, functions: Functions, logs: Logs) -> Inventory:
    """List the images of a repository and the functions of the account."""
    records = functions.list_functions()
    key, value = OWN_TAG
    ours = [record for record in records if record.tags.get(key) == value]
    others = [record for record in records if record.tags.get(key) != value]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        last_used = list(pool.map(lambda record: logs.last_event(record.name), ours))
    return Inventory(
        images=tuple(
            image
            for image in registry.list_images()
            if image.tags and all(map(is_image_tag, image.tags))
        ),
        functions=tuple(
            FunctionEntry(record=record, last_used=used)
            for record, used in zip(ours, last_used, strict=True)
        ),
        digests_of_others=frozenset(record.image.rpartition("@")[2] for record in others),
    )


def find_unused(inventory: Inventory, *, now: datetime, keep: timedelta) -> Unused:
    """Return the functions unused for some time, and the images that only they use.

    Parameters
    ----------
    now
        The current time.
    keep
        How long images and functions are kept after they were created or last used; at least
        `RUNNING`.
    """
    oldest = now - max(keep, RUNNING)
    functions = tuple(entry for entry in inventory.functions if entry.needed_at < oldest)
    names = {entry.record.name for entry in functions}
    used = inventory.digests_of_others | {
        entry.digest for entry in inventory.functions if entry.record.name not in names
    }
    images = tuple(
        image
        for image in inventory.images
        if image.digest not in used and max(image.pushed, image.pulled or image.pushed) < oldest
    )
    return Unused(functions=functions, images=images)


def remove(
    what: Unused, registry: Registry, functions: Functions, report: Callable[[str], None]
) -> None:
    """Remove functions, then images, so that no function loses its image."""
    for entry in what.functions:
        report(f"Removing function {entry.record.name}")
        functions.delete(entry.record.name)
    if what.images:
        report(f"Removing {len(what.images)} images")
        registry.remove_images([image.digest for image in what.images])
