"""The reason first, from the output of uv 0.13 and pip."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.packages.install_failures import (
    names_to_build,
    not_built,
    not_reached,
    shortened,
    unsatisfiable,
)

HEAD = "error: No solution found when resolving dependencies\n  cause: "
END = "we can conclude that your requirements are unsatisfiable."
NO_WHEEL = (
    f"{HEAD}Because annoy==1.17.3 has no usable wheels and you require annoy==1.17.3, {END}\n\n"
    "hint: Wheels are required for `annoy` because building from source is disabled for all "
    "packages (i.e., with `--no-build`)"
)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Because scikit-lern was not found in the package registry and you require "
            f"scikit-lern==1.7.2, {END}",
            "there is no package scikit-lern on the index (is it misspelt?)",
        ),
        (
            "Because foo[bar] was not found in the provided package locations and you require "
            f"foo[bar], {END}",
            "there is no package foo on the index (is it misspelt?)",
        ),
        (
            f"Because there is no version of numpy==99.0 and you require numpy==99.0, {END}",
            "numpy has no version 99.0; the newest is 2.4",
        ),
        (
            f"Because only numpy<=2.4 is available and you require numpy>=99, {END}",
            "no version of numpy meets numpy>=99; the newest is 2.4",
        ),
        (
            "Because the requested Python version (>=3.11) does not satisfy Python>=3.12 and "
            f"scipy==1.18 depends on Python>=3.12, {END}",
            "scipy==1.18 needs Python >=3.12",
        ),
        (
            "you require numpy<1.25 and numpy>=1.26, which are incompatible",
            "the requirements contradict each other",
        ),
        ("something else", "uv cannot satisfy the requirements"),
    ],
)
def test_the_first_line_says_why(said: str, reason: str) -> None:
    error = unsatisfiable(f"Using CPython 3.11\n{HEAD}{said}", lambda _: "2.4")
    lines = error.message.splitlines()
    assert lines[0].startswith(f"The packages could not be installed: {reason}")
    assert lines[1:] == [*HEAD.splitlines()[:1], f"  cause: {said}"]


def test_packages_without_wheels_are_named() -> None:
    assert names_to_build(NO_WHEEL) == ("annoy",)
    assert names_to_build(HEAD) == ()


@pytest.mark.parametrize(
    "said",
    [
        "error: Failed to build `annoy==1.17.3`\n  cause: The build backend returned an error\n"
        "  [stderr]\n  error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
        "  error: command 'gcc' failed: No such file or directory\n"
        "  ERROR: Failed building wheel for annoy\nERROR: Failed to build 'annoy'",
    ],
)
@pytest.mark.parametrize(
    ("base_image", "command"),
    [
        ("python:3.11-slim", "apt-get install -y --no-install-recommends g++ python3-dev"),
        ("public.ecr.aws/lambda/python:3.11", "yum install -y gcc gcc-c++"),
        ("public.ecr.aws/lambda/python:3.12", "dnf install -y gcc gcc-c++"),
    ],
)
def test_a_missing_compiler_is_named_with_what_installs_it(
    said: str, base_image: str, command: str
) -> None:
    error = not_built(said, NO_WHEEL, base_image)
    assert error.message.splitlines()[0].startswith(
        "The packages could not be installed: annoy has no wheel for this image, and its build "
        "needs a compiler ("
    )
    assert command in str(error.hint)
    assert error.message.endswith("There is no wheel for annoy for this image.")


def test_another_failure_of_a_build_is_named() -> None:
    error = not_built("error: Failed to build `annoy==1.17.3`\nKeyError: 'x'", "", "python:3.11")
    assert "annoy has no wheel for this image, and could not be built" in error.message
    assert "KeyError: 'x'" in error.message


def test_anything_else_comes_in_its_own_words() -> None:
    error = not_built("no space left on device", NO_WHEEL, "python:3.11")
    assert error.message.startswith("The packages could not be installed: no space left on device.")


def test_versions_are_not_listed_by_the_hundred() -> None:
    versions = [f"1.{number}" for number in range(120)]
    pip = f"ERROR: Could not find a version (from versions: {', '.join(versions)})"
    assert shortened(pip).endswith("(from versions: …, 1.117, 1.118, 1.119)")
    listed = "\n".join(f"      foo=={version}" for version in versions)
    assert shortened(f"available:\n{listed}\nend").splitlines() == [
        *(
            "available:",
            "      …",
            "      foo==1.117",
            "      foo==1.118",
            "      foo==1.119",
            "end",
        )
    ]


def test_long_output_keeps_its_beginning_and_its_end() -> None:
    lines = shortened("\n".join(map(str, range(1000)))).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("0", "999", 14)


NOT_FOUND = (
    f"{HEAD}Because alpha was not found in the package registry and you require alpha, {END}"
)
REFUSED = [
    (
        f"{NOT_FOUND}\n\nhint: An index URL (https://corp.example.com/simple) could not be queried "
        "due to a lack of valid authentication credentials (401 Unauthorized)",
        "the index https://corp.example.com/simple refuses access (401 Unauthorized)",
    ),
    (
        f"{NOT_FOUND}\n\nhint: An index (https://corp.example.com/simple) returned a 403 Forbidden "
        "error. Check that the index URL is correct and the credentials are valid.",
        "the index https://corp.example.com/simple refuses access (403 Forbidden)",
    ),
    (
        "error: Failed to download `iniconfig==2.0.0`\n  cause: Hash mismatch for "
        "`iniconfig==2.0.0`\n\n         Expected:\n           sha256:00",
        "the file of iniconfig==2.0.0 has a different hash than the requirement",
    ),
    (
        "error: Failed to write to the client cache\n  cause: failed to write to file `/cache/x`: "
        "No space left on device (os error 28)",
        "the dispatcher's disk is full",
    ),
]


@pytest.mark.parametrize(("said", "reason"), REFUSED)
def test_what_other_versions_would_not_change_is_no_conflict(said: str, reason: str) -> None:
    for error in (unsatisfiable(said, lambda _: "2.4"), not_reached(said)):
        assert error.message.startswith(f"The packages could not be installed: {reason}.")
        assert type(error) is ImageBuildError
        assert error.hint


def test_a_conflict_may_be_resolved_by_other_versions() -> None:
    said = f"{HEAD}you require numpy<1.25 and numpy>=1.26, which are incompatible"
    assert isinstance(unsatisfiable(said, lambda _: ""), RequirementsConflict)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "error: Request failed after 3 retries in 8.6s\n  cause: Failed to fetch: "
            "https://index.example.com/simple/alpha/\n  cause: client error (Connect)\n"
            "  cause: Connection refused (os error 111)",
            "Request failed after 3 retries in 8.6s: Connection refused (os error 111)",
        ),
        ("error: Failed to parse: `x`", "Failed to parse: `x`"),
        ("nothing that is known", "uv failed"),
    ],
)
def test_an_index_that_is_not_reached_is_explained_by_the_last_cause(
    said: str, reason: str
) -> None:
    error = not_reached(said)
    assert error.message.startswith(f"The packages could not be installed: {reason}.")
    assert "can be reached" in str(error)
