"""Targets of tasks: the requests that create a function and reserve concurrency for it."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_lambda_container.errors import ProvisionError
from covalent_lambda_container.executor import wiring
from tests.fakes.account_server import (
    ACCESS_POINT,
    KEY,
    MOUNT,
    VPC,
    Account,
    Executor,
    run,
)


def created(account: Account, given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the content of the CreateFunction that an executor with these options sends."""
    run(Executor(**given, **options))
    content: dict[str, Any] = account.sent("CreateFunction")[-1]
    return content


def test_without_options_a_function_has_no_network_no_mount_and_no_key(
    account: Account, given: dict[str, Any]
) -> None:
    content = created(account, given)
    assert content.keys() == {
        *("FunctionName", "PackageType", "Code", "Role", "Architectures", "MemorySize", "Timeout"),
        *("EphemeralStorage", "Environment", "Tags", "Description"),
    }
    assert account.operations == ["GetFunction", "CreateFunction", "GetFunction", "Invoke"]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (
            VPC,
            {
                "VpcConfig": {
                    "SubnetIds": ["subnet-0a", "subnet-0b"],
                    "SecurityGroupIds": ["sg-0f"],
                }
            },
        ),
        (
            VPC | {"file_system": MOUNT},
            {
                "FileSystemConfigs": [
                    {"Arn": ACCESS_POINT, "LocalMountPath": "/mnt/data-1_a.b"},
                ]
            },
        ),
        ({"kms_key_arn": KEY}, {"KMSKeyArn": KEY}),
        ({"ephemeral_storage": 10240}, {"EphemeralStorage": {"Size": 10240}}),
        ({"environment": {"MODE": "fäst"}}, {"Environment": {"Variables": {"MODE": "fäst"}}}),
        (
            {"tags": {"team": "Müller + Co"}},
            {
                "Tags": {
                    "team": "Müller + Co",
                    "made-by": "covalent-lambda-container",
                    "made-by-identity": "arn:aws:iam::123456789012:user/me",
                }
            },
        ),
    ],
)
def test_an_option_is_in_the_request(
    account: Account, given: dict[str, Any], options: dict[str, Any], sent: dict[str, Any]
) -> None:
    content = created(account, given, **options)
    assert content | sent == content


def test_every_option_of_a_function_takes_part_in_its_name(
    account: Account, given: dict[str, Any]
) -> None:
    variants: list[dict[str, Any]] = [
        {},
        VPC,
        VPC | {"subnet_ids": ["subnet-0a"]},
        VPC | {"security_group_ids": ["sg-0e"]},
        VPC | {"file_system": MOUNT},
        VPC | {"file_system": MOUNT | {"mount_path": "/mnt/other"}},
        VPC | {"file_system": MOUNT | {"arn": ACCESS_POINT[:-1] + "f"}},
        {"kms_key_arn": KEY},
        {"reserved_concurrency": 5},
        {"reserved_concurrency": 6},
        {"ephemeral_storage": 513},
        {"environment": {"MODE": "fast"}},
        {"tags": {"team": "physics"}},
    ]
    for options in variants:
        run(Executor(**given, **options))
    assert len(set(account.functions)) == len(account.functions) == len(variants)


def test_order_and_duplicates_of_networks_make_no_other_function(
    account: Account, given: dict[str, Any]
) -> None:
    for subnets in (["subnet-0a", "subnet-0b"], ["subnet-0b", "subnet-0a", "subnet-0b"]):
        run(Executor(**given, **VPC | {"subnet_ids": subnets}))
    assert len(account.functions) == 1


def test_options_of_tasks_do_not_change_the_function(
    account: Account, given: dict[str, Any]
) -> None:
    for options in ({}, {"prewarm": 1}, {"usage_report": False}):
        run(Executor(**given, **options))
    assert len(account.functions) == 1


def test_concurrency_is_reserved_after_the_function_was_made(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    (name,) = account.functions
    (put,) = [request for request in account.requests if request[0] == "PutFunctionConcurrency"]
    assert put[1:] == (
        f"/2017-10-31/functions/{name}/concurrency",
        {"ReservedConcurrentExecutions": 7},
    )
    operations = account.operations
    assert operations[1] == "CreateFunction"
    assert operations[-2:] == ["PutFunctionConcurrency", "Invoke"]


def test_concurrency_is_reserved_once_per_process(account: Account, given: dict[str, Any]) -> None:
    for _ in range(2):
        run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("PutFunctionConcurrency") == 1
    assert account.operations.count("CreateFunction") == 1


def test_a_reservation_that_another_process_left_out_is_made_up_for(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    account.reserved.clear()
    wiring.clear()
    run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("CreateFunction") == 1
    assert set(account.reserved.values()) == {7}


def test_a_function_that_was_deleted_gets_its_reservation_again(
    account: Account, given: dict[str, Any]
) -> None:
    executor = Executor(**given, reserved_concurrency=7)
    run(executor)
    account.functions.clear()
    account.reserved.clear()
    run(executor)
    assert len(account.functions) == len(account.reserved) == 1


@pytest.mark.parametrize("deletions", [1, 4])
def test_a_function_that_is_deleted_again_and_again_is_created_each_time(
    account: Account, given: dict[str, Any], deletions: int
) -> None:
    account.deletions = deletions
    assert run(Executor(**given))[0] == 5
    assert account.operations.count("CreateFunction") == 1 + deletions


def test_a_function_that_is_deleted_while_it_is_created_is_created_again(
    account: Account, given: dict[str, Any]
) -> None:
    # The first look finds none, and the second comes after its creation.
    account.deletions, account.deleted_before = 2, "GetFunction"
    assert run(Executor(**given))[0] == 5
    assert account.operations.count("CreateFunction") == 2


def test_a_function_that_is_always_deleted_is_named(
    account: Account, given: dict[str, Any]
) -> None:
    account.deletions = 99
    with pytest.raises(ProvisionError, match=r"no longer exists[\s\S]*deleted it"):
        run(Executor(**given))
    assert account.operations.count("CreateFunction") == 5
