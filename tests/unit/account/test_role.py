"""The execution role: which trust policies let Lambda assume it."""

from __future__ import annotations

import pytest

from covalent_lambda_container.account.role import trusts_lambda
from covalent_lambda_container.iam.documents import TRUST_LAMBDA


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({}, True),
        ({"Action": ["sts:AssumeRole", "sts:TagSession"]}, True),
        ({"Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}}, True),
        ({"Principal": {"Service": "ec2.amazonaws.com"}}, False),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, False),
        ({"Principal": "*"}, False),
        ({"Effect": "Deny"}, False),
        ({"Action": "sts:TagSession"}, False),
    ],
)
def test_a_trust_policy_is_read_as_iam_writes_it(change: dict[str, object], trusted: bool) -> None:
    statement = TRUST_LAMBDA["Statement"][0] | change
    assert trusts_lambda({"Statement": [statement]}) is trusted
    assert trusts_lambda({"Statement": statement}) is trusted
