"""The policy of who sets an account up allows what that needs, and nothing that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.account import steps as account
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.iam import administration, documents
from covalent_lambda_container.iam.documents import Document
from covalent_lambda_container.model.names import OWN_TAG
from tests.integration.limited_identity import NAMES, LimitedIdentity, denied, limited_identity

KEPT = replace(NAMES, bucket="kept-bucket", repository="kept", role="Kept")
"""Names of another deployment, which is set up and removed."""
BOOTSTRAP = administration.bootstrap(KEPT)
MANAGED_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def identity(
    stack: Any, aws: Callable[[str], Any], tmp_path: Path
) -> Iterator[Callable[[Document], LimitedIdentity]]:
    """Makes a user with a policy."""
    with limited_identity(stack, aws, tmp_path) as with_policy:
        yield with_policy


@pytest.fixture
def nothing_kept(stack: Any) -> Iterator[None]:
    """Neither before nor after a test is anything there of the other deployment."""
    target = AwsTarget(
        credentials_file=str(stack.credentials_file),
        profile=stack.owner_profile,
        region=stack.region,
        endpoint_url=stack.endpoint_url,
    )
    resources = account.resources(AwsClients(target), KEPT)

    def remove() -> None:
        for resource in resources:
            if resource.exists():
                resource.delete()

    remove()
    yield
    remove()


def test_an_identity_that_sets_an_account_up_can_undo_it(
    identity: Callable[[Document], LimitedIdentity], nothing_kept: None
):
    keep_an_account(identity(BOOTSTRAP))


# S3 encrypts every bucket by itself since 2023; the action is for endpoints that do not.
NEEDED = [a for a in documents.actions(BOOTSTRAP) if a != "s3:PutEncryptionConfiguration"]


@pytest.mark.slow
@pytest.mark.parametrize("action", NEEDED)
def test_each_action_is_needed_to_keep_an_account(
    identity: Callable[[Document], LimitedIdentity], nothing_kept: None, action: str
):
    refusal = denied(lambda: keep_an_account(identity(documents.without(BOOTSTRAP, action))))
    assert action in refusal or action.partition(":")[2] in refusal


def keep_an_account(identity: LimitedIdentity) -> None:
    """Set an account up, change its settings, adopt it, and undo it."""
    ecr, iam, s3 = identity.owner("ecr"), identity.owner("iam"), identity.owner("s3")
    resources = account.resources(identity.clients, KEPT)
    account.apply(account.plan_bootstrap(resources), lambda _: None)
    s3.delete_bucket_tagging(Bucket=KEPT.bucket)
    # New buckets have it by themselves.
    s3.delete_public_access_block(Bucket=KEPT.bucket)
    for key in ("photograph", "another"):
        s3.put_object(Bucket=KEPT.bucket, Key=key, Body=b"")
    (found,) = ecr.describe_repositories(repositoryNames=[KEPT.repository])["repositories"]
    ecr.untag_resource(resourceArn=found["repositoryArn"], tagKeys=[OWN_TAG[0]])
    ecr.put_image_tag_mutability(repositoryName=KEPT.repository, imageTagMutability="MUTABLE")
    iam.untag_role(RoleName=KEPT.role, TagKeys=[OWN_TAG[0]])
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.update_assume_role_policy(RoleName=KEPT.role, PolicyDocument=nobody)
    iam.attach_role_policy(RoleName=KEPT.role, PolicyArn=MANAGED_POLICY)
    account.apply(account.plan_bootstrap(resources, adopt=True), lambda _: None)
    account.apply(account.plan_teardown(resources, force=True), lambda _: None)
