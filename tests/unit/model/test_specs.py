"""Identity: equal content, equal names; any other content, other names."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.model.names import TAG_LENGTH
from covalent_lambda_container.model.specs import (
    FunctionSpec,
    ImageReference,
    ImageSpec,
    sorted_pairs,
)
from covalent_lambda_container.packages.local_packages import LocalPackage
from covalent_lambda_container.packages.requirements import canonical_requirement
from tests.fakes.examples import function_spec, image_spec

OTHER_IMAGES = {
    "python_version": "3.12",
    "architecture": "arm64",
    "base_image": "registry.example.com/python:3.11-slim",
    "requirements": ("scikit-learn==1.5.1",),
    "cloudpickle_version": "3.1.1",
    "covalent_version": "0.240.0",
    "commands": ("apt-get install -y graphviz",),
    "late_commands": ("python3 -m nltk.downloader punkt_tab",),
    "constraints": ("numpy<3",),
    "install_options": ("--only-binary :all:",),
    "flexible": ("numpy==2.1.0",),
    "local_packages": (LocalPackage(name="mypkg", digest="1" * 64, files=()),),
    "recipe": "1" * 64,
}
OTHER_FUNCTIONS = {
    "image": ImageReference(repository_uri="registry.example.com/x", digest=f"sha256:{'0' * 64}"),
    "architecture": "arm64",
    "role_arn": "arn:aws:iam::123456789012:role/Other",
    "memory_mb": 1024,
    "timeout_s": 61,
    "ephemeral_storage_mb": 1024,
    "environment": (("MODE", "fast"),),
    "tags": (("team", "physics"),),
    "subnet_ids": ("subnet-0a",),
    "security_group_ids": ("sg-0a",),
    "file_system_arn": "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-0a",
    "mount_path": "/mnt/data",
    "kms_key_arn": "arn:aws:kms:eu-central-1:123456789012:key/0a",
    "reserved_concurrency": 5,
    "owner": "arn:aws:iam::123456789012:user/alice",
}

NAMES = st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)
SPECIFIERS = st.builds(
    "{}{}".format,
    st.sampled_from(["==", ">=", "<=", "!=", "<", ">", "~="]),
    st.from_regex(r"[1-9]?[0-9](\.[1-9]?[0-9]){1,2}", fullmatch=True),
)
PARTS = st.tuples(
    NAMES,
    st.sets(NAMES, max_size=2),
    st.sets(SPECIFIERS, max_size=3),
    st.sampled_from(["", "python_version>='3.9'", "sys_platform=='linux'"]),
)
SPACES = st.sampled_from(["", " ", "  ", "\t"])


def tag_of(requirements: list[str]) -> str:
    canonical = {canonical_requirement(text, "test") for text in requirements}
    return image_spec(requirements=tuple(sorted(canonical))).tag


@st.composite
def spelled(draw: st.DrawFn, parts: tuple[str, set[str], set[str], str]) -> str:
    """Write one requirement in any of the ways PEP 508 and PEP 503 call the same."""

    def any_name(name: str) -> str:
        characters = [draw(st.sampled_from([c.lower(), c.upper()])) for c in name]
        return "".join(draw(st.sampled_from("-_.")) if c == "-" else c for c in characters)

    name, extras, specifiers, marker = parts
    gap = draw(SPACES)
    text = gap + any_name(name)
    if extras:
        inside = f"{gap},{gap}".join(map(any_name, draw(st.permutations(sorted(extras)))))
        text += f"{gap}[{gap}{inside}{gap}]"
    versions = draw(st.permutations(sorted(specifiers)))
    versions = [re.sub(r"(?<=[=<>])(?=\d)", lambda _: draw(SPACES), one) for one in versions]
    text += gap + f"{gap},{gap}".join(versions)
    if marker:
        text += f"{gap};{gap}" + marker.replace("'", draw(st.sampled_from(["'", '"'])))
    return text + draw(SPACES)


@given(st.data(), st.lists(PARTS, max_size=5))
def test_order_case_spacing_and_duplicates_of_requirements_do_not_change_the_tag(
    data: st.DataObject, requirements: list[tuple[str, set[str], set[str], str]]
) -> None:
    once = [data.draw(spelled(parts)) for parts in requirements]
    again = [data.draw(spelled(parts)) for parts in data.draw(st.permutations(requirements * 2))]
    assert tag_of(once) == tag_of(again)


@given(
    st.sets(st.tuples(NAMES, SPECIFIERS), max_size=3),
    st.sets(st.tuples(NAMES, SPECIFIERS), max_size=3),
)
def test_other_requirements_have_another_tag(
    some: set[tuple[str, str]], others: set[tuple[str, str]]
) -> None:
    tags = [tag_of([f"{name}{specifier}" for name, specifier in one]) for one in (some, others)]
    assert (tags[0] == tags[1]) == (some == others)


def test_case_of_a_version_does_not_change_the_tag() -> None:
    assert tag_of(["numpy==1.0RC1"]) == tag_of(["numpy==1.0rc1"])


@pytest.mark.parametrize("field", [field.name for field in fields(ImageSpec)])
def test_every_field_of_an_image_takes_part_in_its_tag(field: str) -> None:
    assert image_spec(**{field: OTHER_IMAGES[field]}).tag != image_spec().tag


@pytest.mark.parametrize("field", [field.name for field in fields(FunctionSpec)])
def test_every_field_of_a_function_takes_part_in_its_name(field: str) -> None:
    assert function_spec(**{field: OTHER_FUNCTIONS[field]}).name != function_spec().name


def test_names_are_the_same_on_every_machine() -> None:
    # Another value here means that every image and function of every user is created again.
    assert image_spec().tag == "1aa858c506c313384a44f654fd550d55"
    assert function_spec().name == "covalent-223e705e81333897-57c7bd6155a758b3"


def test_an_image_that_nothing_was_brought_to_is_the_same_as_before_there_were_values() -> None:
    assert "flexible" not in json.loads(image_spec().json)


def test_a_tag_is_a_prefix_of_the_digest() -> None:
    spec = image_spec()
    assert spec.digest.startswith(spec.tag)
    assert len(spec.tag) == TAG_LENGTH


@given(st.dictionaries(st.text(), st.text()), st.text())
def test_a_function_name_is_one_that_lambda_takes(environment: dict[str, str], role: str) -> None:
    name = function_spec(environment=sorted_pairs(environment), role_arn=role).name
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)


@given(st.dictionaries(st.text(), st.text(), max_size=5), st.data())
def test_order_of_environment_does_not_change_the_name(
    environment: dict[str, str], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(environment.items()))))
    names = {function_spec(environment=sorted_pairs(one)).name for one in (environment, shuffled)}
    assert len(names) == 1


def test_the_order_of_commands_matters() -> None:
    assert image_spec(commands=("a", "b")).tag != image_spec(commands=("b", "a")).tag


def test_functions_of_one_image_share_a_prefix() -> None:
    names = [function_spec(memory_mb=memory).name for memory in (512, 1024)]
    assert names[0].rpartition("-")[0] == names[1].rpartition("-")[0]


def test_an_image_is_referred_to_by_digest() -> None:
    image: Any = ImageReference(repository_uri="registry.example.com/x", digest="sha256:0a")
    assert image.uri == "registry.example.com/x@sha256:0a"
