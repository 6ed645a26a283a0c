"""The bucket through which large tasks and results pass."""

from __future__ import annotations

from botocore.exceptions import ClientError

from covalent_lambda_container.aws import AwsClients, error_code, explained
from covalent_lambda_container.errors import ConfigurationError, InvocationError

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Bucket:
    """One bucket.

    Parameters
    ----------
    clients
        AWS clients of the account.
    bucket
        Its name.
    """

    def __init__(self, clients: AwsClients, bucket: str) -> None:
        self._clients = clients
        self.bucket = bucket

    def check(self) -> None:
        """Make sure that the bucket exists.

        Raises
        ------
        ConfigurationError
            When S3 says that it does not. An identity that may not ask is believed to know.
        """
        with explained("look for S3 bucket", self.bucket, ConfigurationError):
            try:
                self._clients.s3.head_bucket(Bucket=self.bucket)
            except ClientError as exc:
                if error_code(exc) in ("404", "NoSuchBucket"):
                    raise ConfigurationError(
                        f"AWSLambdaContainerExecutor option s3_bucket_name={self.bucket!r}: there "
                        "is no such bucket.",
                        hint=f"Create it ('aws s3 mb s3://{self.bucket}') or name another.",
                    ) from None
                if error_code(exc) != "403":
                    raise

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        with explained("write S3 object", f"{self.bucket}/{key}", InvocationError):
            self._clients.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None when there is no such object."""
        with explained("read S3 object", f"{self.bucket}/{key}", InvocationError):
            try:
                return self._clients.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except ClientError as exc:
                if error_code(exc) in _ABSENT:
                    return None
                raise

    def delete(self, keys: list[str]) -> None:
        """Remove objects; those that are not there do not matter."""
        with explained("delete S3 objects in", self.bucket, InvocationError):
            self._clients.s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )

    def read_url(self, key: str, *, valid_s: int) -> str:
        """Return a presigned URL for GET of one object."""
        return self._presign("get_object", key, valid_s)

    def write_url(self, key: str, *, valid_s: int) -> str:
        """Return a presigned URL for PUT of one object."""
        return self._presign("put_object", key, valid_s)

    def _presign(self, operation: str, key: str, valid_s: int) -> str:
        with explained("presign S3 object", f"{self.bucket}/{key}", InvocationError):
            return self._clients.s3.generate_presigned_url(
                operation, Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=valid_s
            )
