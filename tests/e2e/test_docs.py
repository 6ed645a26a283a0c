"""The commands in the pages that are marked as runnable, as users run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toml

ROOT = Path(__file__).parents[2]
RUNNABLE = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if RUNNABLE.search(page.read_text())
]


@pytest.fixture
def owner(dispatcher: Any, stack: Any, root_image: str, tmp_path: Path) -> dict[str, str]:
    """The environment of an account's owner, whose Covalent server runs."""
    host, _, port = dispatcher.server.address.removeprefix("http://").partition(":")
    configuration = {
        "dispatcher": {"address": host, "port": int(port)},
        "executors": {"awslambda_container": {"base_image": root_image}},
    }
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "covalent.conf").write_text(toml.dumps(configuration))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        **stack.environment,
        "AWS_PROFILE": stack.owner_profile,
        "COVALENT_CONFIG_DIR": str(folder),
        "PATH": path,
        # Also AWS's own command line, which a dispatcher does not have.
        "PYTHONPATH": "",
    }


def test_there_are_runnable_pages():
    assert len(PAGES) > 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_commands_run(page: Path, owner: dict[str, str], tmp_path: Path):
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "examples", folder / "examples")
    for block in RUNNABLE.findall(page.read_text()):
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=owner,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ended.returncode == 0, f"{block}\n{ended.stdout}\n{ended.stderr}"
