"""What builds have left on this machine, and what of it nobody has needed for a time.

Images in the engine, and what is in the cache folder. All of it only spares work: what is gone and
needed again is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.files.cache_folder import LONGEST_BUILD_S, SCRATCH, emptying
from covalent_lambda_container.model.image_labels import (
    BASE_REPOSITORY,
    PACKAGES_LABEL,
    PACKAGES_REPOSITORY,
    SPEC_LABEL,
)
from covalent_lambda_container.model.names import TAG_LENGTH, first_tag
from covalent_lambda_container.ports.engine import ImageStore, StoredImage

BUILDING: Final = timedelta(seconds=LONGEST_BUILD_S)
"""How long a build may run; what was used that recently may be in use, whatever is asked for."""

_IN_CACHE: Final = (
    ("pack", "packs/*"),
    ("byte code", "byte-code/*"),
    ("wheels", "wheels/*"),
    ("wheels", "uv"),
    ("unfinished build", f"{SCRATCH}*"),
)
"""What builds leave in the cache folder. Each bears the time of its last use, or of its making."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that a build has left.

    Parameters
    ----------
    kind
        ``"image"``, or what it is in the cache folder: ``"pack"``, ``"wheels"``, …
    names
        All names of an image, or its ID if it has none; the path of a file or folder.
    size_bytes
        What is free once it has gone. Images that share layers count them once, all together.
    used
        When somebody last needed it, as far as one can see.
    image_id
        An image's ID; empty for files.
    """

    kind: str
    names: tuple[str, ...]
    size_bytes: int
    used: datetime
    image_id: str = ""


def old_files(cache: Path, *, now: datetime, keep: timedelta) -> list[Leftover]:
    """Return what nobody has needed for a time in the cache folder, the oldest first.

    Parameters
    ----------
    now
        Present time.
    keep
        How long things are kept after they were made or last used; at least `BUILDING`.
    """
    found = []
    for kind, pattern in _IN_CACHE:
        for path in cache.glob(pattern):
            # Another process may be faster.
            with contextlib.suppress(FileNotFoundError):
                used = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
                if used < _oldest(now, keep):
                    size = _size(path)
                    found.append(
                        Leftover(kind=kind, names=(str(path),), size_bytes=size, used=used)
                    )
    return sorted(found, key=lambda each: (each.used, each.names))


def old_images(
    images: Collection[StoredImage], *, now: datetime, keep: timedelta
) -> list[Leftover]:
    """Return the images of ours that nobody has needed for a time, each before what it is made on.

    An image that a container uses, or on which something else is made, is needed; so is one that
    has a name of somebody else's.

    Parameters
    ----------
    images
        All that there are in the engine.
    now
        Present time.
    keep
        How long images are kept after they were made, named, or something was made on them; at
        least `BUILDING`.
    """
    return _Forest(images).old(_oldest(now, keep))


def remove(
    what: Collection[Leftover],
    cache: Path,
    engine: ImageStore,
    look_again: Callable[[], Collection[Leftover]],
    tell: Callable[[str], None],
) -> list[Leftover]:
    """Remove what is still not needed once no build is under way; return what went.

    Parameters
    ----------
    what
        What is to go.
    cache
        The cache folder.
    engine
        Where the images are.
    look_again
        Finds what could go now.
    tell
        Takes a word on what is done now.

    Raises
    ------
    ConfigurationError
        When the folder does not belong to this user.
    """
    named = {(each.kind, each.names) for each in what}
    try:
        with emptying(cache, lambda: tell("Waiting for builds to end")):
            still = [each for each in look_again() if (each.kind, each.names) in named]
            tell(f"Removing {len(still)} leftovers of builds")
            return [each for each in still if _removed(each, engine)]
    except OSError as exc:
        raise ConfigurationError(
            f"{cache} cannot be emptied: {exc}.",
            hint="Run this as the user whose dispatcher builds there, or name another folder by "
            "the option cache_dir.",
        ) from exc


def _removed(what: Leftover, engine: ImageStore) -> bool:
    if what.image_id:
        return all(engine.remove_unused(name, what.image_id) for name in what.names)
    path = Path(*what.names)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True


def _oldest(now: datetime, keep: timedelta) -> datetime:
    return now - max(keep, BUILDING)


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(each.lstat().st_size for each in inside if not each.is_dir())


class _Forest:
    """Images, each on the one that it was made on."""

    def __init__(self, images: Collection[StoredImage]) -> None:
        self._images = {image.id: image for image in images}
        self._above: dict[str, list[StoredImage]] = {image.id: [] for image in images}
        for image in images:
            if image.parent in self._images:
                self._above[image.parent].append(image)
        self._from_below = sorted(images, key=self._depth)

    def old(self, oldest: datetime) -> list[Leftover]:
        """Return what of ours nobody has needed since a time, from the top down."""
        needed, ours = self._needed(), self._ours()
        going: set[str] = set()
        listed: list[StoredImage] = []
        for image in reversed(self._from_below):
            above = self._above[image.id]
            if image.in_use or any(each.id not in going for each in above):
                continue
            # What has no name goes with the last image that was made on it.
            follows = bool(above) and not image.names
            if follows or (ours[image.id] and needed[image.id] < oldest):
                going.add(image.id)
                if not follows:
                    listed.append(image)
        freed = self._freed(listed, going)
        return [
            Leftover(
                kind="image",
                names=image.names or (image.id,),
                size_bytes=freed[image.id],
                used=needed[image.id],
                image_id=image.id,
            )
            for image in listed
        ]

    def _depth(self, image: StoredImage) -> int:
        depth = 0
        while below := self._images.get(image.parent):
            image, depth = below, depth + 1
        return depth

    def _needed(self) -> dict[str, datetime]:
        """Return when images were made, named, or last made something on."""
        needed: dict[str, datetime] = {}
        for image in reversed(self._from_below):
            above = (needed[each.id] for each in self._above[image.id])
            needed[image.id] = max(image.made, *above) if self._above[image.id] else image.made
        return needed

    def _ours(self) -> dict[str, bool]:
        """Tell which images our builds have made."""
        ours: dict[str, bool] = {}
        for image in self._from_below:
            below = self._images.get(image.parent)
            if image.names:
                ours[image.id] = all(_is_own_name(name, image.labels) for name in image.names)
            else:
                ours[image.id] = _lost_its_name(image, below) or (
                    # A step of a build. What others make on a task image has that image's label.
                    SPEC_LABEL not in image.labels and ours.get(image.parent, False)
                )
        return ours

    def _freed(self, listed: Sequence[StoredImage], going: set[str]) -> dict[str, int]:
        """Return the bytes that go with images, and with what follows them."""
        kept = {
            image.layers[:height]
            for image in self._from_below
            if image.id not in going
            for height in range(len(image.layers) + 1)
        }
        freed = {image.id: 0 for image in listed}
        followers = going - set(freed)
        for image in listed:
            node: StoredImage | None = image
            while node and (node is image or node.id in followers):
                followers.discard(node.id)
                below = self._images.get(node.parent)
                if node.layers not in kept and (below is None or below.layers != node.layers):
                    kept.add(node.layers)
                    freed[image.id] += node.size - (below.size if below else 0)
                node = below
        return freed


def _is_own_name(name: str, labels: Mapping[str, str]) -> bool:
    repository, _, tag = name.rpartition(":")
    if repository in (BASE_REPOSITORY, PACKAGES_REPOSITORY):
        return True
    # What others make on a task image inherits its label, and has a tag of its own.
    spec = hashlib.sha256(labels.get(SPEC_LABEL, "").encode()).hexdigest()
    return first_tag(tag) == spec[:TAG_LENGTH]


def _lost_its_name(image: StoredImage, below: StoredImage | None) -> bool:
    """Tell whether an image without a name is one that a build has finished and labelled."""
    inherited = below.labels if below else {}
    return any(
        image.labels.get(label) not in (None, inherited.get(label))
        for label in (SPEC_LABEL, PACKAGES_LABEL)
    )
