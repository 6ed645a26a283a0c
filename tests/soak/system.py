"""The system of a soak: a stack that can be lost, and a service that reaches it by proxies."""

from __future__ import annotations

import configparser
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import docker

from bench.workers.bare import client
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.executor import wiring
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.executor.targets import FunctionTargets
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.local.listeners import listen_here_only
from covalent_lambda_container.local.stack import LocalStack, local_stack
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.tasks.invoker import Invoker
from tests.soak.proxies import Proxies
from tests.soak.work import Marks


class LosableStack:
    """A local stack that can be stopped with all that it has, and started on the same port.

    Parameters
    ----------
    folder
        Takes its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.stack = self._running.enter_context(local_stack(folder, _say))
        self._credentials: list[Any] = []

    def session(self) -> boto3.Session:
        """Return a session of its dispatcher."""
        core = botocore.session.Session()
        core.set_config_variable("region", self.stack.region)
        core.set_credentials(*self._keys())
        self._credentials.append(core.get_credentials())
        return boto3.Session(botocore_session=core)

    def lose(self) -> None:
        """Stop it, and start one that has nothing of what this one had."""
        port = int(self.stack.endpoint_url.rpartition(":")[2])
        self._running.close()
        self.stack: LocalStack = self._running.enter_context(
            local_stack(self._folder, _say, port=port)
        )
        # Whoever has this account in AWS keeps its keys.
        for credentials in self._credentials:
            credentials.access_key, credentials.secret_key = self._keys()

    def owner(self, service: str) -> Any:
        """Make a boto3 client that may do everything."""
        stack = self.stack
        options = {
            "credentials_file": str(stack.credentials_file),
            "profile": stack.owner_profile,
            "region": stack.region,
            "endpoint_url": stack.endpoint_url,
        }
        return client(options, service)

    def containers(self) -> list[Any]:
        """Return the containers of its functions."""
        port = self.stack.endpoint_url.rpartition(":")[2]
        with contextlib.closing(docker.from_env()) as engine:
            found = engine.containers.list(
                filters={"label": "ministack.instance"}, ignore_removed=True
            )
            return [one for one in found if one.labels["ministack.instance"].endswith(f":{port}")]

    def close(self) -> None:
        """Stop it."""
        self._running.close()

    def _keys(self) -> tuple[str, str]:
        credentials = configparser.RawConfigParser()
        credentials.read(self.stack.credentials_file)
        keys = credentials[self.stack.profile]
        return keys["aws_access_key_id"], keys["aws_secret_access_key"]


class System:
    """A service that reaches Lambda and S3 through proxies, and all else directly.

    Attributes
    ----------
    service, proxies
        The two.
    port
        Where tasks knock.
    """

    def __init__(self, service: Service, proxies: Proxies, port: int) -> None:
        self.service = service
        self.proxies = proxies
        self.port = port


@contextlib.contextmanager
def running_system(
    losable: LosableStack,
    options: Options,
    marks: Marks,
    noted: Callable[[str, int | None], None],
) -> Iterator[System]:
    """Have a system while the context is open.

    Parameters
    ----------
    losable, options
        The stack, and the executor's options.
    marks
        Counts executions.
    noted
        Is given each fault that a proxy makes.
    """
    stack = losable.stack
    target = AwsTarget(region=stack.region, endpoint_url=stack.endpoint_url)
    direct = AwsClients(target, losable.session())
    with ExitStack() as cleanup:
        engine = cleanup.enter_context(contextlib.closing(docker.from_env()))
        knocks, _ = _listeners(engine)
        for listener in knocks:
            cleanup.callback(listener.close)
            threading.Thread(target=marks.listen, args=(listener,), daemon=True).start()
        (for_lambda, _), (for_s3, address) = _listeners(engine), _listeners(engine)
        lambda_port, s3_port = (one[0].getsockname()[1] for one in (for_lambda, for_s3))
        proxies = cleanup.enter_context(Proxies(stack.endpoint_url, for_lambda, for_s3, noted))
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"localhost,127.0.0.1,{address}"
        faulty_lambda = replace(target, endpoint_url=f"http://localhost:{lambda_port}")
        # Not by the name localhost: functions go through the proxy, too.
        faulty_s3 = replace(target, endpoint_url=f"http://{address}:{s3_port}")
        invocations = LambdaInvocations(AwsClients(faulty_lambda, losable.session()))
        bucket = S3Bucket(AwsClients(faulty_s3, losable.session()), stack.bucket)
        targets = FunctionTargets(
            options,
            provisioner=_provisioner(direct, options),
            functions=LambdaFunctions(direct),
            invocations=invocations,
            bucket=bucket,
            identity=str,
            prepared=set(),
        )
        service = Service(
            options,
            targets=targets,
            invoker=Invoker(invocations, bucket),
            renew_credentials=direct.renew_credentials,
            with_memory=lambda mb: wiring.service_for(
                options.model_copy(update={"memory_size": mb})
            ),
        )
        yield System(service, proxies, knocks[0].getsockname()[1])


def _provisioner(clients: AwsClients, options: Options) -> Provisioner:
    cache = Path(options.cache_dir)

    def settings() -> Any:
        return read_index_settings(index_url="", extra_index_urls=(), ca_bundle=None)

    return Provisioner(
        builder=wiring.image_builder(DockerEngine(), settings, cache),
        registry=EcrRegistry(clients, options.ecr_repository),
        functions=LambdaFunctions(clients),
        lock_directory=cache / "locks",
    )


def _listeners(engine: Any) -> tuple[list[socket.socket], str]:
    """Listen where containers can reach; return the sockets, and Docker's bridge's address."""
    sockets = listen_here_only(engine)
    for listener in sockets:
        listener.listen(200)
    addresses = [listener.getsockname()[0] for listener in sockets]
    bridge = next((one for one in addresses if not one.startswith("127.")), addresses[0])
    return sockets, bridge


def _say(line: str) -> None:
    print(line, flush=True)
