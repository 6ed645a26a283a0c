"""The policies of what runs electrons: dispatcher, CI, and the functions themselves."""

from __future__ import annotations

from typing import Final

from covalent_lambda_container.iam.documents import Deployment, Document, allow, policy

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
ECR user guide, read 2026-11); BatchDeleteImage removes an image that Lambda does not accept."""

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
    # GetFunction on a function with tags needs ListTags as well, creating one TagResource ("Using
    # tags on Lambda functions", Lambda developer guide, read 2026-11).
    function_actions = [
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:GetFunction",
        "lambda:InvokeFunction",
        "lambda:ListTags",
        "lambda:TagResource",
    ]
    if reserves_concurrency:
        function_actions.append("lambda:PutFunctionConcurrency")
    return policy(
        *_images(deployment, builds=builds),
        allow("MakeAndInvokeFunctions", function_actions, deployment.functions_arn),
        *_execution_role_of_functions(deployment),
        *_vpc_of_functions(vpc),
        *_large_tasks_and_results(deployment),
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
        allow(
            "MakeFunctions",
            [
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:GetFunction",
                "lambda:ListTags",
                "lambda:TagResource",
            ],
            deployment.functions_arn,
        ),
        *_execution_role_of_functions(deployment),
        *_vpc_of_functions(vpc),
    )
    return policy(*_images(deployment, builds=True), *(made if functions else ()))


def execution_role(deployment: Deployment, *, vpc: bool = False) -> Document:
    """Return the policy of the role that the functions run as: logs, and with `vpc` their network.

    Data needs none: a task gets presigned URLs for exactly its own objects.
    """
    network = allow("JoinTheVpc", _JOIN_VPC, "*")
    return policy(
        allow("WriteOwnLogs", _WRITE_LOGS, deployment.logs_arn), *([network] if vpc else [])
    )


def _images(deployment: Deployment, *, builds: bool) -> list[Document]:
    log_in = allow("LogInToTheRegistry", ["ecr:GetAuthorizationToken"], "*")
    # An image's configuration, which says what was installed, is read as a pull reads it.
    read = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    if not builds:
        return [log_in, allow("LookForImages", read, deployment.repository_arn)]
    seen = [*read, "ecr:DescribeRepositories"]
    return [
        log_in,
        allow("FindAndPushImages", sorted({*seen, *_PUSH}), deployment.repository_arn),
    ]


def _large_tasks_and_results(deployment: Deployment) -> list[Document]:
    # Bucket names are global: a bucket of another account gets no task, and none of its objects
    # counts as a result, also not through presigned URLs ("AWS global condition context
    # keys", aws:ResourceAccount, IAM user guide, read 2026-11).
    own = {"aws:ResourceAccount": deployment.account}
    carried = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    return [
        allow("LookForTheBucket", ["s3:ListBucket"], deployment.bucket_arn, where=own),
        allow("CarryLargeTasksAndResults", carried, deployment.objects_arn, where=own),
    ]


def _execution_role_of_functions(deployment: Deployment) -> list[Document]:
    to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
    role = deployment.role_arn
    return [
        allow("LookForTheRole", ["iam:GetRole"], role),
        allow("GiveTheRoleToFunctions", ["iam:PassRole"], role, where=to_lambda),
    ]


def _vpc_of_functions(vpc: bool) -> list[Document]:
    # EC2's describing actions know no resources.
    return [allow("ChooseTheVpc", _CHOOSE_VPC, "*")] if vpc else []
