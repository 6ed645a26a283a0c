"""Resources of an AWS account with their settings: inspected, created and removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Setting:
    """One property of a resource that has to hold.

    Attributes
    ----------
    name
        What holds once it is applied: ``"public access is blocked"``.
    holds
        Returns whether it holds.
    apply
        Makes it hold.
    """

    name: str
    holds: Callable[[], bool]
    apply: Callable[[], None]

    def ensure(self) -> None:
        """Make it hold, unless it does."""
        if not self.holds():
            self.apply()


class Resource(ABC):
    """One bucket, repository or role. Methods raise `LambdaContainerError` where AWS refuses."""

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def exists(self) -> bool:
        """Return whether it exists.

        Raises
        ------
        ConfigurationError
            When another account has a resource of this name.
        """

    @abstractmethod
    def is_ours(self) -> bool:
        """Return whether it has this project's tag."""

    @abstractmethod
    def create(self) -> None:
        """Create it, with the tag; its settings are applied afterwards."""

    @abstractmethod
    def adopt(self) -> None:
        """Add the tag to those that it has."""

    @abstractmethod
    def settings(self) -> list[Setting]:
        """Return the settings that it must have."""

    @abstractmethod
    def obstacles(self) -> list[str]:
        """Return what others have put there or use, and would lose if it were removed."""

    @abstractmethod
    def delete(self) -> None:
        """Remove it with everything in it."""
