"""The contract of every Logs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest

from covalent_lambda_container.adapters.aws.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.stores import Logs
from tests.contract.conftest import AWS_SIDES, real_side
from tests.fakes import FakeLogs

NAME = f"covalent-{uuid.uuid4().hex}"
# CloudWatch counts milliseconds.
NOW = datetime.now(timezone.utc).replace(microsecond=0)

Side = tuple[Logs, Callable[[datetime, str], None]]


@pytest.fixture(params=AWS_SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Logs, and a way to let a function write that has written nothing yet."""
    if request.param == "fake":
        fake = FakeLogs()
        yield fake, lambda time, text: fake.write(NAME, time, text)
        return
    clients = real_side(request).clients
    group = {"logGroupName": f"/aws/lambda/{NAME}"}

    def write(time: datetime, text: str) -> None:
        stream = {"logStreamName": uuid.uuid4().hex}
        if not clients.logs.describe_log_groups(logGroupNamePrefix=group["logGroupName"])[
            "logGroups"
        ]:
            clients.logs.create_log_group(**group)
        clients.logs.create_log_stream(**group, **stream)
        event = {"timestamp": int(time.timestamp() * 1000), "message": text}
        clients.logs.put_log_events(**group, **stream, logEvents=[event])

    yield FunctionLogs(clients), write
    for found in clients.logs.describe_log_groups(logGroupNamePrefix=group["logGroupName"])[
        "logGroups"
    ]:
        clients.logs.delete_log_group(logGroupName=found["logGroupName"])


def test_a_function_that_wrote_nothing_has_no_last_event(side: Side) -> None:
    logs, _ = side
    assert logs.last_event(NAME) is None
    with pytest.raises(InvocationError, match="There is no log group"):
        list(logs.read(NAME, NOW))


def test_events_since_a_time_are_read_in_order(side: Side) -> None:
    logs, write = side
    for minutes, text in ((30, "old"), (10, "middle"), (1, "new")):
        write(NOW - timedelta(minutes=minutes), text)
    since = NOW - timedelta(minutes=15)
    assert [line.text for line in logs.read(NAME, since)] == ["middle", "new"]
    assert next(iter(logs.read(NAME, since))).time == NOW - timedelta(minutes=10)
    assert logs.last_event(NAME) == NOW - timedelta(minutes=1)
