"""A fake engine's images: names, labels and parents."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.ports.engine import StoredImage


@dataclass
class FakeImageStore:
    """Images as Docker keeps them.

    Attributes
    ----------
    images
        By ID.
    reachable
        Whether the engine answers.
    """

    images: dict[str, StoredImage] = field(default_factory=dict)
    reachable: bool = True
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def make(
        self,
        *names: str,
        on: str = "",
        size: int = 0,
        layer: str = "",
        labels: Mapping[str, str] | None = None,
        made: datetime | None = None,
        in_use: bool = False,
    ) -> str:
        """Make an image with a layer of `size` bytes on another one; return its ID.

        Equal names of a layer stand for equal bytes.
        """
        below = self.images.get(on)
        image_id = f"sha256:{next(self._numbers):064x}"
        image = StoredImage(
            id=image_id,
            parent=on,
            names=(),
            labels={**(below.labels if below else {}), **(labels or {})},
            layers=(*(below.layers if below else ()), *([layer or image_id] if size else [])),
            size=size + (below.size if below else 0),
            made=made or datetime.now(timezone.utc),
            in_use=in_use,
        )
        self.images[image.id] = image
        for name in names:
            self.name(image.id, name)
        return image.id

    def name(self, image_id: str, name: str) -> None:
        """Give an image a name, which another one may lose by it."""
        for image in list(self.images.values()):
            if name in image.names:
                self._take(image, name)
        image = self.images[image_id]
        self.images[image_id] = replace(image, names=tuple(sorted((*image.names, name))))

    def list_images(self) -> list[StoredImage]:
        if not self.reachable:
            raise ImageBuildError("Docker could not list its images: there is no engine.")
        return list(self.images.values())

    def remove_unused(self, name: str, image_id: str) -> bool:
        image = self.images.get(image_id)
        if image is None or name not in (image_id, *image.names):
            return True
        others = [each for each in image.names if each != name]
        if not others and (image.in_use or (name == image_id and self._above(image_id))):
            return False
        if name != image_id:
            image = self._take(image, name)
        while not image.names and not image.in_use and not self._above(image.id):
            del self.images[image.id]
            if image.parent not in self.images:
                break
            image = self.images[image.parent]
        return True

    def _take(self, image: StoredImage, name: str) -> StoredImage:
        left = tuple(each for each in image.names if each != name)
        self.images[image.id] = replace(image, names=left)
        return self.images[image.id]

    def _above(self, image_id: str) -> list[StoredImage]:
        return [image for image in self.images.values() if image.parent == image_id]
