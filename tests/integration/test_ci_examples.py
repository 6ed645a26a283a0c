"""The script lines of examples/ci, as a runner executes them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import toml
import yaml

from covalent_lambda_container.iam import running
from covalent_lambda_container.iam.documents import Deployment

FOLDER = Path(__file__).parents[2] / "examples" / "ci"
GITHUB = yaml.safe_load((FOLDER / "github-actions.yml").read_text())
GITLAB = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())
INSTALL = "pip install covalent-lambda-container"


def github_lines(job: str) -> list[str]:
    return [step["run"] for step in GITHUB["jobs"][job]["steps"] if "run" in step]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a workflow."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "workflow.py").write_text("""
import covalent as ct

@ct.electron(executor="awslambda_container", deps_pip=["iniconfig==2.1.0"])
def work(x):
    return x

@ct.lattice(workflow_executor="local")
def workflow(x):
    return work(x)
""")
    return folder


@pytest.fixture
def runner(root_image: str, checkout: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a job: no AWS, and this package in place of its release."""
    programs = tmp_path / "bin"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text('#!/bin/sh\necho "pip $*" >> "$PIP_CALLS"\n')
    pip.chmod(0o755)
    config = tmp_path / "config"
    config.mkdir()
    options = {"base_image": root_image, "cache_dir": str(tmp_path / "cache")}
    (config / "covalent.conf").write_text(
        toml.dumps({"executors": {"awslambda_container": options}})
    )
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_EC2_METADATA_DISABLED": "true",
        "CI": "true",
        "COVALENT_CONFIG_DIR": str(config),
        "PATH": path,
        "PIP_CALLS": str(tmp_path / "pip"),
    }


@pytest.fixture
def identity(aws: Any, stack: Any) -> Iterator[dict[str, str]]:
    """An identity with the policy of CI, in place of what OpenID Connect would give."""
    account = aws("sts").get_caller_identity()["Account"]
    names = Deployment(
        account=account,
        region=stack.region,
        bucket=stack.bucket,
        repository=stack.repository,
        role=stack.role_name,
    )
    iam, user = aws("iam"), {"UserName": "ci-example"}
    iam.create_user(**user)
    iam.put_user_policy(**user, PolicyName="ci", PolicyDocument=json.dumps(running.ci(names)))
    key = iam.create_access_key(**user)["AccessKey"]
    yield {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_ENDPOINT_URL": stack.endpoint_url,
        "AWS_REGION": stack.region,
        "AWS_DEFAULT_REGION": stack.region,
    }
    iam.delete_access_key(**user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(**user, PolicyName="ci")
    iam.delete_user(**user)


def execute(lines: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run the lines of a job, each after the other; return what they printed."""
    printed = ""
    for line in lines:
        ended = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        printed += ended.stdout
    return printed


def test_no_key_is_stored():
    for text in (path.read_text() for path in FOLDER.iterdir()):
        assert "SECRET" not in text.upper()
        assert "ACCESS_KEY" not in text.upper()
    assert GITHUB["jobs"]["prebuild"]["permissions"]["id-token"] == "write"
    assert "id-token" not in GITHUB["jobs"]["build"]["permissions"]
    assert all(job["id_tokens"] for job in GITLAB.values())


def test_a_pull_request_builds_without_credentials(
    runner: dict[str, str], checkout: Path, tmp_path: Path
):
    printed = execute(github_lines("build"), checkout, runner)
    assert (tmp_path / "pip").read_text().splitlines() == [INSTALL]
    name = printed.splitlines()[-1].split()[0]
    assert name.startswith("covalent-lambda:")
    with contextlib.closing(docker.from_env()) as client:
        assert client.images.get(name).id
        client.images.remove(name, noprune=True)


@pytest.mark.parametrize(
    "lines", [github_lines("prebuild"), GITLAB["prebuild"]["script"]], ids=["github", "gitlab"]
)
def test_a_push_leaves_nothing_missing(
    lines: list[str],
    runner: dict[str, str],
    identity: dict[str, str],
    checkout: Path,
    tmp_path: Path,
    aws: Any,
    stack: Any,
):
    token = tmp_path / "token"
    job = {"AWS_TOKEN": "a.b.c", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    execute(lines, checkout, {**runner, **identity, **job})
    (made,) = json.loads((checkout / "prebuilt.json").read_text())
    image = {"imageDigest": made["digest"]}
    assert aws("ecr").describe_images(repositoryName=stack.repository, imageIds=[image])
    found = aws("lambda").get_function(FunctionName=made["function"])
    assert found["Code"]["ImageUri"].endswith(made["digest"])
    if token.exists():
        assert token.read_text() == "a.b.c"
        assert token.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "lines",
    [github_lines("prebuild-without-docker"), GITLAB["prebuild-without-docker"]["script"]],
    ids=["github", "gitlab"],
)
def test_a_runner_without_docker_prebuilds(
    lines: list[str],
    runner: dict[str, str],
    identity: dict[str, str],
    checkout: Path,
    tmp_path: Path,
    aws: Any,
    stack: Any,
    root_in_registry: str,
):
    repository = root_in_registry.partition("/")[2].rpartition(":")[0]
    pull = {
        "Effect": "Allow",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Resource": f"arn:aws:ecr:*:*:repository/{repository}",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [pull]})
    user = {"UserName": "ci-example", "PolicyName": "root"}
    aws("iam").put_user_policy(**user, PolicyDocument=document)
    config = Path(runner["COVALENT_CONFIG_DIR"]) / "covalent.conf"
    # An image of its own, not the one that another job has left.
    executor = {
        "base_image": root_in_registry,
        "cache_dir": str(tmp_path / "cache"),
        "requirements": ["toolz==1.0.0" if "$AWS_TOKEN" in " ".join(lines) else "toolz==0.12.1"],
    }
    config.write_text(toml.dumps({"executors": {"awslambda_container": executor}}))
    job = {
        "AWS_TOKEN": "a.b.c",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "DOCKER_HOST": f"unix://{tmp_path}/absent.sock",
    }
    try:
        execute(lines, checkout, {**runner, **identity, **job})
    finally:
        aws("iam").delete_user_policy(**user)
    (made,) = json.loads((checkout / "prebuilt.json").read_text())
    assert made["state"] == "built"
    image = {"imageDigest": made["digest"]}
    assert aws("ecr").describe_images(repositoryName=stack.repository, imageIds=[image])
