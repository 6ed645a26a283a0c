"""The plainest way to build a function with packages: pip in a Dockerfile, docker push, boto3."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any, Final

import boto3

from bench.workers import protocol
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.files.archives import files
from covalent_lambda_container.ports.registry import RegistryLogin

DOCKERFILE: Final = """\
ARG BASE
FROM ${{BASE}}
COPY ca-bundle.crt requirements.txt /tmp/
RUN {certificates} python3 -m pip install --quiet --no-cache-dir \\
    --disable-pip-version-check --target /var/task --requirement /tmp/requirements.txt
COPY plain.py /var/task/
CMD ["plain.handle"]
"""

HANDLER: Final = """\
def handle(event, context):
    import numpy
    import pandas
    import scipy.stats

    frame = pandas.DataFrame({"x": numpy.arange(1000.0)})
    return float(frame.x.mean() + scipy.stats.norm.pdf(0))
"""


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Build ``FROM`` the ``base`` with ``requirements``, push as ``name``; invoke if asked to."""
    ca_bundle = request["ca_bundle"]
    context = {
        "Dockerfile": DOCKERFILE.format(
            certificates="PIP_CERT=/tmp/ca-bundle.crt" if ca_bundle else ""
        ),
        "ca-bundle.crt": Path(ca_bundle).read_text("utf-8") if ca_bundle else "",
        "requirements.txt": "\n".join(request["requirements"]),
        "plain.py": HANDLER,
    }
    session = boto3.Session(profile_name=request["profile"], region_name=request["region"])
    endpoint = {"endpoint_url": request["endpoint_url"]}
    ecr, functions = session.client("ecr", **endpoint), session.client("lambda", **endpoint)
    engine = DockerEngine()
    started = time.perf_counter()
    engine.build(
        files({name: text.encode() for name, text in context.items()}),
        request["name"],
        architecture="x86_64",
        arguments={"BASE": request["base"]},
        labels={},
        no_cache=True,
    )
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    username, password = base64.b64decode(token).decode().split(":", 1)
    digest = engine.push(request["name"], RegistryLogin(username=username, password=password))
    if request["invoke"]:
        repository = request["name"].rpartition(":")[0]
        functions.create_function(
            FunctionName="plain",
            PackageType="Image",
            Code={"ImageUri": f"{repository}@{digest}"},
            Role=request["role_arn"],
            MemorySize=request["memory_size"],
            Timeout=120,
        )
        functions.get_waiter("function_active_v2").wait(
            FunctionName="plain", WaiterConfig={"Delay": 1}
        )
        answer = functions.invoke(FunctionName="plain", Payload=b"{}")
        seconds = time.perf_counter() - started
        json.load(answer["Payload"]) + 0.0
        functions.delete_function(FunctionName="plain")
    else:
        seconds = time.perf_counter() - started
    return {"seconds": seconds}


if __name__ == "__main__":
    protocol.answer(measure)
