"""Requirements as values: one canonical form; requirements that no image can have are refused."""

from __future__ import annotations

import re
from typing import cast

import pytest
from packaging.requirements import Requirement

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.requirements import (
    Requirements,
    canonical_requirement,
    parsed,
    text_of,
)
from tests.unit.packages.requirement_examples import ONE

OTHER = "sha256:" + "0b" * 32


LONG = "sha512:" + "0c" * 64


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("Scikit_Learn == 1.5.2", "scikit-learn==1.5.2"),
        ("foo.bar[B_b, a] (>=1, <2)", "foo-bar[a,b-b]<2,>=1"),
        ("numpy; python_version<'3.12'", 'numpy; python_version < "3.12"'),
        ("name@https://example.com/Name.zip#sha256=0a", "name @ https://example.com/Name.zip#sha256=0a"),
        ("name @ HTTPS://Example.COM/Name.zip", "name @ https://example.com/Name.zip"),
        ("name @ git+https://example.com/name@v1#subdirectory=x", "name @ git+https://example.com/name@v1#subdirectory=x"),
        ("name @ git+ssh://git@example.com/name.git", "name @ git+ssh://git@example.com/name.git"),
    ],
)  # fmt: skip
def test_a_requirement_has_one_canonical_form(written: str, canonical: str) -> None:
    assert canonical_requirement(written, "test") == canonical


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("numpy=2.0", "numpy==2.0"),
        ("numpy=1.26.4=py311h64a7726_0", "numpy==1.26.4"),
        ("humanize 4.11.0", "humanize==4.11.0"),
        ("jax[cpu] = 0.4", "jax[cpu]==0.4"),
        ("numpy<<2", ""),
        ("scikit learn", ""),
        ("numpy=latest", ""),
    ],
)
def test_what_was_meant_by_a_version_without_its_operator_is_said(written: str, meant: str) -> None:
    with pytest.raises(RequirementError) as refused:
        canonical_requirement(written, "DepsPip")
    assert (f"Did you mean {meant!r}?" in str(refused.value)) == bool(meant)


def test_hashes_follow_sorted_and_once() -> None:
    line = canonical_requirement("Numpy == 2.1", "test", [LONG, OTHER.upper(), ONE, ONE])
    assert line == f"numpy==2.1 --hash={ONE} --hash={OTHER} --hash={LONG}"
    assert str(parsed(line)) == "numpy==2.1"


@pytest.mark.parametrize("hashed", ["sha256:0a", "md5:" + "0" * 32, "0a" * 32, ONE + "\n", ""])
def test_a_hash_that_pip_does_not_accept_is_refused(hashed: str) -> None:
    with pytest.raises(RequirementError, match=r"^test: 'numpy==2' has the hash"):
        canonical_requirement("numpy==2", "test", [hashed])


@pytest.mark.parametrize("text", ["numpy", "numpy>=2", "numpy==2.*"])
def test_a_hash_needs_a_version(text: str) -> None:
    with pytest.raises(RequirementError, match="pinned with =="):
        canonical_requirement(text, "test", [ONE])


@pytest.mark.parametrize(
    "text",
    [
        "name @ ./name.whl",
        "name @ /srv/name.whl",
        "name @ file:///srv/name.whl",
        "name @ git+file:///srv/name",
        "name @ svn+https://example.com/name",
        "name @ https:///name.whl",
        "name @ https://example.com:port/name.whl",
        "name @ https://[example.com/name.whl",
        "name @ git+https://example.com/name@--upload-pack=x",
        "name @ git+ssh://-oProxyCommand=x/name",
        "name @ https://example.com/${HOME}",
        "name; os_name == '${HOME}'",
        "name; os_name == 'a #b'",
        "name; os_name == '\\\\n'",
    ],
)
def test_a_requirement_that_no_image_can_have_is_refused(text: str) -> None:
    with pytest.raises(RequirementError, match=f"^test: {re.escape(repr(text))} has "):
        canonical_requirement(text, "test")


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@example.com/name.whl",
        f"https://{SECRET}@example.com/name.whl",
        f"https://:{SECRET}@example.com/name.whl",
        f"git+https://{SECRET}@example.com/name",
        f"git+ssh://git:{SECRET}@example.com/name",
        f"https://user:x/{SECRET}@example.com/name.whl",
        f"https://user:x#{SECRET}@example.com/name.whl",
        f"https://user:{SECRET}@[example.com/name.whl",
        f"https://user:{{{SECRET}}}@example.com/name.whl",
        f"ftp://user:{SECRET}@example.com/name.whl",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(RequirementError) as caught:
        canonical_requirement(f"name @ {url}", "test")
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_host_is_not_an_option_of_ssh() -> None:
    with pytest.raises(RequirementError, match="a part that begins with '-'"):
        canonical_requirement("name @ git+ssh://git@-oProxyCommand=x/name", "test")


def test_how_to_give_credentials_is_said() -> None:
    with pytest.raises(RequirementError, match=r"PIP_INDEX_URL(.|\n)*netrc(.|\n)*keyring"):
        canonical_requirement("name @ https://user:pw@example.com/name.whl", "test")


def test_characters_that_only_look_like_others_are_refused() -> None:
    with pytest.raises(RequirementError, match="invalid characters"):
        canonical_requirement("name @ https://еxample.com/x", "test")


def test_requirements_are_joined_sorted_and_once() -> None:
    one = Requirements(packages=("b", "d"), constraints=("x<2",), options=("--no-binary b",))
    other = Requirements(packages=("a", "b"), constraints=("x<2",), options=("--no-binary a",))
    assert one | other == Requirements(
        packages=("a", "b", "d"),
        constraints=("x<2",),
        options=("--no-binary a", "--no-binary b"),
    )


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("--index-url https://a.example.com", "--index-url https://b.example.com",
         r"2 addresses(.|\n)*--extra-index-url"),
        ("--no-binary numpy", "--only-binary numpy", "both --no-binary numpy and --only-binary"),
    ],
)  # fmt: skip
def test_options_that_undo_each_other_are_refused(one: str, other: str, said: str) -> None:
    with pytest.raises(RequirementError, match=said):
        _ = Requirements(options=(one,)) | Requirements(options=(other,))


def test_a_task_has_no_options_from_its_arguments() -> None:
    with pytest.raises(RequirementError, match=r"^An argument's header: '--pre' is not a valid"):
        canonical_requirement("--pre", "An argument's header")


@pytest.mark.parametrize("written", ["{name} @ {url}", "{name}@ {url}"])
def test_a_url_has_one_form_whatever_release_of_packaging_writes_it(written: str) -> None:
    class Written:
        def __str__(self) -> str:
            return written.format(name="name[extra]", url="https://example.com/x.zip")

    text = text_of(cast("Requirement", Written()))
    assert text == "name[extra] @ https://example.com/x.zip"


@pytest.mark.parametrize("value", ["\x00", "\r", "\\"])
def test_a_marker_that_the_parser_trips_over_is_refused_by_name(value: str) -> None:
    with pytest.raises(RequirementError, match="numpy"):
        canonical_requirement(f'numpy; os_name != "{value}"', origin="test")
