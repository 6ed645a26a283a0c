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
"""What `account` creates, reads, fixes and removes."""


def operator(deployment: Deployment) -> Document:
    """Return the policy of an operator, who lists, reads logs and removes what is no longer used.

    That is ``covalent-lambda list``, ``logs`` and ``gc``. It sees all functions of the account,
    since an image may be used by one of others.
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
    """Return the policy of an administrator, who sets the account up and can undo it."""
    return policy(
        allow("SetUpTheBucket", _OWN_BUCKET, deployment.bucket_arn),
        # A version's removal takes both ("DeleteObjects", S3 API reference, read 2026-11), and an
        # object of a bucket without versions has one, which is named null.
        allow(
            "EmptyTheBucket",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            f"{deployment.bucket_arn}/*",
        ),
        allow("SetUpTheRepository", _OWN_REPOSITORY, deployment.repository_arn),
        allow("SetUpTheRole", _OWN_ROLE, deployment.role_arn),
        # There is no other way to learn which functions run as the role.
        allow("SeeWhoseRoleItIs", ["lambda:ListFunctions"], "*"),
    )
