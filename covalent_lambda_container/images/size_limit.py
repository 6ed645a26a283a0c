"""The limit for an image's size, and an error that names its largest packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.errors import ImageBuildError

_LARGEST_NAMED: Final = 10
_MB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SizeLimit:
    """The largest size of one image.

    Parameters
    ----------
    max_mb
        The limit in MB, uncompressed.
    tag
        The image's tag, for the error.
    """

    max_mb: int
    tag: str

    def check(self, size: int, sizes: Mapping[str, int]) -> None:
        """Refuse a size in bytes that is over the limit.

        Parameters
        ----------
        sizes
            Bytes of each distribution in the image, by its pinned requirement.

        Raises
        ------
        ImageBuildError
            The message names the largest distributions.
        """
        if size <= self.max_mb * _MB:
            return
        largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_LARGEST_NAMED]
        listed = "\n".join(f"  {sizes[name] / _MB:8.1f} MB  {name}" for name in largest)
        raise ImageBuildError(
            f"Image {self.tag} would have {size / _MB:,.0f} MB uncompressed; at most "
            f"{self.max_mb:,.0f} MB are allowed. Its largest distributions:\n{listed}",
            hint="Require fewer or smaller packages. Lambda accepts images of up to 10,240 MB; the "
            "option max_image_mb may set a lower limit.",
        )
