"""Whatever a task's texts contain, its image's Dockerfile has the same instructions."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.errors import ConfigurationError, RequirementError
from covalent_lambda_container.images.dockerfile import render_dockerfile, requirements_files
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements, has_hash
from covalent_lambda_container.packages.requirements_files import (
    read_requirement_lines,
    read_requirements_text,
)
from tests.fakes.examples import image_spec

SEED = 20261124
FUZZED = 10_000

# Each of them must be refused; none may pass as a harmless requirement.
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
    "numpy --hash=sha256:0a\nRUN true",
    "--only-binary x\nRUN true",
    "--index-url https://example.com/\nRUN true",
    "--index-url 'https://example.com/ RUN'",
    "--extra-index-url https://example.com/{{ spec }}",
    "-r other.txt",
    "-e .",
    "../local/path",
    "https://example.com/name.whl",
    "",
    " ",
]

STARTS = [
    *("", "numpy", "numpy==2.1", "numpy;os_name=='", 'numpy;os_name!="', "numpy[", "numpy==="),
    *("name @ ", "name @ https://example.com/", "name @ git+https://example.com/x@", "\ufeff", "#"),
    *("--only-binary ", "--index-url https://example.com/", "-r ", "numpy==1 --hash=sha256:"),
    *("# escape=`\n", "# syntax=", "<<EOF\n", "ONBUILD "),
]
PIECES = [
    *("\n", "\r", "\r\n", "\\\n", "\\", "`\n", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"),
    *("'", '"', "`", "$(id)", "${PATH}", "$PATH", "{{ 7 * 7 }}", "{% raw %}", "{# x #}", "%}"),
    *("RUN true", "ENV A=b", "FROM scratch", "COPY / /", "\nRUN true\n", "\nENV A=b", "#", " #"),
    *("еxample", "ｎumpy", "\u200b", "\u202e", "１", "ſ", "K", "%0A", "%0a", "\\n", "\\x0a"),
    *("; ", ",", "@", "&&", "|", ">", "<<EOF\nRUN true\nEOF", " ", "\t", "-r x", "--hash=", "=="),
    *("numpy", "2.1", "'", "abc", "0a" * 32, "http://example.com", "*/", "]", ")", "!", "~", "../"),
]


def instructions(dockerfile: str) -> list[str]:
    """Return what Docker reads in a Dockerfile: its parser directives and its instructions.

    As "Format" and "Parser directives" in Docker's Dockerfile reference say: directives are
    comments of a certain form before anything else, comments are lines that begin with a hash, also
    inside a continued line, and an escape character at its end continues a line.
    """
    found: list[str] = []
    escape = "\\"
    lines = dockerfile.removeprefix("\ufeff").split("\n")
    for line in lines:
        directive = re.fullmatch(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", line.strip())
        if directive is None:
            break
        found.append(line)
        if directive[1].lower() == "escape":
            escape = directive[2]
    pending = ""
    for line in map(str.strip, lines):
        if line.startswith("#") or not line:
            continue
        pending += line.removesuffix(escape)
        if not line.endswith(escape):
            found.append(pending)
            pending = ""
    return [*found, pending] if pending else found


def fuzzed(count: int) -> Iterator[str]:
    generator = random.Random(SEED)
    for _ in range(count):
        pieces = generator.choices(PIECES, k=generator.randrange(5))
        yield generator.choice(STARTS) + "".join(pieces) + generator.choice(["", "'", '"', "]"])


def accepted(texts: Iterator[str] | list[str]) -> Requirements:
    """Return those of the requirements that are not refused."""
    found: set[Requirements] = set()
    for text in texts:
        with contextlib.suppress(RequirementError):
            found.add(read_requirement_lines([text], origin="test"))
    return Requirements(
        packages=tuple(sorted({line for one in found for line in one.packages})),
        constraints=tuple(sorted({line for one in found for line in one.constraints})),
        options=tuple(sorted({line for one in found for line in one.options})),
    )


def image_of(wanted: Requirements, **changes: object) -> ImageSpec:
    return image_spec(
        requirements=wanted.packages,
        # They are written as requirements are, and stand in the same file.
        constraints=(*wanted.constraints, *wanted.packages),
        install_options=wanted.options,
        **changes,
    )


PLAIN = instructions(render_dockerfile(image_spec(requirements=())))


def test_the_parser_of_this_test_reads_as_docker_does() -> None:
    text = "# escape=`\n#x\nFROM a\nRUN b `\n  # comment\n  c\n\nRUN d \\\nENV e=f `"
    assert instructions(text) == ["# escape=`", "FROM a", "RUN b c", "RUN d \\", "ENV e=f "]
    assert instructions("#x\n# escape=`\nRUN a \\\nb") == ["RUN a b"]


def test_no_requirement_of_many_changes_the_instructions() -> None:
    wanted = accepted(fuzzed(FUZZED))
    assert len(wanted.packages) + len(wanted.options) > 100, "nearly all were refused"
    rendered = render_dockerfile(image_of(wanted))
    assert instructions(rendered) == PLAIN
    # The text that the installer reads says what was wanted, line for line.
    steps = [step["requirements.txt"].splitlines() for step in requirements_files(image_of(wanted))]
    binary = [line for line in wanted.options if "-binary" in line]
    binary.append("--constraint constraints.txt")
    hashed = [line for line in wanted.packages if has_hash(line)]
    others = [line for line in wanted.packages if not has_hash(line)]
    assert hashed
    assert others
    assert steps[0] == [*binary, *hashed]
    assert steps[1] == [*binary, *others, "cloudpickle==3.1.0"]
    for line in wanted.packages:
        assert read_requirements_text(line, origin="test").packages == (line,)
    for line in wanted.options:
        assert read_requirements_text(line, origin="test").options == (line,)


def test_no_command_of_many_changes_the_instructions() -> None:
    commands = tuple(fuzzed(FUZZED))
    plain = render_dockerfile(image_spec(requirements=(), commands=("true",) * FUZZED))
    rendered = render_dockerfile(image_spec(requirements=(), commands=commands))
    assert instructions(rendered) == instructions(plain)


def test_no_root_image_of_many_changes_the_instructions() -> None:
    taken = []
    for text in fuzzed(FUZZED):
        with contextlib.suppress(ConfigurationError):
            taken.append(Options.check({"base_image": text}).base_image)
    assert taken
    for text in {*taken}:
        rendered = render_dockerfile(image_spec(requirements=(), base_image=text))
        assert instructions(rendered) == PLAIN


def test_no_environment_changes_the_instructions() -> None:
    # It belongs to the function: what an image is made of has no place for it.
    assert "environment" not in ImageSpec.__dataclass_fields__


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(RequirementError):
        read_requirement_lines([text], origin="test")


@given(
    st.sampled_from(STARTS),
    st.text() | st.text(st.sampled_from("\n\r\\'\"`#${}%;@=[]() RUNENVFROM\x00\u2028")),
)
def test_no_text_whatever_changes_the_instructions(start: str, rest: str) -> None:
    wanted = accepted([start + rest])
    assert instructions(render_dockerfile(image_of(wanted))) == PLAIN
