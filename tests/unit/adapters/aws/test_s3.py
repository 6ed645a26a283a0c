"""The bucket: what is wrong with it is said before a task needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import ConfigurationError
from tests.fakes.aws_http import FakeAwsHttp


@pytest.fixture
def aws() -> FakeAwsHttp:
    return FakeAwsHttp()


@pytest.fixture
def bucket(tmp_path: Path, aws: FakeAwsHttp) -> Iterator[S3Bucket]:
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    clients = AwsClients(AwsTarget(credentials_file=str(path), region="eu-central-1"))
    with aws.behind(clients.s3):
        yield S3Bucket(clients, "jobs")


@pytest.mark.parametrize("said", [{"x-amz-bucket-region": "eu-central-1"}, {}])
def test_a_bucket_in_the_functions_region_is_taken(
    bucket: S3Bucket, aws: FakeAwsHttp, said: dict[str, str]
) -> None:
    aws.answers.append((200, said, b""))
    bucket.check()
    assert aws.operations == ["HeadBucket"]


@pytest.mark.parametrize(("status", "message"), [(404, "no such bucket"), (403, "may not list it")])
def test_a_bucket_that_cannot_be_used_is_refused(
    bucket: S3Bucket, aws: FakeAwsHttp, status: int, message: str
) -> None:
    aws.answers.append((status, {}, b""))
    with pytest.raises(ConfigurationError, match=message):
        bucket.check()


def test_a_bucket_of_another_region_is_refused(bucket: S3Bucket, aws: FakeAwsHttp) -> None:
    elsewhere = {"x-amz-bucket-region": "us-west-2"}
    # As S3 answers: it refuses, boto3 asks again in the region that it names.
    aws.answers += [(301, elsewhere, b""), (200, elsewhere, b"")]
    expected = r"'jobs': it is in region us-west-2, and the functions are in eu-central-1"
    with pytest.raises(ConfigurationError, match=expected):
        bucket.check()
