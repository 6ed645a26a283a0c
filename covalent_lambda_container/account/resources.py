"""Resources of an AWS account with their settings: inspected, created and removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Setting:
    """A required property of a resource.

    Attributes
    ----------
    name
        The property, as a sentence: ``"public access is blocked"``.
    holds
        Returns whether the resource has the property.
    apply
        Gives the resource the property.
    """

    name: str
    holds: Callable[[], bool]
    apply: Callable[[], None]

    def ensure(self) -> None:
        """Apply the setting, unless the resource already has it."""
        if not self.holds():
            self.apply()


class Resource(ABC):
    """A bucket, repository or role. Methods raise `LambdaContainerError` if AWS refuses."""

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def exists(self) -> bool:
        """Return whether it exists.

        Raises
        ------
        ConfigurationError
            Another account has a resource of this name.
        """

    @abstractmethod
    def is_ours(self) -> bool:
        """Return whether it has this project's tag."""

    @abstractmethod
    def create(self) -> None:
        """Create it, with the tag; its settings are applied afterwards."""

    @abstractmethod
    def adopt(self) -> None:
        """Add the tag to its other tags."""

    @abstractmethod
    def settings(self) -> list[Setting]:
        """Return the settings that it must have."""

    @abstractmethod
    def obstacles(self) -> list[str]:
        """Return the contents and uses by others that removing it would break."""

    @abstractmethod
    def delete(self) -> None:
        """Remove it with everything in it."""
