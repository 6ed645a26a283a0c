"""Sets up the local account: bucket, repository and role, and their users.

The account is set up like any other. Its dispatcher has the policy of every dispatcher, so that
missing permissions are found here.
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

DISPATCHER_USER: Final = "covalent-lambda"
"""Name of the IAM user with a dispatcher's policy."""
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
    """The users of the account.

    Attributes
    ----------
    dispatcher
        User with the permissions of Covalent's dispatcher.
    owner
        User with all permissions.
    """

    dispatcher: AccessKey
    owner: AccessKey


def bootstrap(endpoint_url: str, region: str, root: AccessKey, options: Options) -> Users:
    """Set up an empty account for these options, and create its users."""
    target = AwsTarget(region=region, endpoint_url=endpoint_url)
    clients = AwsClients(target, _session(region, root))
    names = account.deployment(clients, options)
    account.apply(account.plan_bootstrap(account.resources(clients, names)), lambda _: None)
    # `reserved_concurrency` may be used here like any other option.
    dispatcher = running.dispatcher(names, reserves_concurrency=True)
    return Users(
        dispatcher=_user(clients, DISPATCHER_USER, dispatcher),
        owner=_user(clients, _OWNER, _ALLOW_ALL),
    )


def _session(region: str, root: AccessKey) -> boto3.Session:
    core = botocore.session.Session()
    core.set_credentials(root.key, root.secret)
    core.set_config_variable("region", region)
    # Requests to this machine use no proxy, whatever the environment says.
    core.set_default_client_config(Config(proxies={}, s3={"addressing_style": "path"}))
    return boto3.Session(botocore_session=core)


def _user(clients: AwsClients, name: str, policy: documents.Document) -> AccessKey:
    clients.iam.create_user(UserName=name)
    clients.iam.put_user_policy(
        UserName=name, PolicyName="allowed", PolicyDocument=json.dumps(policy)
    )
    made = clients.iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
