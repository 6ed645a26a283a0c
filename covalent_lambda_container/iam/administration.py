"""Policies of those who administer an account: set it up, list what it has, remove it."""

from __future__ import annotations

from typing import Final

from covalent_lambda_container.iam.documents import Deployment, Document, allow, policy

_OWN_BUCKET: Final = (
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
)
_OWN_REPOSITORY: Final = (
    "ecr:CreateRepository",
    "ecr:DeleteRepository",
    "ecr:DescribeRepositories",
    "ecr:GetRepositoryPolicy",
    "ecr:ListImages",
    "ecr:ListTagsForResource",
    "ecr:PutImageTagMutability",
    "ecr:SetRepositoryPolicy",
    "ecr:TagResource",
)
_OWN_ROLE: Final = (
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:ListRoleTags",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
)
"""Actions with which `account` creates, reads, fixes and removes resources."""


def operator(deployment: Deployment) -> Document:
    """Return the policy of an operator, who lists resources, reads logs and removes unused ones.

    Covers ``covalent-lambda list``, ``logs`` and ``gc``. It can list all functions of the account,
    since functions of others may use an image.
    """
    return policy(
        allow("ListFunctions", ["lambda:ListFunctions"], "*"),
        allow("SeeFunctions", ["lambda:GetFunction", "lambda:ListTags"], deployment.any_function),
        allow("RemoveFunctions", ["lambda:DeleteFunction"], deployment.functions_arn),
        allow(
            "SeeAndRemoveImages",
            ["ecr:BatchDeleteImage", "ecr:DescribeImages"],
            deployment.repository_arn,
        ),
        allow("ReadLogs", ["logs:DescribeLogStreams", "logs:FilterLogEvents"], deployment.logs_arn),
    )


def bootstrap(deployment: Deployment) -> Document:
    """Return the policy of an administrator, who sets up the account and can undo that."""
    return policy(
        allow("SetUpTheBucket", _OWN_BUCKET, deployment.bucket_arn),
        # Removing a version needs both ("DeleteObjects", S3 API reference, read 2026-11), and an
        # object of a bucket without versioning has one version, named null.
        allow(
            "EmptyTheBucket",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            f"{deployment.bucket_arn}/*",
        ),
        allow("SetUpTheRepository", _OWN_REPOSITORY, deployment.repository_arn),
        allow("SetUpTheRole", _OWN_ROLE, deployment.role_arn),
        # There is no other way to find the functions that run as the role.
        allow("SeeWhoseRoleItIs", ["lambda:ListFunctions"], "*"),
    )
