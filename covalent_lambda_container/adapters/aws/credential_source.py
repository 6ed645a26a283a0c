"""The source of credentials, which may be a program that hangs or prints anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from typing import Final, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from covalent_lambda_container.errors import LambdaContainerError

Value = TypeVar("Value")

_PATIENCE_S: Final = 60.0
"""A program may ask for a second factor. Services are given up by botocore much earlier."""

_KEPT_S: Final = 5.0
"""How long a source that gave no answer in time is not asked again: many may wait for it."""


class CredentialSource(Generic[Value]):
    """Asks for credentials, once for all who want them meanwhile, and waits for a limited time.

    Parameters
    ----------
    ask
        Returns what the source answers.
    patience_s
        How long that may take.
    now
        Clock, for tests.
    """

    def __init__(
        self,
        ask: Callable[[], Value],
        *,
        patience_s: float = _PATIENCE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._now = now
        self._lock = threading.Lock()
        self._asked: tuple[float, Future[Value]] | None = None

    def get(self) -> Value:
        """Return what the source answers.

        Raises
        ------
        CredentialRetrievalError
            There was no answer in time, or botocore cannot read it.
        BotoCoreError, ClientError, LambdaContainerError
            Other reasons why there are no credentials.
        """
        with self._lock:
            asked = self._asked
            if asked is None or asked[1].done() or self._now() > self._ends(asked[0]) + _KEPT_S:
                asked = self._asked = (self._now(), Future())
                # A daemon: it may wait forever.
                threading.Thread(target=self._fulfil, args=(asked[1],), daemon=True).start()
        started, answer = asked
        try:
            return answer.result(timeout=max(self._ends(started) - self._now(), 0))
        except OutOfTime:
            raise CredentialRetrievalError(
                provider="their source",
                error_msg=f"it gave no answer within {self._patience_s:.0f} s",
            ) from None

    def _ends(self, started: float) -> float:
        return started + self._patience_s

    def _fulfil(self, answer: Future[Value]) -> None:
        try:
            answer.set_result(self._ask())
        except (BotoCoreError, ClientError, LambdaContainerError) as exc:
            answer.set_exception(exc)
        except BaseException as exc:
            # botocore checks little of what a program prints, and not whether there is one. A
            # provider in this process may try to end it.
            said = f"it cannot be read: {type(exc).__name__}: {exc}"
            answer.set_exception(CredentialRetrievalError(provider="their source", error_msg=said))
