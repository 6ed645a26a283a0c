"""CloudWatch Logs: the logs of functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any, Final

from botocore.exceptions import ClientError

from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.stores import LogLine

_FOLLOW_INTERVAL_S: Final = 2.0
_REMEMBERED: Final = 10_000
_LATE_S: Final = 10.0
"""Events arrive out of order; those of the last seconds are read again."""


class FunctionLogs:
    """The log groups of Lambda functions.

    Parameters
    ----------
    clients
        AWS clients of the account.
    sleep
        Replaces `time.sleep` in tests.
    """

    def __init__(self, clients: AwsClients, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clients = clients
        self._sleep = sleep

    def last_event(self, function_name: str) -> datetime | None:
        """Return when a function last wrote to its log; None if it never has.

        CloudWatch updates it within an hour ("DescribeLogStreams", CloudWatch Logs API reference,
        read 2026-11).
        """
        group = _group(function_name)
        with explained("look for the last event of log group", group):
            try:
                answer = self._clients.logs.describe_log_streams(
                    logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
                )
            except ClientError as exc:
                if error_code(exc) == "ResourceNotFoundException":
                    return None
                raise
        times = [stream.get("lastEventTimestamp") for stream in answer["logStreams"]]
        return _moment(times[0]) if times and times[0] else None

    def read(
        self, function_name: str, since: datetime, *, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield a function's log events, oldest first; with `follow`, also new ones, endlessly.

        Raises
        ------
        InvocationError
            The function has not written anything yet, and `follow` is false.
        """
        group = _group(function_name)
        start = _milliseconds(since)
        # Reads overlap, since events arrive late.
        seen: dict[Any, None] = {}
        while True:
            for event in self._events(group, start, follow=follow):
                identity = event.get("eventId") or tuple(event.items())
                if follow and identity in seen:
                    continue
                seen[identity] = None
                if len(seen) > _REMEMBERED:
                    del seen[next(iter(seen))]
                start = max(start, event["timestamp"] - int(_LATE_S * 1000))
                yield LogLine(time=_moment(event["timestamp"]), text=event["message"])
            if not follow:
                return
            self._sleep(_FOLLOW_INTERVAL_S)

    def _events(self, group: str, start: int, *, follow: bool) -> Iterator[dict[str, Any]]:
        pages = self._clients.logs.get_paginator("filter_log_events")
        with explained("read log group", group, InvocationError):
            try:
                for page in pages.paginate(logGroupName=group, startTime=start):
                    yield from page["events"]
            except ClientError as exc:
                if error_code(exc) != "ResourceNotFoundException":
                    raise
                if not follow:
                    raise InvocationError(
                        f"There is no log group {group}: no function of that name has run.",
                        hint="List the names of all functions: covalent-lambda list",
                    ) from exc


def _group(function_name: str) -> str:
    return f"/aws/lambda/{function_name}"


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
