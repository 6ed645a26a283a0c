"""Lock files of PEP 751 as lines of a requirements file."""

from __future__ import annotations

import logging

import pytest

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import read_requirements_text
from covalent_lambda_container.packages.uv_lock import default_index
from tests.unit.packages.project_examples import DIGEST, FILES, INDEX, package, pylock

SHA = "0123456789abcdef0123456789abcdef01234567"
GIT = f"""
[[packages]]
name = "delta"
vcs = {{ type = "git", url = "https://git.example.com/delta.git", commit-id = "{SHA}" }}
"""
ARCHIVE = f"""
[[packages]]
name = "delta"
archive = {{ url = "{FILES}/delta.zip", hashes = {{ sha256 = "{DIGEST["mac"]}" }} }}
"""


def read(text: str) -> Requirements:
    return read_requirements_text(text, origin="pylock.toml")


def test_packages_get_the_hashes_of_files_that_images_can_have() -> None:
    found = read(pylock(package("alpha", "sys_platform == 'linux'")))
    assert found.packages == (
        'alpha==1.0; sys_platform == "linux" '
        f"--hash=sha256:{DIGEST['sdist']} --hash=sha256:{DIGEST['linux']}",
    )


def test_an_index_is_one_more_unless_it_is_the_one_that_everybody_has() -> None:
    assert read(pylock(package("alpha"))).options == (f"--extra-index-url {INDEX}",)
    usual = package("alpha", index=f"{default_index()}/") + package("beta", index="")
    assert read(pylock(usual)).options == ()


def test_of_several_indexes_each_package_has_its_own() -> None:
    other = "https://wheels.example.com/cpu/"
    lock = pylock(package("alpha", index=other) + package("beta", index=default_index()))
    assert read(lock).options == ("--package-index alpha=https://wheels.example.com/cpu",)
    lock = pylock(package("alpha", index=other) + package("beta"))
    assert read(lock).options == (
        "--package-index alpha=https://wheels.example.com/cpu",
        f"--package-index beta={INDEX}",
    )


def test_indexes_of_other_systems_do_not_count() -> None:
    elsewhere, here = "https://wheels.example.com/mac", "https://wheels.example.com/cpu"
    alpha = package("alpha", "sys_platform == 'linux'", index=here)
    alpha += package("alpha", "sys_platform != 'linux'", index=elsewhere)
    lock = pylock(alpha + package("beta", index=default_index()))
    assert read(lock).options == (f"--package-index alpha={here}",)


def test_several_indexes_of_one_package_are_more_indexes() -> None:
    machines = {
        "x86_64": "https://wheels.example.com/intel",
        "aarch64": "https://wheels.example.com/arm",
    }
    lock = pylock(
        "".join(
            package("alpha", f"platform_machine == '{machine}'", index=index)
            for machine, index in machines.items()
        )
    )
    assert read(lock).options == tuple(
        sorted(f"--extra-index-url {url}" for url in machines.values())
    )


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (GIT, f"delta @ git+https://git.example.com/delta.git@{SHA}"),
        (
            GIT.replace("delta.git", "delta").replace(" }", ', subdirectory = "sub" }'),
            f"delta @ git+https://git.example.com/delta@{SHA}#subdirectory=sub",
        ),
        (ARCHIVE, f"delta @ {FILES}/delta.zip --hash=sha256:{DIGEST['mac']}"),
    ],
)
def test_packages_with_an_address_keep_it(wanted: str, line: str) -> None:
    assert read(pylock(wanted)).packages == (line,)


def test_hashes_are_for_all_packages_or_for_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = read(pylock(GIT + package("alpha")))
    assert found.packages[0] == "alpha==1.0"
    assert "only versions: delta has none" in caplog.text


@pytest.mark.parametrize(
    ("marker", "line"),
    [
        ("'default' in dependency_groups", "alpha==1.0"),
        ("'default' in dependency_groups or 'x' in extras", "alpha==1.0"),
        ("'x' in extras", None),
        ("'default' not in dependency_groups", None),
        ("'x' in extras and os_name == 'posix'", 'alpha==1.0; python_version < "0" and os_name'),
    ],
)
def test_groups_that_are_not_chosen_are_left_out(marker: str, line: str | None) -> None:
    head = 'dependency-groups = ["default"]\ndefault-groups = ["default"]\nextras = ["x"]'
    found = read(pylock(package("alpha", marker), head)).packages
    assert len(found) == (line is not None)
    assert "".join(found).startswith(line or "")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            '[[packages]]\nname = "own"\ndirectory = { path = "../own", editable = true }',
            r"has own from the folder or file '\.\./own', which is code of your own",
        ),
        (GIT.replace('"git"', '"hg"'), "has delta from a repository that is not of git"),
        (GIT.replace("url = ", "path = "), "has delta from a repository that is not of git, or"),
        (package("alpha", index="file:///srv/simple"), "has the URL file:///srv/simple, which"),
        (
            package("alpha", index="https://me:secret@pypi.example.com/simple"),
            "has credentials in its URL, https://…@pypi",
        ),
        (package("alpha").replace('version = "1.0"\n', ""), "has no version of alpha"),
        (GIT.replace("https://git", "https://-git"), "pylock.toml, delta: .* begins with '-'"),
    ],
)
def test_packages_that_no_image_can_have_are_refused_with_the_reason(
    wanted: str, said: str
) -> None:
    with pytest.raises(RequirementError, match=said) as caught:
        read(pylock(wanted))
    assert "secret" not in str(caught.value)
