"""CloudWatch Logs: nothing twice and nothing lost while it is followed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import InvocationError, LambdaContainerError
from tests.fakes import FakeClock
from tests.fakes.aws_http import FakeAwsHttp

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
START = NOW - timedelta(hours=1)


@pytest.fixture(scope="module")
def clients(credentials_file: str) -> AwsClients:
    return AwsClients(AwsTarget(credentials_file=credentials_file, region="eu-central-1"))


@pytest.fixture
def aws(clients: AwsClients) -> Iterator[FakeAwsHttp]:
    answers = FakeAwsHttp()
    with answers.behind(clients.logs):
        yield answers


@pytest.fixture
def logs(clients: AwsClients, clock: FakeClock) -> FunctionLogs:
    return FunctionLogs(clients, sleep=clock.sleep)


def event(number: int, seconds: float = 0) -> dict[str, Any]:
    time = int((NOW + timedelta(seconds=seconds)).timestamp() * 1000)
    return {
        "eventId": str(number),
        "logStreamName": "s",
        "timestamp": time,
        "message": f"e{number}",
    }


def texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


def test_all_pages_are_read(logs: FunctionLogs, aws: FakeAwsHttp) -> None:
    aws.json({"events": [event(1)], "nextToken": "more"})
    aws.json({"events": [event(2), event(3)]})
    assert texts(logs.read("name", START)) == ["e1", "e2", "e3"]
    assert aws.requests[0][1]["logGroupName"] == "/aws/lambda/name"
    assert aws.requests[0][1]["startTime"] == int(START.timestamp() * 1000)


def test_late_events_are_followed_once(
    logs: FunctionLogs, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    aws.json({"events": [event(1, 0), event(3, 20)]})
    # The second was written before the third and arrived after it.
    aws.json({"events": [event(2, 15), event(3, 20)]})
    aws.json({"events": [event(3, 20), event(4, 21)]})
    assert texts(islice(logs.read("name", START, follow=True), 4)) == ["e1", "e3", "e2", "e4"]
    looked_from = [request["startTime"] for _, request in aws.requests]
    assert looked_from[1] == int((NOW + timedelta(seconds=10)).timestamp() * 1000)
    assert len(clock.sleeps) == 2


def test_a_function_may_be_followed_before_it_writes(logs: FunctionLogs, aws: FakeAwsHttp) -> None:
    aws.error("ResourceNotFoundException")
    aws.json({"events": [event(1)]})
    assert texts(islice(logs.read("name", START, follow=True), 1)) == ["e1"]


def test_an_absent_log_is_an_error_with_advice(logs: FunctionLogs, aws: FakeAwsHttp) -> None:
    aws.error("ResourceNotFoundException")
    with pytest.raises(InvocationError, match="no function of that name has run"):
        list(logs.read("name", START))


def test_a_refusal_is_never_taken_for_absence(logs: FunctionLogs, aws: FakeAwsHttp) -> None:
    aws.error("AccessDeniedException")
    with pytest.raises(LambdaContainerError, match="DescribeLogStreams"):
        logs.last_event("name")
    aws.error("AccessDeniedException")
    with pytest.raises(LambdaContainerError, match="FilterLogEvents"):
        list(logs.read("name", START, follow=True))


def test_the_last_event_is_that_of_the_newest_stream(logs: FunctionLogs, aws: FakeAwsHttp) -> None:
    aws.json({"logStreams": [{"lastEventTimestamp": event(1)["timestamp"]}]})
    assert logs.last_event("name") == NOW
    aws.json({"logStreams": []})
    assert logs.last_event("name") is None
    aws.json({"logStreams": [{}]})
    assert logs.last_event("name") is None
