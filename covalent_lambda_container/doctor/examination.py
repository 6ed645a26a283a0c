"""Checks run side by side: none waits for another, none hides another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass, field
from typing import Final

from covalent_lambda_container.adapters.aws.aws_errors import cause_of
from covalent_lambda_container.errors import LambdaContainerError

OK: Final = "ok"
PROBLEM: Final = "problem"
UNKNOWN: Final = "unknown"


class Unknown(Exception):
    """The check could not be decided; the text says why."""


@dataclass(frozen=True)
class Check:
    """One question.

    Attributes
    ----------
    name
        The object checked: ``"bucket"``.
    look
        Runs the check, and returns a description of what it found in order. Raises a
        `LambdaContainerError` for a problem, whose hint says how to fix it, and `Unknown` if it
        cannot decide.
    """

    name: str
    look: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes
    ----------
    name
        The check's name.
    status
        `OK`, `PROBLEM` or `UNKNOWN`.
    message
        The result of the check.
    remedy
        How to fix a problem.
    cause
        The cause of a problem, if other problems may share it: they are reported as one.
    """

    name: str
    status: str
    message: str
    remedy: str = ""
    cause: str = field(default="", compare=False)


def examine(checks: Sequence[Check], *, timeout_s: float) -> list[Finding]:
    """Run all checks at once and return their findings in the same order.

    Parameters
    ----------
    checks
        The checks to run.
    timeout_s
        Seconds after which an unfinished check is a problem; its thread keeps running.
    """
    deadline = time.monotonic() + timeout_s
    running = [(check, _in_thread(check)) for check in checks]
    return [_finding(check, answer, deadline, timeout_s) for check, answer in running]


def _in_thread(check: Check) -> Future[str]:
    answer: Future[str] = Future()

    def look() -> None:
        try:
            message = check.look()
        except BaseException as exc:
            answer.set_exception(exc)
        else:
            answer.set_result(message)

    # Not in a pool: Python waits for a pool's threads when it exits.
    threading.Thread(target=look, name=f"doctor-{check.name}", daemon=True).start()
    return answer


def _finding(check: Check, answer: Future[str], deadline: float, timeout_s: float) -> Finding:
    try:
        message = answer.result(timeout=max(0.0, deadline - time.monotonic()))
    except Unknown as exc:
        return Finding(check.name, UNKNOWN, str(exc))
    except LambdaContainerError as exc:
        remedy = exc.hint or ""
        message = str(exc).removesuffix(f"\n{remedy}")
        return Finding(check.name, PROBLEM, message, remedy, cause_of(exc))
    except NoAnswer as exc:
        if answer.done():
            return Finding(check.name, PROBLEM, f"{type(exc).__name__}: {exc}")
        return Finding(
            check.name,
            PROBLEM,
            f"no answer within {timeout_s:g} s",
            "Check the network, proxies and firewalls between this machine and it.",
        )
    # Any exception: the other findings are worth more than its traceback.
    except Exception as exc:
        return Finding(check.name, PROBLEM, f"{type(exc).__name__}: {exc}")
    return Finding(check.name, OK, message)
