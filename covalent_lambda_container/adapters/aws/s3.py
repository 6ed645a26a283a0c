"""The bucket through which large tasks and results pass."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from boto3.s3.transfer import TransferConfig
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from covalent_lambda_container.adapters.aws.aws_errors import error_code, explained
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.adapters.aws.sigv4 import PresignedUrls
from covalent_lambda_container.errors import ConfigurationError, InvocationError
from covalent_lambda_container.files.streams import ChunkStream, Readable, reader
from covalent_lambda_container.ports.stores import Parsed

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_NO_SUCH_RANGE: Final = "InvalidRange"
_READ_ATTEMPTS: Final = 3
_PART_BYTES: Final = 8 * 1024 * 1024
_PARTS_AHEAD: Final = 4
"""Size of the parts in which large objects are read, and how many are read at once."""
_TRANSFER: Final = TransferConfig(
    multipart_threshold=16 * 1024 * 1024, multipart_chunksize=16 * 1024 * 1024, max_concurrency=4
)
"""Parts of a large task: few enough that memory stays far below the task's own size."""


class S3Bucket:
    """One bucket.

    Parameters
    ----------
    clients
        AWS clients of the account.
    bucket
        The bucket's name.
    """

    def __init__(self, clients: AwsClients, bucket: str) -> None:
        self._clients = clients
        self.bucket = bucket

    def check(self) -> None:
        """Check that the bucket exists in the functions' region and can be listed.

        Raises
        ------
        ConfigurationError
            It does not exist, is in another region, where presigned URLs would be refused, or this
            identity may not list it. Without that permission, S3 reports absent objects as
            forbidden ("GetObject", S3 API reference, read 2026-11).
        """
        with explained("look for S3 bucket", self.bucket, ConfigurationError):
            option = f"AWSLambdaContainerExecutor option s3_bucket_name={self.bucket!r}: "
            try:
                region = self._clients.s3.head_bucket(Bucket=self.bucket).get("BucketRegion")
            except ClientError as exc:
                if error_code(exc) in ("404", "NoSuchBucket"):
                    raise ConfigurationError(
                        f"{option}there is no such bucket.",
                        hint="Create it with 'covalent-lambda bootstrap', or name another.",
                    ) from None
                if error_code(exc) == "403":
                    raise ConfigurationError(
                        f"{option}AccessDenied: it belongs to another account, or this identity "
                        "may not list it.",
                        hint="Allow s3:ListBucket on it in the IAM policy of the dispatcher's "
                        "identity, or name another.",
                    ) from None
                raise
        if region and region != self._region:
            raise ConfigurationError(
                f"{option}it is in region {region}, and the functions are in {self._region}.",
                hint="Name a bucket in the functions' region, or set the option region.",
            )

    def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
        """Store an object; upload a large one given in chunks in several parts at once."""
        with explained("write S3 object", f"{self.bucket}/{key}", InvocationError):
            if isinstance(body, bytes):
                self._clients.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
            else:
                # Buffered, since boto3 treats a short read as the end of the stream.
                stream = reader(body)
                self._clients.s3.upload_fileobj(stream, self.bucket, key, Config=_TRANSFER)

    def read(
        self, key: str, parse: Callable[[Readable], Parsed], *, limit: int | None = None
    ) -> Parsed | None:
        """Parse an object, or its first bytes; return None if the object does not exist."""
        with explained("read S3 object", f"{self.bucket}/{key}", InvocationError):
            for attempt in range(1, _READ_ATTEMPTS + 1):
                try:
                    first = self._part(key, 0, limit or _PART_BYTES)
                    parts = self._parts(key, first, whole=limit is None)
                except ClientError as exc:
                    if error_code(exc) in _ABSENT:
                        return None
                    if error_code(exc) != _NO_SUCH_RANGE:
                        raise
                    parts = iter(())  # an empty object has no first byte
                try:
                    with contextlib.closing(ChunkStream(parts)) as stream:
                        return parse(stream)
                except (ValueError, HTTPClientError, IncompleteReadError) as exc:
                    if attempt == _READ_ATTEMPTS:
                        raise InvocationError(
                            f"S3 object {self.bucket}/{key} could not be read completely: {exc}"
                        ) from exc
        raise AssertionError("unreachable")

    def _part(
        self, key: str, start: int, size: int = _PART_BYTES, **conditions: str
    ) -> GetObjectOutputTypeDef:
        return self._clients.s3.get_object(
            Bucket=self.bucket,
            Key=key,
            Range=f"bytes={start}-{start + size - 1}",
            **conditions,  # type: ignore[arg-type]
        )

    def _parts(self, key: str, first: GetObjectOutputTypeDef, *, whole: bool) -> Iterator[bytes]:
        """Yield an object's parts in order; a few are fetched ahead, on separate connections.

        One connection to S3 carries some 90 MB a second ("Best practices design patterns", S3 user
        guide, read 2026-11).
        """
        size = int(first["ContentRange"].rpartition("/")[2])
        yield first["Body"].read()
        if size <= _PART_BYTES or not whole:
            return

        def fetch(start: int) -> bytes:
            # Ensures a part of the same object as the first, in case somebody overwrites it.
            return self._part(key, start, IfMatch=first["ETag"])["Body"].read()

        starts = iter(range(_PART_BYTES, size, _PART_BYTES))
        with ThreadPoolExecutor(_PARTS_AHEAD) as pool:
            ahead = deque(pool.submit(fetch, start) for start in islice(starts, _PARTS_AHEAD))
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(fetch, start) for start in islice(starts, 1))

    def delete(self, keys: list[str]) -> None:
        """Remove objects; those that do not exist are ignored."""
        with explained("delete S3 objects in", self.bucket, InvocationError):
            answer = self._clients.s3.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
        # S3 reports objects that it could not delete in a response with status 200.
        for error in answer.get("Errors", ()):
            raise InvocationError(
                f"Could not delete S3 object '{self.bucket}/{error.get('Key')}': AWS answered "
                f"{error.get('Code')}: {error.get('Message')}"
            )

    def read_url(self, key: str, *, valid_s: int) -> str:
        """Return a presigned URL for GET of one object."""
        return self._presign("GET", key, valid_s)

    def write_url(self, key: str, *, valid_s: int) -> str:
        """Return a presigned URL for PUT of one object."""
        return self._presign("PUT", key, valid_s)

    def _presign(self, method: str, key: str, valid_s: int) -> str:
        with explained("presign S3 object", f"{self.bucket}/{key}", InvocationError):
            # boto3's client would resolve the endpoint again for every URL.
            credentials, second = self._clients.frozen_credentials(), int(time.time())
            urls = _presigned(credentials, self._region, method, valid_s, self._base_url, second)
            return urls.of(quote(key))

    @functools.cached_property
    def _base_url(self) -> str:
        """The bucket's URL as boto3 resolves it, up to the keys."""
        url = self._clients.s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": "key"}
        )
        return url.partition("?")[0].removesuffix("key")

    @functools.cached_property
    def _region(self) -> str:
        return self._clients.s3.meta.region_name


@functools.lru_cache(maxsize=16)
def _presigned(
    credentials: ReadOnlyCredentials,
    region: str,
    method: str,
    valid_s: int,
    base_url: str,
    second: int,  # noqa: ARG001 - when the validity begins
) -> PresignedUrls:
    return PresignedUrls(credentials, region, method=method, valid_s=valid_s, base_url=base_url)
