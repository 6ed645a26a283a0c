"""Policies of what runs electrons: dispatcher, CI, and the functions themselves."""

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
"""Actions that a push needs ("IAM permissions for pushing an image to an Amazon ECR private
repository", ECR user guide, read 2026-11); BatchDeleteImage removes an image that Lambda does not
accept."""

_WRITE_LOGS: Final = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
"""Actions with which Lambda writes a function's logs, in its role
("AWSLambdaBasicExecutionRole", AWS managed policy reference, read 2026-11)."""

_JOIN_VPC: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""Actions with which Lambda connects a function to a VPC, in its role
("AWSLambdaVPCAccessExecutionRole", AWS managed policy reference, read 2026-11)."""

_CHOOSE_VPC: Final = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
"""Actions that creating a function in a VPC needs ("Giving Lambda functions access to resources in
an Amazon VPC", Lambda developer guide, read 2026-11)."""

_MOUNT: Final = ("ClientMount", "ClientWrite")
_LOOK_FOR_MOUNTS: Final = {
    "elasticfilesystem": "DescribeMountTargets",
    "s3files": "ListMountTargets",
}
"""Actions with which a function mounts a file system, in its role, and Lambda looks for the mount
targets, as whoever creates the function ("Configuring file system access for
Lambda functions", Lambda developer guide, read 2026-11; of S3 Files, the actions of that name in
its API)."""


def dispatcher(
    deployment: Deployment,
    *,
    builds: bool = True,
    reserves_concurrency: bool = False,
    vpc: bool = False,
    file_system: str = "",
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
    file_system
        ARN of the access point in the option ``file_system``; empty for none.
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
        *_file_system_of_functions(file_system),
        *_large_tasks_and_results(deployment),
    )


def ci(
    deployment: Deployment, *, functions: bool = True, vpc: bool = False, file_system: str = ""
) -> Document:
    """Return the policy of the identity that makes images ahead of time.

    Parameters
    ----------
    deployment
        Names of the account's own.
    functions
        Whether it makes the functions, too.
    vpc
        Whether the functions join a VPC.
    file_system
        ARN of the access point that they mount; empty for none.
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
        *_file_system_of_functions(file_system),
    )
    return policy(*_images(deployment, builds=True), *(made if functions else ()))


def execution_role(deployment: Deployment, *, vpc: bool = False, file_system: str = "") -> Document:
    """Return the policy of the role that the functions run as: logs, network, file system.

    Data needs none: a task gets presigned URLs for exactly its own objects.

    Parameters
    ----------
    deployment
        Names of the account's own.
    vpc
        Whether the functions join a VPC.
    file_system
        ARN of the access point that they mount; empty for none.
    """
    statements = [allow("WriteOwnLogs", _WRITE_LOGS, deployment.logs_arn)]
    if vpc:
        statements.append(allow("JoinTheVpc", _JOIN_VPC, "*"))
    if file_system:
        service = _service(file_system)
        mounted = {f"{service}:AccessPointArn": file_system}
        actions = [f"{service}:{action}" for action in _MOUNT]
        systems = _file_systems(file_system)
        statements.append(allow("MountTheFileSystem", actions, systems, where=mounted))
    return policy(*statements)


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


def _file_system_of_functions(access_point: str) -> list[Document]:
    if not access_point:
        return []
    service = _service(access_point)
    actions = [f"{service}:{_LOOK_FOR_MOUNTS[service]}"]
    return [allow("LookForMountTargets", actions, _file_systems(access_point))]


def _file_systems(access_point: str) -> str:
    """Return the ARN of an access point's file system; of EFS, whose does not name it, of all."""
    owner = access_point.partition("access-point/")[0]
    return owner.rstrip("/") if "file-system/" in owner else f"{owner}file-system/*"


def _service(arn: str) -> str:
    return arn.split(":")[2]
