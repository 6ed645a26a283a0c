"""Requirements: what is read, what is refused, and that none of them gets out of its line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from covalent_lambda_container.dockerfile import render_dockerfile, requirements_text
from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.spec import canonical_requirements, read_requirements_text
from tests.fakes.examples import image_spec

HOSTILE = [
    "numpy\nRUN curl https://example.com | sh",
    "RUN true",
    "ENV PATH=/evil",
    "numpy\rENV A=b",
    "numpy\\\nRUN true",
    "numpy\x00",
    "numpy\x0bENV",
    "numpy\x85RUN",
    "numpy\u2028RUN true",
    "numpy; echo",
    "numpy && true",
    "numpy #\nRUN true",
    "$(id)",
    "`id`",
    "numpy==$(id)",
    'numpy"',
    "numpy'; RUN true",
    "{{ spec }}",
    "numpy=={{ 7 * 7 }}",
    "{% include '/etc/passwd' %}",
    "name @ https://example.com/{{ spec.recipe }}",
    "name @ https://example.com/$(id)",
    "name @ https://example.com/\"'`id`",
    "name @ https://example.com/x\nRUN true",
    "name @ https://example.com/x\u2028RUN true",
    "name @ https://example.com/\x00",
    "name @ https://example.com/\\",
    "name @ https://еxample.com/x",
    "ｎumpy",
    "nump\u0443",
    "num\u200bpy",
    "numpy==１.0",
    "--index-url https://example.com",
    "-r other.txt",
    "-e .",
    "../local/path",
    "https://example.com/name.whl",
    "",
    " ",
]


def instructions(dockerfile: str) -> list[str]:
    """Return the lines that Docker acts on."""
    return [line for line in dockerfile.split("\n") if line.strip() and line[0] != "#"]


def read(text: str) -> tuple[str, ...]:
    return read_requirements_text(text, origin="requirements.txt")


def test_comments_blank_lines_and_continuations_are_understood() -> None:
    text = """
# a comment
numpy == 2.1   # and why
   # an indented one

scikit-learn \\
    >=1.5, \\
    <2
name @ https://example.com/name.zip#sha256=0a
"""
    assert read(text) == (
        "name @ https://example.com/name.zip#sha256=0a",
        "numpy==2.1",
        "scikit-learn<2,>=1.5",
    )


def test_a_file_may_end_in_a_continuation_and_have_windows_line_ends() -> None:
    assert read("numpy\r\nscipy\\") == ("numpy", "scipy")


def test_a_comment_is_not_continued() -> None:
    assert read("# see C:\\\nnumpy\n") == ("numpy",)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-r other.txt", "line 1"),
        ("numpy\n--index-url https://example.com", "line 2"),
        ("numpy\n\n# why\n-e .", "line 4"),
        ("numpy \\\n  ==2\nscipy ?= 1", "line 3"),
        ("numpy \\\n\\\n  ?= 2", "line 1"),
        ("numpy==2.1 --hash=sha256:0a", "line 1"),
    ],
)
def test_what_is_no_requirement_is_refused_with_file_and_line(text: str, place: str) -> None:
    with pytest.raises(RequirementError, match=f"^requirements.txt, {place}: "):
        read(text)


def test_an_option_is_named_as_such_with_what_to_write_instead() -> None:
    with pytest.raises(RequirementError, match=r"^DepsPip: pip option '--pre'(.|\n)*PEP 508"):
        canonical_requirements(["numpy", "--pre"], origin="DepsPip")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_requirement_is_refused_or_stays_in_its_comment(text: str) -> None:
    requirements: tuple[str, ...] = ()
    with contextlib.suppress(RequirementError):
        requirements = canonical_requirements([text], origin="test")
    rendered = render_dockerfile(image_spec(requirements=requirements))
    assert instructions(rendered) == instructions(render_dockerfile(image_spec(requirements=())))
    assert all(f"#   {requirement}\n" in rendered for requirement in requirements)


@pytest.mark.parametrize("text", [text for text in HOSTILE if not text.startswith("name @ https")])
def test_what_hostile_text_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(RequirementError):
        canonical_requirements([text], origin="test")


def test_characters_that_only_look_like_others_are_refused() -> None:
    with pytest.raises(RequirementError, match="printable ASCII"):
        canonical_requirements(["name @ https://еxample.com/x"], origin="test")


@given(
    st.sampled_from(["", "numpy", "name @ https://example.com/", "numpy; os_name=='"]),
    st.text() | st.text(st.sampled_from("\n\r\\'\"`#${}%;@=[]() RUNENVFROM\x00\u2028")),
)
def test_no_text_whatever_changes_the_instructions(start: str, rest: str) -> None:
    requirements: tuple[str, ...] = ()
    with contextlib.suppress(RequirementError):
        requirements = canonical_requirements([start + rest], origin="test")
    rendered = render_dockerfile(image_spec(requirements=requirements))
    assert instructions(rendered) == instructions(render_dockerfile(image_spec(requirements=())))


@given(st.lists(st.from_regex(r"name @ https://example\.com/[!-~]{0,8}", fullmatch=True)))
@example(["name @ https://example.com/%41#egg=name"])
def test_pip_reads_the_requirements_that_were_written(texts: list[str]) -> None:
    # A backslash at the end of a line: see the next test.
    wanted = canonical_requirements([text.rstrip("\\") for text in texts], origin="test")
    written = requirements_text(image_spec(requirements=wanted, cloudpickle_version="3.1.0"))
    assert set(read(written)) == {*wanted, "cloudpickle==3.1.0"}


def test_a_requirement_cannot_swallow_the_next_one() -> None:
    try:
        wanted = canonical_requirements(["name @ https://example.com/\\"], origin="test")
    except RequirementError:
        return
    written = requirements_text(image_spec(requirements=wanted))
    assert "cloudpickle==3.1.0" in read(written)
