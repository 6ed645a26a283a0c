"""What a deployment finds in an account: a bucket, a repository, an execution role, a user."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import boto3
from botocore.config import Config

BUCKET: Final = "covalent-lambda-job-resources"
ROLE: Final = "CovalentLambdaExecutionRole"
REPOSITORY: Final = "covalent-lambda"
_USER: Final = "covalent-lambda"

_TRUST_LAMBDA: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
#: Logs and nothing else: the function's data travels by presigned URLs.
_WRITE_LOGS: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "*",
        }
    ],
}


#: The user is there for its signatures to be checked, which the emulator does not do for the root.
_ALLOW_ALL: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class AccessKey(NamedTuple):
    """A long-term credential of an IAM user."""

    key: str
    secret: str


def bootstrap(endpoint_url: str, region: str, root: AccessKey) -> AccessKey:
    """Create bucket, role, repository and a user in an empty account; return the user's key."""
    session = boto3.Session(
        aws_access_key_id=root.key, aws_secret_access_key=root.secret, region_name=region
    )
    # No proxy stands between this machine and itself, whatever the environment says.
    config = Config(proxies={}, s3={"addressing_style": "path"})
    s3 = session.client("s3", endpoint_url=endpoint_url, config=config)
    s3.create_bucket(Bucket=BUCKET)
    ecr = session.client("ecr", endpoint_url=endpoint_url, config=config)
    ecr.create_repository(repositoryName=REPOSITORY)
    iam = session.client("iam", endpoint_url=endpoint_url, config=config)
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST_LAMBDA))
    iam.put_role_policy(
        RoleName=ROLE, PolicyName="write-logs", PolicyDocument=json.dumps(_WRITE_LOGS)
    )
    iam.create_user(UserName=_USER)
    iam.put_user_policy(
        UserName=_USER, PolicyName="allow-all", PolicyDocument=json.dumps(_ALLOW_ALL)
    )
    made = iam.create_access_key(UserName=_USER)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
