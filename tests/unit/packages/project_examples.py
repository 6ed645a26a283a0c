"""Locks and projects that tests read, without hosts that exist."""

from __future__ import annotations

INDEX = "https://pypi.example.com/simple"
DIGEST = {name: f"{number:064x}" for number, name in enumerate(("sdist", "linux", "mac"), 1)}
FILES = "https://files.example.com"

UV_LOCK = f"""
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "alpha"
version = "1.0"
source = {{ registry = "{INDEX}" }}
sdist = {{ url = "{FILES}/alpha-1.0.tar.gz", hash = "sha256:{DIGEST["sdist"]}", size = 1 }}

[[package]]
name = "beta"
version = "2.0"
source = {{ registry = "{INDEX}" }}
sdist = {{ url = "{FILES}/beta-2.0.tar.gz", hash = "sha256:{DIGEST["sdist"]}", size = 1 }}

[[package]]
name = "gamma"
version = "3.0"
source = {{ registry = "{INDEX}" }}
sdist = {{ url = "{FILES}/gamma-3.0.tar.gz", hash = "sha256:{DIGEST["sdist"]}", size = 1 }}

[[package]]
name = "mine"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [{{ name = "alpha" }}]

[package.optional-dependencies]
plot = [{{ name = "beta" }}]

[package.dev-dependencies]
dev = [{{ name = "gamma" }}]

[package.metadata]
requires-dist = [{{ name = "alpha" }}, {{ name = "beta", marker = "extra == 'plot'" }}]
provides-extras = ["plot"]

[package.metadata.requires-dev]
dev = [{{ name = "gamma" }}]
"""

PYPROJECT = """
[project]
name = "Mine"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["alpha"]

[project.optional-dependencies]
plot = ["beta>1; python_version > '3'"]
All_Of_It = ["mine[plot]", "delta"]

[dependency-groups]
dev = ["gamma", {include-group = "test"}]
test = ["epsilon[x]"]
"""


def pylock(packages: str, head: str = "") -> str:
    """Return the text of a lock file with some packages."""
    return f'lock-version = "1.0"\ncreated-by = "test"\n{head}\n{packages}'


def package(name: str, marker: str = "", more: str = "", index: str = INDEX) -> str:
    """Return a package of a lock file that has files for several systems."""
    wheel = f"{name}-1.0-cp311-cp311"
    files = {
        "linux": f"{wheel}-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "mac": f"{wheel}-macosx_11_0_arm64.whl",
    }
    wheels = ", ".join(
        f'{{ url = "{FILES}/{file}", hashes = {{ sha256 = "{DIGEST[system]}" }} }}'
        for system, file in files.items()
    )
    lines = [
        "[[packages]]",
        f'name = "{name}"',
        'version = "1.0"',
        *([f"marker = '''{marker}'''"] if marker else []),
        *([f'index = "{index}"'] if index else []),
        f'sdist = {{ url = "{FILES}/{name}-1.0.tar.gz", '
        f'hashes = {{ sha256 = "{DIGEST["sdist"]}" }} }}',
        f"wheels = [{wheels}]",
        more,
    ]
    return "\n".join(lines) + "\n"
