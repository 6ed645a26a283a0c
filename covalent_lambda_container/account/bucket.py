"""The bucket: private, encrypted, and emptied automatically."""

from __future__ import annotations

from typing import Any, Final, cast

from botocore.exceptions import ClientError

from covalent_lambda_container.account.resources import Resource, Setting
from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import OBJECT_PREFIX, OWN_TAG

_PRIVATE: Final = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_RULE_ID: Final = "covalent-lambda-temporary"
_EXPIRES: Final[dict[str, Any]] = {
    "ID": _RULE_ID,
    "Status": "Enabled",
    "Filter": {"Prefix": OBJECT_PREFIX},
    "Expiration": {"Days": 1},
    # An adopted bucket may have versioning, where removed objects remain and cost money.
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
}
_REGION_WITHOUT_CONSTRAINT: Final = "us-east-1"
"""The only region that CreateBucket does not accept as a location constraint (S3 API reference,
read 2026-11)."""

_OBJECTS_SHOWN: Final = 3


class BucketResource(Resource):
    """An S3 bucket for tasks and results.

    Parameters
    ----------
    clients
        AWS clients of the account.
    name
        The bucket's name, which is unique across all accounts.
    account
        Number of the account, for suggesting a name.
    """

    kind = "bucket"

    def __init__(self, clients: AwsClients, name: str, *, account: str) -> None:
        self.name = name
        self._s3 = clients.s3
        self._account = account

    def exists(self) -> bool:
        with explained("look for bucket", self.name, ConfigurationError):
            try:
                found = self._s3.head_bucket(Bucket=self.name).get("BucketRegion")
            except ClientError as exc:
                if error_code(exc) in ("404", "NoSuchBucket"):
                    return False
                if error_code(exc) == "403":
                    raise self._taken() from exc
                raise
        wanted = self._s3.meta.region_name
        if found and found != wanted:
            raise ConfigurationError(
                f"Bucket {self.name!r} is in region {found}, and the functions are in {wanted}.",
                hint=f"Name another with --bucket, or the bucket's region with --region {found}.",
            )
        return True

    def is_ours(self) -> bool:
        key, value = OWN_TAG
        return {"Key": key, "Value": value} in self._tags()

    def create(self) -> None:
        region = self._s3.meta.region_name
        with explained("create bucket", self.name, ConfigurationError):
            request: dict[str, Any] = {"Bucket": self.name}
            if region != _REGION_WITHOUT_CONSTRAINT:
                request["CreateBucketConfiguration"] = {"LocationConstraint": region}
            try:
                self._s3.create_bucket(**request)
            except ClientError as exc:
                if error_code(exc) == "BucketAlreadyExists":
                    raise self._taken() from exc
                raise
            try:
                self.adopt()
            except BaseException:
                # Without the tag, it would not be recognised as this project's.
                self._s3.delete_bucket(Bucket=self.name)
                raise

    def adopt(self) -> None:
        key, value = OWN_TAG
        kept = [tag for tag in self._tags() if tag["Key"] != key]
        tags = cast("Any", [*kept, {"Key": key, "Value": value}])
        with explained("tag bucket", self.name, ConfigurationError):
            self._s3.put_bucket_tagging(Bucket=self.name, Tagging={"TagSet": tags})

    def settings(self) -> list[Setting]:
        return [
            Setting("public access is blocked", self._is_private, self._make_private),
            Setting("objects are encrypted", self._is_encrypted, self._encrypt),
            Setting(
                f"objects under {OBJECT_PREFIX} and unfinished uploads expire after a day",
                self._expires,
                self._let_expire,
            ),
        ]

    def obstacles(self) -> list[str]:
        with explained("list the objects of bucket", self.name, ConfigurationError):
            foreign = []
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
            for page in pages:
                keys = (found["Key"] for found in page.get("Contents", ()))
                foreign += [key for key in keys if not key.startswith(OBJECT_PREFIX)]
                if len(foreign) > _OBJECTS_SHOWN:
                    break
        shown = foreign[:_OBJECTS_SHOWN] + ["…"] * (len(foreign) > _OBJECTS_SHOWN)
        return [f"it holds other objects: {', '.join(shown)}"] if foreign else []

    def delete(self) -> None:
        with explained("delete bucket", self.name, ConfigurationError):
            pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name)
            for page in pages:
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                if objects:
                    self._s3.delete_objects(
                        Bucket=self.name, Delete={"Objects": cast("Any", objects), "Quiet": True}
                    )
            self._s3.delete_bucket(Bucket=self.name)

    def _taken(self) -> ConfigurationError:
        return ConfigurationError(
            f"Bucket {self.name!r}: AccessDenied: it belongs to another account (bucket names are "
            "globally unique), or this identity lacks s3:ListBucket.",
            hint="Name another with --bucket, such as "
            f"covalent-lambda-{self._account}-{self._s3.meta.region_name}.",
        )

    def _tags(self) -> list[Any]:
        with explained("read the tags of bucket", self.name, ConfigurationError):
            answer = _unless("NoSuchTagSet", self._s3.get_bucket_tagging, Bucket=self.name)
        return list(answer.get("TagSet", ()))

    def _is_private(self) -> bool:
        with explained("read the access settings of bucket", self.name, ConfigurationError):
            answer = _unless(
                "NoSuchPublicAccessBlockConfiguration",
                self._s3.get_public_access_block,
                Bucket=self.name,
            )
        return bool(answer.get("PublicAccessBlockConfiguration") == _PRIVATE)

    def _make_private(self) -> None:
        with explained("block public access to bucket", self.name, ConfigurationError):
            self._s3.put_public_access_block(
                Bucket=self.name, PublicAccessBlockConfiguration=cast("Any", _PRIVATE)
            )

    def _is_encrypted(self) -> bool:
        with explained("read the encryption of bucket", self.name, ConfigurationError):
            answer = _unless(
                "ServerSideEncryptionConfigurationNotFoundError",
                self._s3.get_bucket_encryption,
                Bucket=self.name,
            )
        # Any key counts: a bucket that uses a key of the account's own keeps it.
        return bool(answer.get("ServerSideEncryptionConfiguration", {}).get("Rules"))

    def _encrypt(self) -> None:
        with explained("encrypt bucket", self.name, ConfigurationError):
            self._s3.put_bucket_encryption(
                Bucket=self.name,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                },
            )

    def _rules(self) -> list[Any]:
        with explained("read the lifecycle of bucket", self.name, ConfigurationError):
            answer = _unless(
                "NoSuchLifecycleConfiguration",
                self._s3.get_bucket_lifecycle_configuration,
                Bucket=self.name,
            )
        return list(answer.get("Rules", ()))

    def _expires(self) -> bool:
        return _EXPIRES in self._rules()

    def _let_expire(self) -> None:
        kept = [rule for rule in self._rules() if rule.get("ID") != _RULE_ID]
        with explained("let objects expire in bucket", self.name, ConfigurationError):
            self._s3.put_bucket_lifecycle_configuration(
                Bucket=self.name,
                LifecycleConfiguration={"Rules": cast("Any", [*kept, _EXPIRES])},
            )


def _unless(absent: str, ask: Any, **request: str) -> dict[str, Any]:
    """Return an answer, or an empty one for the error code that means "not configured"."""
    try:
        answer: dict[str, Any] = ask(**request)
    except ClientError as exc:
        if error_code(exc) != absent:
            raise
        return {}
    return answer
