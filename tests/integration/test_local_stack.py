"""The real local AWS: access control, its containers' view, and clean-up."""

from __future__ import annotations

import base64
import configparser
import contextlib
import errno
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore
import docker
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from covalent_lambda_container.local import guard
from covalent_lambda_container.local.stack import LocalStack, local_stack

#: What Lambda's runtime interface emulator is to MiniStack, without the emulator.
FUNCTION = """
import http.server, json, os, pathlib, subprocess, time, urllib.request

def look():
    script = pathlib.Path("/tmp/script")
    script.write_text("#!/bin/sh\\necho ran")
    script.chmod(0o755)
    yield "tmp_runs", subprocess.run([script], capture_output=True, text=True).stdout.strip()
    yield "tmp_mode", oct(os.stat("/tmp").st_mode & 0o7777)
    try:
        pathlib.Path("/var/written").touch()
        yield "elsewhere", "writable"
    except OSError as exc:
        yield "elsewhere", exc.strerror
    with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_ministack/health") as answer:
        yield "endpoint", answer.status

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(event.get("wait_s", 0))
        body = json.dumps(dict(look())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", 8081), Handler).serve_forever()
"""

EMULATOR = """#!/bin/sh
# --runtime-interface-emulator-address ADDRESS ENTRYPOINT …
[ "$2" = 127.0.0.1:8081 ] && shift 2 && exec "$@"
"""


STARTING = 8
"""Functions whose containers start at once."""


@pytest.fixture
def client(engine: None) -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as opened:
        yield opened


@pytest.fixture
def function_image(client: docker.DockerClient, root_image: str) -> Iterator[str]:
    image, _ = client.images.build(
        fileobj=_tar(
            {
                "Dockerfile": f"FROM {root_image}\n"
                "COPY function.py /\n"
                "COPY aws-lambda-rie /usr/local/bin/\n"
                'ENTRYPOINT ["python3", "/function.py"]\n',
                "aws-lambda-rie": EMULATOR,
                "function.py": FUNCTION,
            }
        ),
        custom_context=True,
        rm=True,
    )
    yield image.id
    client.images.remove(image.id, force=True)


def test_has_the_resources_of_a_deployment(stack: LocalStack, aws: Callable[[str], Any]):
    aws("s3").head_bucket(Bucket=stack.bucket)
    aws("ecr").describe_repositories(repositoryNames=[stack.repository])
    role = aws("iam").get_role(RoleName=stack.role_name)["Role"]
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert trusted == {"Service": "lambda.amazonaws.com"}
    # The root's signatures are not checked.
    assert ":user/" in aws("sts").get_caller_identity()["Arn"]


def test_credentials_are_their_owners_alone(stack: LocalStack):
    assert stack.credentials_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("service", ["ecr", "lambda", "s3", "sts"])
@pytest.mark.parametrize("who", ["test", "account number", "unknown", "wrong secret", "nobody"])
def test_wrong_credentials_are_refused(
    stack: LocalStack, aws: Callable[[str], Any], service: str, who: str
):
    call = {
        "ecr": "describe_repositories",
        "lambda": "list_functions",
        "s3": "list_buckets",
        "sts": "get_caller_identity",
    }[service]
    right = aws("sts")._request_signer._credentials
    key = {
        "test": "test",
        "account number": "000000000000",
        "unknown": "AKIAUNKNOWN000000000",
        "wrong secret": right.access_key,
        "nobody": "",
    }[who]
    intruder = boto3.client(
        service,
        region_name=stack.region,
        endpoint_url=stack.endpoint_url,
        aws_access_key_id=key,
        aws_secret_access_key="test",
        config=Config(signature_version=botocore.UNSIGNED) if who == "nobody" else None,
    )
    with pytest.raises(ClientError) as caught:
        getattr(intruder, call)()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    getattr(aws(service), call)()  # and with the right ones it works


def test_environment_leads_a_child_here(stack: LocalStack):
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    elsewhere = {
        "AWS_ACCESS_KEY_ID": "AKIAELSEWHERE",
        "AWS_SECRET_ACCESS_KEY": "x",
        "http_proxy": "http://127.0.0.1:9",
    }
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **elsewhere, **stack.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip().endswith(":user/covalent-lambda")


def test_registry_asks_for_its_password(
    stack: LocalStack, aws: Callable[[str], Any], client: docker.DockerClient
):
    answer = aws("ecr").get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(answer["authorizationToken"]).decode().split(":")
    repository = f"{stack.endpoint_url.removeprefix('http://')}/{stack.repository}"

    def pushed() -> set[str]:
        listed = aws("ecr").describe_images(repositoryName=stack.repository)["imageDetails"]
        return {tag for found in listed for tag in found.get("imageTags", ())}

    image = _small_image(client, repository, "small")
    try:
        assert "unauthorized" in _push(client, repository, "small", user, "wrong")
        assert "small" not in pushed()
        assert _push(client, repository, "small", user, password) == ""
        assert "small" in pushed()
    finally:
        client.images.remove(image)
        aws("ecr").batch_delete_image(
            repositoryName=stack.repository, imageIds=[{"imageTag": "small"}]
        )


def test_other_machines_do_not_reach_it(client: docker.DockerClient, stack: LocalStack):
    port = int(stack.endpoint_url.rpartition(":")[2])
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
    }
    (network,) = client.networks.get("bridge").attrs["IPAM"]["Config"]
    bridges = {network["Gateway"]}
    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1"} | bridges
    for address in _outward_addresses() - bridges:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, port)) != 0, f"answers on {address}"


def test_containers_see_lambda_and_end_with_the_stack(
    client: docker.DockerClient, function_image: str, tmp_path: Path
):
    # Another stack's, by its labels.
    stranger = client.containers.run(
        function_image,
        detach=True,
        labels={"ministack": "lambda", "ministack.instance": "elsewhere:4566"},
    )
    try:
        with local_stack(tmp_path, print) as stack:
            assert _invoke(stack, function_image) == {
                "tmp_runs": "ran",
                "tmp_mode": "0o1777",
                "elsewhere": "Read-only file system",
                "endpoint": 200,
            }
            (container,) = _containers_of(client, stack)
            _check_that_strangers_run_nothing(container)
        assert _containers_of(client, stack) == []
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)
    assert _is_gone(stack)
    assert [path.name for path in tmp_path.iterdir()] == ["ministack.log"]


def _check_that_strangers_run_nothing(container: Any) -> None:
    """Other users of the machine, and tasks of other containers, know the ports of a container."""
    (published,) = container.ports["8080/tcp"]
    address = container.attrs["NetworkSettings"]["IPAddress"]
    path = "/2015-03-31/functions/function/invocations"
    for host, port in ((published["HostIp"], int(published["HostPort"])), (address, 8080)):
        for headers in ({}, {"X-Covalent-Lambda-Local-Key": ""}, {guard.KEY_HEADER: "0" * 40}):
            asked = http.client.HTTPConnection(host, port, timeout=5)
            with contextlib.closing(asked):
                asked.request("POST", path, b"{}", headers)
                assert asked.getresponse().status == 403
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex((address, 8081)) == errno.ECONNREFUSED


def test_containers_end_with_an_emulator_that_was_killed(
    client: docker.DockerClient, function_image: str, tmp_path: Path
):
    with local_stack(tmp_path, print) as stack:
        _invoke(stack, function_image)
        assert len(_containers_of(client, stack)) == 1
        for pid in _processes_with(str(tmp_path)):
            os.kill(pid, signal.SIGKILL)
    assert _containers_of(client, stack) == []


def test_ends_when_the_context_fails(engine: None, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), local_stack(tmp_path, print) as stack:
        raise KeyboardInterrupt
    assert _is_gone(stack)


def test_ends_with_its_parent_while_functions_start(
    client: docker.DockerClient, function_image: str, tmp_path: Path
):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from covalent_lambda_container.local.stack import local_stack\n"
        "with local_stack(Path(sys.argv[1]), lambda line: None) as stack:\n"
        "    print(stack.endpoint_url, flush=True); time.sleep(300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        stack = LocalStack(
            endpoint_url=parent.stdout.readline().strip(),
            region="us-east-1",
            credentials_file=tmp_path / "credentials",
            profile="covalent-lambda-local",
            owner_profile="covalent-lambda-local-owner",
            bucket="",
            role_name="CovalentLambdaExecutionRole",
            repository="",
            architecture="",
            log_file=tmp_path / "ministack.log",
        )
        functions = _functions(stack)
        names = [f"looks-{number}" for number in range(STARTING)]
        for name in names:
            _create(functions, stack, name, function_image)
        invocations = [
            threading.Thread(target=_invoke_until_it_ends, args=(functions, name, 300))
            for name in names
        ]
        for invocation in invocations:
            invocation.start()
        # One runs; the containers of the others are being created.
        _wait_until(lambda: bool(_containers_of(client, stack)))
        parent.send_signal(signal.SIGKILL)
    _wait_until(lambda: _is_gone(stack), timeout_s=45)
    for invocation in invocations:
        invocation.join()
    # What the engine was still asked for.
    time.sleep(2)
    assert _containers_of(client, stack) == []


def _tar(files: dict[str, str]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    packed.seek(0)
    return packed


def _small_image(client: docker.DockerClient, repository: str, tag: str) -> str:
    client.api.import_image_from_data(
        _tar({"file": "content"}).getvalue(), repository=repository, tag=tag
    )
    return f"{repository}:{tag}"


def _push(client: docker.DockerClient, repository: str, tag: str, user: str, password: str) -> str:
    login = {"username": user, "password": password}
    lines = client.api.push(repository, tag, stream=True, decode=True, auth_config=login)
    return "".join(line.get("error", "") for line in lines)


def _invoke(stack: LocalStack, image: str, wait_s: int = 0) -> dict[str, Any]:
    functions = _functions(stack)
    _create(functions, stack, "looks", image)
    event = json.dumps({"wait_s": wait_s})
    answer = functions.invoke(FunctionName="looks", Payload=event.encode())
    result: dict[str, Any] = json.load(answer["Payload"])
    return result


def _invoke_until_it_ends(functions: Any, name: str, wait_s: int) -> None:
    with contextlib.suppress(botocore.exceptions.HTTPClientError, ClientError):
        functions.invoke(FunctionName=name, Payload=json.dumps({"wait_s": wait_s}).encode())


def _functions(stack: LocalStack) -> Any:
    session = boto3.Session(region_name=stack.region, **_credentials(stack))
    once = Config(retries={"total_max_attempts": 1}, max_pool_connections=STARTING)
    return session.client("lambda", endpoint_url=stack.endpoint_url, config=once)


def _create(functions: Any, stack: LocalStack, name: str, image: str) -> None:
    functions.create_function(
        FunctionName=name,
        PackageType="Image",
        Code={"ImageUri": image},
        Role=f"arn:aws:iam::000000000000:role/{stack.role_name}",
        Timeout=600,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def _credentials(stack: LocalStack) -> dict[str, str]:
    content = configparser.ConfigParser()
    content.read(stack.credentials_file)
    return dict(content[stack.owner_profile])


def _containers_of(client: docker.DockerClient, stack: LocalStack) -> list[Any]:
    port = stack.endpoint_url.rpartition(":")[2]
    return [
        container
        for container in client.containers.list(all=True, ignore_removed=True)
        if container.labels.get("ministack.instance", "").endswith(f":{port}")
    ]


def _outward_addresses() -> set[str]:
    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }


def _is_gone(stack: LocalStack) -> bool:
    port = int(stack.endpoint_url.rpartition(":")[2])
    with socket.socket() as probe:
        listens = probe.connect_ex(("127.0.0.1", port)) == 0
    return not listens and not _processes_with(str(stack.log_file.parent))


def _processes_with(text: str) -> list[int]:
    """Return the processes that have the text, such as their folder, in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and text in str(process.environ()):
                found.append(process.pid)
    return found


def _wait_until(done: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)
