"""Suggestions for misspelt names."""

from __future__ import annotations

import pytest

from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.suggestions import did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("memory", "memory_size"),
        ("memroy_size", "memory_size"),
        ("MEMORY-SIZE", "memory_size"),
        ("role", "lambda_role_name"),
        ("bucket", "s3_bucket_name"),
        ("repository", "ecr_repository"),
        ("enviroment", "environment"),
        ("requirement", "requirements"),
        ("time_out", "timeout"),
        ("lambda_role_arn", "lambda_role_name"),
    ],
)
def test_the_nearest_name_comes_first(name: str, meant: str) -> None:
    assert nearest(name, OPTIONS)[0] == meant


@pytest.mark.parametrize("name", ["x", "", "zzzzzz"])
def test_nothing_is_suggested_where_nothing_is_like_it(name: str) -> None:
    assert did_you_mean(name, OPTIONS) == ""
