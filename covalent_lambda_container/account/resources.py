"""What an account is given: things with settings, which can be looked at, made and removed."""

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
        What holds then: ``"public access is blocked"``.
    holds
        Looks whether it does.
    apply
        Makes it hold.
    """

    name: str
    holds: Callable[[], bool]
    apply: Callable[[], None]


class Resource(ABC):
    """One bucket, repository or role. All methods raise errors of ours."""

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def exists(self) -> bool:
        """Look whether it is there.

        Raises
        ------
        ConfigurationError
            When something of another account bears its name.
        """

    @abstractmethod
    def is_ours(self) -> bool:
        """Look whether it bears this project's tag."""

    @abstractmethod
    def create(self) -> None:
        """Make it, with the tag; its settings are applied afterwards."""

    @abstractmethod
    def adopt(self) -> None:
        """Give it the tag, beside those that it has."""

    @abstractmethod
    def settings(self) -> list[Setting]:
        """Return what has to hold for it."""

    @abstractmethod
    def obstacles(self) -> list[str]:
        """Return what of others would be lost or broken if it were removed."""

    @abstractmethod
    def delete(self) -> None:
        """Remove it with all that is in it."""
