"""What a deployment finds in an account: bucket, repository and role, and who uses them.

The account is set up as any is. Its dispatcher has the policy that every dispatcher is given, so
that what needs more shows here.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import boto3
import botocore.session
from botocore.config import Config

from covalent_lambda_container.account import steps as account
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.iam import documents, running
from covalent_lambda_container.options.schema import Options

_DISPATCHER: Final = "covalent-lambda"
_OWNER: Final = "covalent-lambda-owner"

#: A user, because the emulator does not check the signatures of the account's root.
_ALLOW_ALL: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class AccessKey(NamedTuple):
    """A long-term credential of an IAM user."""

    key: str
    secret: str


class Users(NamedTuple):
    """Who uses the account.

    Attributes
    ----------
    dispatcher
        May do what Covalent's dispatcher needs.
    owner
        May do everything.
    """

    dispatcher: AccessKey
    owner: AccessKey


def bootstrap(endpoint_url: str, region: str, root: AccessKey, options: Options) -> Users:
    """Set up an empty account for these options, and create its users."""
    target = AwsTarget(region=region, endpoint_url=endpoint_url)
    clients = AwsClients(target, _session(region, root))
    names = account.deployment(clients, options)
    account.apply(account.plan_bootstrap(account.resources(clients, names)), lambda _: None)
    # `reserved_concurrency` is an option like any other here.
    dispatcher = running.dispatcher(names, reserves_concurrency=True)
    return Users(
        dispatcher=_user(clients, _DISPATCHER, dispatcher),
        owner=_user(clients, _OWNER, _ALLOW_ALL),
    )


def _session(region: str, root: AccessKey) -> boto3.Session:
    core = botocore.session.Session()
    core.set_credentials(root.key, root.secret)
    core.set_config_variable("region", region)
    # No proxy stands between this machine and itself, whatever the environment says.
    core.set_default_client_config(Config(proxies={}, s3={"addressing_style": "path"}))
    return boto3.Session(botocore_session=core)


def _user(clients: AwsClients, name: str, policy: documents.Document) -> AccessKey:
    clients.iam.create_user(UserName=name)
    clients.iam.put_user_policy(
        UserName=name, PolicyName="allowed", PolicyDocument=json.dumps(policy)
    )
    made = clients.iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
