"""Who may do what: every IAM document of a deployment, with no action that is not used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from covalent_lambda_container.spec import FUNCTION_PREFIX, OBJECT_PREFIX

Document = dict[str, Any]
"""An IAM policy as JSON writes it."""

OWN_TAG: Final = ("made-by", "covalent-lambda-container")
"""Key and value of the AWS tag on all that this project makes and may therefore remove."""

CREATOR_TAG: Final = "made-by-identity"
"""Key of the AWS tag that names who made a function: an ARN."""

TRUST_LAMBDA: Final[Document] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LambdaTakesTheRole",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
"""Trust policy of the execution role."""

LAMBDA_MAY_PULL: Final[Document] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LambdaPullsImages",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
"""Policy of the repository ("Container image permissions", Lambda developer guide, read 2026-11).
Lambda would add it itself, with ecr:SetRepositoryPolicy of whoever makes the function: with the
policy in place, nobody needs that."""

_PUSH: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchDeleteImage",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
"""What a push needs ("IAM permissions for pushing an image to an Amazon ECR private repository",
ECR user guide, read 2026-11); BatchDeleteImage takes back what Lambda does not take."""

_WRITE_LOGS: Final = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
"""What Lambda writes a function's logs with, in the name of its role
("AWSLambdaBasicExecutionRole", AWS managed policy reference, read 2026-11)."""

_JOIN_VPC: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda connects a function to a VPC with, in the name of its role
("AWSLambdaVPCAccessExecutionRole", AWS managed policy reference, read 2026-11)."""

_CHOOSE_VPC: Final = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
"""What makes a function in a VPC ("Giving Lambda functions access to resources in an Amazon VPC",
Lambda developer guide, read 2026-11)."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The names of what one AWS account has for the executor.

    Parameters
    ----------
    account
        Its number, twelve digits.
    region, partition
        Where; ``"aws"`` is every region but China's and the government's.
    bucket, repository
        S3 bucket and ECR repository.
    role
        Execution role of the functions, a name or an ARN.
    """

    account: str
    region: str
    partition: str = "aws"
    bucket: str
    repository: str
    role: str

    @property
    def bucket_arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def objects_arn(self) -> str:
        return f"{self.bucket_arn}/{OBJECT_PREFIX}*"

    @property
    def repository_arn(self) -> str:
        return self._arn("ecr", f"repository/{self.repository}")

    @property
    def functions_arn(self) -> str:
        return self._arn("lambda", f"function:{FUNCTION_PREFIX}*")

    @property
    def role_arn(self) -> str:
        if self.role.startswith("arn:"):
            return self.role
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"

    @property
    def logs_arn(self) -> str:
        # In every region: a role is the whole account's.
        groups = f"log-group:/aws/lambda/{FUNCTION_PREFIX}*"
        return f"arn:{self.partition}:logs:*:{self.account}:{groups}"

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def dispatcher(
    deployment: Deployment,
    *,
    builds: bool = True,
    reserves_concurrency: bool = False,
    vpc: bool = False,
) -> Document:
    """Return the policy of the identity that Covalent's dispatcher has.

    Parameters
    ----------
    deployment
        Names of the account's own.
    builds
        Whether it makes images that are not there; without, it runs what CI has built.
    reserves_concurrency
        Whether the option ``reserved_concurrency`` is used.
    vpc
        Whether the options ``subnet_ids`` and ``security_group_ids`` are used.
    """
    function_actions = [
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:GetFunction",
        "lambda:InvokeFunction",
        "lambda:TagResource",
    ]
    if reserves_concurrency:
        function_actions.append("lambda:PutFunctionConcurrency")
    return _document(
        *_images(deployment, builds=builds),
        _allow("MakeAndInvokeFunctions", function_actions, deployment.functions_arn),
        *_execution_role_of_functions(deployment),
        *_vpc_of_functions(vpc),
        _allow("LookForTheBucket", ["s3:ListBucket"], deployment.bucket_arn),
        _allow(
            "CarryLargeTasksAndResults",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            deployment.objects_arn,
        ),
    )


def ci(deployment: Deployment, *, functions: bool = True, vpc: bool = False) -> Document:
    """Return the policy of the identity that makes images ahead of time.

    Parameters
    ----------
    deployment
        Names of the account's own.
    functions
        Whether it makes the functions, too.
    vpc
        Whether the functions join a VPC.
    """
    made = (
        _allow(
            "MakeFunctions",
            [
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:GetFunction",
                "lambda:TagResource",
            ],
            deployment.functions_arn,
        ),
        *_execution_role_of_functions(deployment),
        *_vpc_of_functions(vpc),
    )
    return _document(*_images(deployment, builds=True), *(made if functions else ()))


def execution_role(deployment: Deployment, *, vpc: bool = False) -> Document:
    """Return the policy of the role that the functions run as: logs, and with `vpc` their network.

    Data needs none: a task gets presigned URLs for exactly its own objects.
    """
    network = _allow("JoinTheVpc", _JOIN_VPC, "*")
    return _document(
        _allow("WriteOwnLogs", _WRITE_LOGS, deployment.logs_arn), *([network] if vpc else [])
    )


def actions(document: Document) -> list[str]:
    """Return the actions that a policy of this module allows."""
    return sorted({action for stated in document["Statement"] for action in stated["Action"]})


def without(document: Document, action: str) -> Document:
    """Return a policy of this module less one action."""
    kept = []
    for stated in document["Statement"]:
        rest = [allowed for allowed in stated["Action"] if allowed != action]
        if rest:
            kept.append(stated | {"Action": rest})
    return document | {"Statement": kept}


def _images(deployment: Deployment, *, builds: bool) -> list[Document]:
    if not builds:
        return [_allow("LookForImages", ["ecr:BatchGetImage"], deployment.repository_arn)]
    seen = ["ecr:BatchGetImage", "ecr:DescribeRepositories"]
    return [
        _allow("LogInToTheRegistry", ["ecr:GetAuthorizationToken"], "*"),
        _allow("FindAndPushImages", sorted({*seen, *_PUSH}), deployment.repository_arn),
    ]


def _execution_role_of_functions(deployment: Deployment) -> list[Document]:
    passed = _allow("GiveTheRoleToFunctions", ["iam:PassRole"], deployment.role_arn)
    condition = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    return [
        _allow("LookForTheRole", ["iam:GetRole"], deployment.role_arn),
        passed | {"Condition": condition},
    ]


def _vpc_of_functions(vpc: bool) -> list[Document]:
    # EC2's describing actions know no resources.
    return [_allow("ChooseTheVpc", _CHOOSE_VPC, "*")] if vpc else []


def _allow(sid: str, allowed: list[str] | tuple[str, ...], resource: str) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(allowed), "Resource": resource}


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
