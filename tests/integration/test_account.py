"""bootstrap and teardown as a user runs them, on the local stack."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.iam import documents

Run = Callable[..., Result]


@pytest.fixture
def names() -> dict[str, str]:
    run = uuid.uuid4().hex[:8]
    return {"bucket": f"bucket-{run}", "repository": f"repository-{run}", "role": f"Role{run}"}


@pytest.fixture
def covalent_lambda(stack: Any, aws: Any, names: dict[str, str]) -> Iterator[Run]:
    """Run a command as the account's owner, with names that no other test uses."""
    where = {
        "--credentials-file": str(stack.credentials_file),
        "--profile": stack.owner_profile,
        "--region": stack.region,
        "--endpoint-url": stack.endpoint_url,
        **{f"--{kind}": name for kind, name in names.items()},
    }

    def run(command: str, *arguments: str, text: str | None = None) -> Result:
        flags = [word for pair in where.items() for word in pair]
        return CliRunner().invoke(cli, [command, *flags, *arguments], input=text)

    yield run
    run("teardown", "--yes", "--force")


def actions(result: Result) -> dict[str, list[str]]:
    assert result.exit_code == 0, result.output
    found: dict[str, list[str]] = {}
    for step in json.loads(result.stdout)["steps"]:
        found.setdefault(step["kind"], []).append(step["action"])
    return found


def test_an_account_is_set_up_once(covalent_lambda: Run, aws: Any, names: dict[str, str]):
    planned = actions(covalent_lambda("bootstrap", "--plan", "--json"))
    assert planned == {
        "bucket": ["create", "set", "set", "set"],
        "repository": ["create", "set", "set"],
        "role": ["create", "set", "set"],
    }
    buckets = aws("s3").list_buckets()["Buckets"]
    assert names["bucket"] not in [bucket["Name"] for bucket in buckets]

    done = covalent_lambda("bootstrap")
    assert done.exit_code == 0, done.output
    (command,) = (line for line in done.stdout.splitlines() if "config set" in line)
    words = shlex.split(command)
    assert words[:3] == ["covalent-lambda", "config", "set"]
    assert f"s3_bucket_name={names['bucket']}" in words
    # The dispatcher is not to be who set the account up.
    assert not [word for word in words if word.startswith(("profile=", "credentials_file="))]

    s3 = aws("s3")
    blocked = s3.get_public_access_block(Bucket=names["bucket"])["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    assert len(blocked) == 4
    (encrypted,) = s3.get_bucket_encryption(Bucket=names["bucket"])[
        "ServerSideEncryptionConfiguration"
    ]["Rules"]
    assert encrypted["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=names["bucket"])["Rules"]
    assert rule["Filter"] == {"Prefix": "covalent-lambda/"}
    assert rule["Expiration"] == {"Days": 1}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}

    ecr = aws("ecr")
    (repository,) = ecr.describe_repositories(repositoryNames=[names["repository"]])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    policy = json.loads(ecr.get_repository_policy(repositoryName=names["repository"])["policyText"])
    assert policy["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}

    iam = aws("iam")
    trust = iam.get_role(RoleName=names["role"])["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    (policy_name,) = iam.list_role_policies(RoleName=names["role"])["PolicyNames"]
    found = iam.get_role_policy(RoleName=names["role"], PolicyName=policy_name)
    (allowed,) = found["PolicyDocument"]["Statement"]
    assert all(action.startswith("logs:") for action in allowed["Action"])

    again = actions(covalent_lambda("bootstrap", "--json"))
    assert {action for each in again.values() for action in each} == {"keep"}


def test_manual_changes_are_fixed(covalent_lambda: Run, aws: Any, names: dict[str, str]):
    assert covalent_lambda("bootstrap").exit_code == 0
    rule = {
        "ID": "other",
        "Status": "Enabled",
        "Filter": {"Prefix": "a/"},
        "Expiration": {"Days": 9},
    }
    aws("s3").put_bucket_lifecycle_configuration(
        Bucket=names["bucket"], LifecycleConfiguration={"Rules": [rule]}
    )
    aws("s3").delete_public_access_block(Bucket=names["bucket"])
    aws("ecr").put_image_tag_mutability(
        repositoryName=names["repository"], imageTagMutability="MUTABLE"
    )
    aws("ecr").delete_repository_policy(repositoryName=names["repository"])
    # Sids are unique within a policy.
    others = documents.TRUST_LAMBDA["Statement"][0] | {
        "Sid": "Others",
        "Principal": {"Service": "ec2.amazonaws.com"},
    }
    trust = {"Version": "2012-10-17", "Statement": [others]}
    aws("iam").update_assume_role_policy(RoleName=names["role"], PolicyDocument=json.dumps(trust))

    assert actions(covalent_lambda("bootstrap", "--json")) == {
        "bucket": ["set", "keep", "set"],
        "repository": ["set", "set"],
        "role": ["set", "keep"],
    }
    again = actions(covalent_lambda("bootstrap", "--json"))
    assert {action for each in again.values() for action in each} == {"keep"}
    # What others have set stays beside it.
    rules = aws("s3").get_bucket_lifecycle_configuration(Bucket=names["bucket"])["Rules"]
    assert "other" in [rule["ID"] for rule in rules]
    trust = aws("iam").get_role(RoleName=names["role"])["Role"]["AssumeRolePolicyDocument"]
    assert others in trust["Statement"]


def test_a_role_joins_a_vpc_with_a_flag_only(covalent_lambda: Run, aws: Any, names: dict[str, str]):
    def allowed() -> set[str]:
        found = aws("iam").get_role_policy(RoleName=names["role"], PolicyName="covalent-lambda")
        statements = found["PolicyDocument"]["Statement"]
        return {action.partition(":")[0] for each in statements for action in each["Action"]}

    assert covalent_lambda("bootstrap").exit_code == 0
    assert allowed() == {"logs"}
    assert covalent_lambda("bootstrap", "--vpc").exit_code == 0
    assert allowed() == {"logs", "ec2"}
    assert actions(covalent_lambda("bootstrap", "--json"))["role"] == ["keep", "keep"]


def test_a_role_that_an_arn_names_is_made_at_its_path(
    covalent_lambda: Run, aws: Any, names: dict[str, str]
):
    arn = f"arn:aws:iam::000000000000:role/team/{names['role']}"
    made = covalent_lambda("bootstrap", "--role", arn)
    assert made.exit_code == 0, made.output
    assert aws("iam").get_role(RoleName=names["role"])["Role"]["Arn"] == arn


def test_resources_of_others_are_unchanged_until_they_are_adopted(
    covalent_lambda: Run, aws: Any, names: dict[str, str]
):
    aws("s3").create_bucket(Bucket=names["bucket"])
    aws("s3").put_bucket_tagging(
        Bucket=names["bucket"], Tagging={"TagSet": [{"Key": "team", "Value": "physics"}]}
    )
    left = actions(covalent_lambda("bootstrap", "--json"))
    assert set(left["bucket"]) <= {"leave", "keep"}
    assert "not created by bootstrap" in covalent_lambda("teardown", "--plan").stdout
    assert covalent_lambda("teardown", "--yes").exit_code == 0
    aws("s3").head_bucket(Bucket=names["bucket"])

    assert covalent_lambda("bootstrap", "--adopt").exit_code == 0
    tags = aws("s3").get_bucket_tagging(Bucket=names["bucket"])["TagSet"]
    assert {"Key": "team", "Value": "physics"} in tags
    assert covalent_lambda("teardown", "--yes").exit_code == 0
    names_left = [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]]
    assert names["bucket"] not in names_left


def test_teardown_asks_and_removes_created_resources(
    covalent_lambda: Run, aws: Any, names: dict[str, str]
):
    assert covalent_lambda("bootstrap").exit_code == 0
    aws("s3").put_object(Bucket=names["bucket"], Key="covalent-lambda/left", Body=b"")
    for tag in ("0" * 32, "0" * 32 + "-r1"):
        _put_image(aws, names["repository"], tag)

    refused = covalent_lambda("teardown", text="n\n")
    assert refused.exit_code == 1
    assert "Remove this from account 000000000000?" in refused.output
    aws("s3").head_bucket(Bucket=names["bucket"])

    assert covalent_lambda("teardown", text="y\n").exit_code == 0
    gone = actions(covalent_lambda("teardown", "--plan", "--json"))
    assert gone == {"bucket": ["absent"], "repository": ["absent"], "role": ["absent"]}


@pytest.mark.parametrize("kind", ["bucket", "repository", "role", "function"])
def test_teardown_keeps_it_all_if_others_have_something_there(
    covalent_lambda: Run, aws: Any, names: dict[str, str], kind: str
):
    assert covalent_lambda("bootstrap").exit_code == 0
    if kind == "bucket":
        aws("s3").put_object(Bucket=names["bucket"], Key="photographs/1.jpg", Body=b"")
    elif kind == "repository":
        _put_image(aws, names["repository"], "latest")
    elif kind == "role":
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}],
        }
        aws("iam").put_role_policy(
            RoleName=names["role"], PolicyName="others", PolicyDocument=json.dumps(policy)
        )
    else:
        aws("lambda").create_function(
            FunctionName=f"covalent-{names['role']}",
            PackageType="Image",
            Code={"ImageUri": "localhost/image"},
            Role=f"arn:aws:iam::000000000000:role/{names['role']}",
        )
    refused = covalent_lambda("teardown", "--yes")
    assert refused.exit_code == 2
    expected = {
        "bucket": "other objects: photographs/1.jpg",
        "repository": "other images: latest",
        "role": "other policies: others",
        "function": "1 functions run as it",
    }[kind]
    assert expected in refused.output
    assert "--force" in refused.output
    aws("s3").head_bucket(Bucket=names["bucket"])
    aws("iam").get_role(RoleName=names["role"])

    assert covalent_lambda("teardown", "--yes", "--force").exit_code == 0
    gone = actions(covalent_lambda("teardown", "--plan", "--json"))
    assert {action for each in gone.values() for action in each} == {"absent"}
    if kind == "function":
        aws("lambda").delete_function(FunctionName=f"covalent-{names['role']}")


def test_the_policies_are_printed_in_the_accounts_names(
    covalent_lambda: Run, names: dict[str, str]
):
    printed = covalent_lambda("policy", "dispatcher")
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout)["Version"] == "2012-10-17"
    for text in ("000000000000", *names.values()):
        assert text in printed.stdout


def _put_image(aws: Any, repository: str, tag: str) -> None:
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'0' * 64}"}
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}
    aws("ecr").put_image(
        repositoryName=repository,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=media_type,
        imageTag=tag,
    )
