"""Images and cached files of earlier builds on this machine: finds unused ones and removes them.

They only save work: anything removed is rebuilt when needed.
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
from covalent_lambda_container.files.cache_folder import (
    LONGEST_BUILD_S,
    SCRATCH,
    emptying,
    is_tagged,
)
from covalent_lambda_container.model.image_labels import (
    BASE_REPOSITORY,
    PACKAGES_LABEL,
    PACKAGES_REPOSITORY,
    SPEC_LABEL,
)
from covalent_lambda_container.model.names import TAG_LENGTH, first_tag
from covalent_lambda_container.ports.engine import ImageStore, StoredImage

BUILDING: Final = timedelta(seconds=LONGEST_BUILD_S)
"""How long a build may take: things used more recently may be in use and are never removed."""

_IN_CACHE: Final = (
    ("package archive", "package-archives/*"),
    ("byte code", "byte-code/*"),
    ("layer", "layers/*"),
    ("composed image", "images/*"),
    ("wheels", "wheels/*"),
    ("wheels", "uv"),
    ("unfinished build", f"{SCRATCH}*"),
)
"""Kinds of files that builds leave in the cache folder; modification times record the last use."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """An image or cached file left by a build.

    Parameters
    ----------
    kind
        ``"image"``, or the kind of cached file: ``"package archive"``, ``"wheels"``, …
    names
        All names of an image, or its ID if it has none; the path of a file or folder.
    size_bytes
        Bytes freed by removing it. Layers shared by several images are counted once.
    used
        When it was last used, as far as is known.
    image_id
        ID of an image; empty for files.
    """

    kind: str
    names: tuple[str, ...]
    size_bytes: int
    used: datetime
    image_id: str = ""


def old_files(cache: Path, *, now: datetime, keep: timedelta) -> list[Leftover]:
    """Return the files of the cache folder that have not been used for a time, oldest first.

    Parameters
    ----------
    cache
        The cache folder. One that no build has used has none of our files, whatever their names.
    now
        The current time.
    keep
        How long files are kept after their last use; at least `BUILDING`.
    """
    found = list[Leftover]()
    if not is_tagged(cache):
        return found
    for kind, pattern in _IN_CACHE:
        for path in cache.glob(pattern):
            # Another process may have removed it.
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
    """Return this project's images that have not been used for a time, children before parents.

    Images are in use if a container uses them, other images are built on them, or somebody else
    has named them.

    Parameters
    ----------
    images
        All images of the engine.
    now
        The current time.
    keep
        How long images are kept after they were built, tagged or built upon; at least
        `BUILDING`.
    """
    return _Forest(images).old(_oldest(now, keep))


def remove(
    what: Collection[Leftover],
    cache: Path,
    engine: ImageStore,
    look_again: Callable[[], Collection[Leftover]],
    report: Callable[[str], None],
) -> list[Leftover]:
    """Wait until no build is running, then remove what is still unused; return what was removed.

    Parameters
    ----------
    what
        The images and files to remove.
    cache
        The cache folder.
    engine
        The engine with the images.
    look_again
        Returns what is unused now.
    report
        Called with a description of each step.

    Raises
    ------
    ConfigurationError
        The cache folder cannot be modified.
    """
    named = {(each.kind, each.names) for each in what}
    try:
        with emptying(cache, lambda: report("Waiting for builds to end")):
            still = [each for each in look_again() if (each.kind, each.names) in named]
            report(f"Removing {len(still)} leftovers of builds")
            return [each for each in still if _removed(each, engine)]
    except OSError as exc:
        raise ConfigurationError(
            f"Files in {cache} cannot be removed: {exc}.",
            hint="Run this as the user that runs the dispatcher, or set cache_dir to another "
            "folder.",
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
    """Images with their parents and children."""

    def __init__(self, images: Collection[StoredImage]) -> None:
        self._images = {image.id: image for image in images}
        self._above: dict[str, list[StoredImage]] = {image.id: [] for image in images}
        for image in images:
            if image.parent in self._images:
                self._above[image.parent].append(image)
        self._from_below = sorted(images, key=self._depth)

    def old(self, oldest: datetime) -> list[Leftover]:
        """Return this project's images not used since a time, children before parents."""
        needed, ours = self._needed(), self._ours()
        going: set[str] = set()
        listed: list[StoredImage] = []
        for image in reversed(self._from_below):
            above = self._above[image.id]
            if image.in_use or any(each.id not in going for each in above):
                continue
            # An unnamed image is removed with the last image built on it.
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
        """Return when each image was last built, tagged or built upon."""
        needed: dict[str, datetime] = {}
        for image in reversed(self._from_below):
            above = (needed[each.id] for each in self._above[image.id])
            needed[image.id] = max(image.made, *above) if self._above[image.id] else image.made
        return needed

    def _ours(self) -> dict[str, bool]:
        """Return which images this project's builds created."""
        ours: dict[str, bool] = {}
        for image in self._from_below:
            below = self._images.get(image.parent)
            if image.names:
                ours[image.id] = all(_is_own_name(name, image.labels) for name in image.names)
            else:
                ours[image.id] = _lost_its_name(image, below) or (
                    # A build step. Images that others build on a task image inherit its label.
                    SPEC_LABEL not in image.labels and ours.get(image.parent, False)
                )
        return ours

    def _freed(self, listed: Sequence[StoredImage], going: set[str]) -> dict[str, int]:
        """Return the bytes freed by each image and the unnamed images removed with it."""
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
    # Images that others build on a task image inherit its label, but have their own tag.
    spec = hashlib.sha256(labels.get(SPEC_LABEL, "").encode()).hexdigest()
    return first_tag(tag) == spec[:TAG_LENGTH]


def _lost_its_name(image: StoredImage, below: StoredImage | None) -> bool:
    """Return whether an unnamed image was completed and labelled by a build."""
    inherited = below.labels if below else {}
    return any(
        image.labels.get(label) not in (None, inherited.get(label))
        for label in (SPEC_LABEL, PACKAGES_LABEL)
    )
