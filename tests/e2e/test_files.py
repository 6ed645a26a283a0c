"""Covalent's file transfers, from the function to S3 and HTTP and back."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

MAY_USE_FILES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::files", "arn:aws:s3:::files/*"],
        }
    ],
}


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server that containers reach, and what has been put there."""
    pages = {"/page.txt": b"from the web"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(pages[self.path])

        def do_PUT(self) -> None:
            pages[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

    with contextlib.closing(docker.from_env()) as client:
        bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    with http.server.ThreadingHTTPServer((bridge, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{bridge}:{server.server_port}", pages
        server.shutdown()


@pytest.fixture(scope="module")
def bucket(aws: Any) -> Any:
    """A bucket beside the executor's."""
    s3 = aws("s3")
    s3.create_bucket(Bucket="files")
    return s3


@pytest.fixture
def allowed(aws: Any, stack: Any) -> Iterator[None]:
    """The execution role may use that bucket."""
    iam, name = aws("iam"), {"RoleName": stack.role_name, "PolicyName": "files"}
    iam.put_role_policy(**name, PolicyDocument=json.dumps(MAY_USE_FILES))
    yield
    iam.delete_role_policy(**name)


def test_files_come_and_go(dispatcher: Any, bucket: Any, allowed: None, site: Any, tmp_path: Path):
    url, pages = site
    bucket.put_object(Bucket="files", Key="in.txt", Body=b"from S3")
    outcome = dispatcher.outcome("files.py", url, str(tmp_path / "upload.txt"))
    assert outcome["status"] == "COMPLETED", json.dumps(outcome["nodes"], indent=1)
    # What comes and goes by S3 and HTTP needs no Covalent in the image.
    assert outcome["result"] == [["from S3", "from the web", True], True]
    made = bucket.get_object(Bucket="files", Key="out.txt")["Body"].read()
    assert made == b"made in Lambda"
    assert pages["/put.txt"] == b"5 up!"


def test_a_role_that_may_not_use_the_bucket_is_reported(
    dispatcher: Any, bucket: Any, site: Any, tmp_path: Path
):
    outcome = dispatcher.outcome("files.py", site[0], str(tmp_path / "upload.txt"))
    error = outcome["nodes"]["remote"]["error"]
    assert "HeadObject operation: Forbidden\nA task's calls of AWS" in error
