"""Time that passes only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """A clock for one thread, and what is due to happen on it.

    Attributes
    ----------
    sleeps
        Seconds of every sleep so far.
    """

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self._now_s = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass; whatever becomes due meanwhile happens at its moment."""
        self.sleeps.append(seconds)
        ends_s = self._now_s + seconds
        for moment_s, action in sorted(self._due, key=lambda due: due[0]):
            if moment_s <= ends_s:
                self._due.remove((moment_s, action))
                self._now_s = max(self._now_s, moment_s)
                action()
        self._now_s = ends_s

    async def pause(self, seconds: float) -> None:
        """Let time pass, for a coroutine."""
        self.sleep(seconds)

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something once so many seconds have passed."""
        self._due.append((self._now_s + seconds, action))
