"""The reason first, from the output of uv 0.13 and pip."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.packages.install_failures import (
    not_built,
    not_reached,
    not_tried,
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
            "scipy==1.18 depends on Python>=3.12, we can conclude that scipy==1.18 cannot be "
            f"used. And because you require scipy==1.18, {END}",
            "scipy==1.18 does not support Python 3.11, it needs >=3.12; the newest for it is scipy "
            "2.4",
        ),
        (
            "Because the requested Python version (>=3.10) does not satisfy Python>=3.11 and all "
            "of: numpy>=2.3.0,<=2.4.0rc1 depend on Python>=3.11, we can conclude that you require "
            f"numpy>=2.3, {END}",
            "numpy>=2.3 does not support Python 3.10, it needs >=3.11; the newest for it is numpy",
        ),
        (
            "Because torch<=2.0.1 has no wheels with a matching Python ABI tag (e.g., `cp313`) and "
            f"because you require torch<2.1, {END}",
            "torch<2.1 has no wheel for Python 3.13; the newest for it is torch 2.4",
        ),
        (
            "And because pywin32>=303 has no wheels with a matching platform tag (e.g., "
            f"`manylinux_2_31_x86_64`) and you require pywin32, {END}",
            "pywin32 has no wheel for the image's system (manylinux_2_31_x86_64); the newest",
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
def test_a_missing_compiler_is_named_with_the_command_that_installs_it(
    said: str, base_image: str, command: str
) -> None:
    error = not_built(said, NO_WHEEL, base_image)
    assert error.message.splitlines()[0].startswith(
        "The packages could not be installed: annoy has no wheel for this image, and its build "
        "needs a compiler ("
    )
    assert command in str(error.hint)
    assert error.message.endswith("There is no wheel for annoy for this image.")


BUILD = """error: Failed to build `annoy==1.17.3`
  cause: The build backend returned an error
  cause: Call to `backend.build_wheel` failed (exit status: 1)

         [stderr]
"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            f"{BUILD}         /x/y.c:3:10: fatal error: openssl/ssl.h: No such file or directory\n"
            "         error: command '/usr/bin/gcc' failed with exit code 1\n",
            "annoy has no wheel for this image, and its build needs openssl/ssl.h, of a library",
        ),
        (
            f"{BUILD}         ModuleNotFoundError: No module named 'numpy'",
            "annoy has no wheel for this image, and its build imports numpy without requiring it",
        ),
        (
            f"{BUILD}         RuntimeError: install scikit-learn instead\n\nhint: Build failures",
            "annoy has no wheel for this image, and could not be built: RuntimeError: install",
        ),
        (
            f"{BUILD}         error: command '/usr/bin/gcc' failed with exit code 1\n",
            "annoy has no wheel for this image, and could not be built: error: command '/usr/bin/g",
        ),
        (
            "error: Failed to download and build `annoy==1.17.3`\n  cause: Failed to resolve "
            "requirements from `build-system.requires`\n  cause: No solution found when resolving: "
            f"`nope>=3`\n  cause: Because nope was not found in the package registry and {END}",
            "annoy has no wheel for this image, and what its build requires cannot be installed: "
            "there is no package nope on the index",
        ),
        (
            f"{BUILD}         error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-g++'",
            "annoy has no wheel for this image, and its build needs a compiler (x86_64-linux-gnu-g",
        ),
        (
            "error: Failed to download and build `annoy @ https://example.com/annoy.tar.gz`\n"
            "  cause: Failed to fetch: https://example.com/annoy.tar.gz\n  cause: dns error",
            "Failed to download and build `annoy @ https://example.com/annoy.tar.gz`: dns error.",
        ),
        (BUILD, "annoy has no wheel for this image, and could not be built.\nerror: Failed to"),
        (
            f"{HEAD}Because there is no version of six==99 and you require six==99, {END}",
            "six has no version 99.",
        ),
        (
            "error: Request failed after 3 retries\n  cause: Connection refused (os error 111)",
            "Request failed after 3 retries: Connection refused (os error 111).",
        ),
        ("no words that are known", "annoy could not be built.\nno words that are known"),
    ],
)
def test_the_failure_in_the_container_comes_first(said: str, reason: str) -> None:
    error = not_built(said, NO_WHEEL, "python:3.11")
    assert error.message.startswith(f"The packages could not be installed: {reason}")
    assert "ended with status" not in str(error)
    assert error.message.endswith("There is no wheel for annoy for this image.")


def test_a_build_that_did_not_begin_says_why() -> None:
    failure = ImageBuildError("there is no git.\nIt was looked for.", hint="Install it.")
    error = not_tried(failure, NO_WHEEL)
    assert str(error) == (
        "The packages could not be installed: there is no git.\nIt was looked for.\n"
        "There is no wheel for annoy for this image, and it was to be built.\nInstall it."
    )


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


def test_a_file_that_cannot_be_used_is_no_conflict() -> None:
    said = (
        "Resolved 1 package in 2ms\nerror: Failed to download `longnames==1.0`\n"
        "  cause: Failed to extract archive: longnames-1.0-py3-none-any.whl\n"
        "  cause: Archive contains unacceptable filename: longnames/x"
    )
    error = unsatisfiable(said, lambda _: "")
    assert type(error) is ImageBuildError
    assert error.message.splitlines()[:2] == [
        "The packages could not be installed: Failed to download `longnames==1.0`: Archive "
        "contains unacceptable filename: longnames/x.",
        "error: Failed to download `longnames==1.0`",
    ]


@pytest.mark.parametrize(("said", "reason"), REFUSED)
def test_a_failure_of_all_versions_is_no_conflict(said: str, reason: str) -> None:
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


GIT = """   Updating https://git.example.com/mine.git (main)
error: Failed to download and build `mine @ git+https://git.example.com/mine.git@main`
  cause: Git operation failed
  cause: failed to clone into: /tmp/covalent-lambda-install/cache/git-v2/db/2ca991c1a1ac9a13
  cause: failed to fetch branch or tag `main`
  cause: process didn't exit successfully: `/usr/bin/git fetch --force` (exit status: 128)
         --- stderr
         fatal: unable to access 'https://git.example.com/mine.git/': Could not resolve host
"""


def test_a_repository_that_cannot_be_fetched_is_no_failed_build() -> None:
    error = not_built(GIT, "", "python:3.11-slim")
    assert error.message.splitlines()[0] == (
        "The packages could not be installed: the git repository "
        "https://git.example.com/mine.git@main could not be fetched: unable to access "
        "'https://git.example.com/mine.git/': Could not resolve host."
    )
    assert "wheel" not in str(error.hint)


@pytest.mark.parametrize(
    ("base_image", "command"),
    [
        (
            "python:3.11-slim",
            "apt-get install -y --no-install-recommends g++ python3-dev libpq-dev",
        ),
        ("public.ecr.aws/lambda/python:3.12", "dnf install -y gcc gcc-c++ libpq-devel"),
    ],
)
@pytest.mark.parametrize(
    "said", ["Error: pg_config executable not found.", "/bin/sh: 1: pg_config: not found"]
)
def test_a_program_that_a_build_asks_is_named_with_its_package(
    base_image: str, command: str, said: str
) -> None:
    output = f"error: Failed to build `psycopg2==2.9.10`\n  cause: it failed\n         {said}\n"
    error = not_built(output, "", base_image)
    assert "its build needs pg_config, of a library in C" in error.message.splitlines()[0]
    assert command in str(error.hint)


def test_a_package_that_is_confused_with_another_is_named_so() -> None:
    output = (
        "error: Failed to build `sklearn==0.0.post12`\n  cause: The build backend returned it\n"
        "hint: `sklearn` is often confused for `scikit-learn`. Did you mean to install "
        "`scikit-learn` instead?\n"
    )
    error = not_built(output, "", "python:3.11-slim")
    assert "sklearn is probably not what you mean, which is scikit-learn" in error.message
    assert error.hint == "Require scikit-learn instead."
