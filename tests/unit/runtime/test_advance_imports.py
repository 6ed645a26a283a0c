"""Imports in advance: what they print is discarded, and what they keep of the streams works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MODULE = """
import logging, os, sys

print("printed while it is imported")
os.system("echo by a program")
log = logging.getLogger("keeps")
log.addHandler(logging.StreamHandler())
os.environ["LEFT"] = "behind"
os.chdir("/")
of_its_own = sys.stdout

def say(text, to=sys.stdout):
    print(text, file=to)

sys.stdout = None
"""
TEMPLATE = """
import os, sys
from covalent_lambda_container.runtime.advance_imports import import_in_advance

print("before")
import_in_advance(["keeps_streams", "no_such_module"])
assert "keeps_streams" in sys.modules
assert "LEFT" not in os.environ
assert os.getcwd() != "/"
if not os.fork():
    import keeps_streams

    keeps_streams.say("said")
    keeps_streams.log.warning("logged")
    print("after")
else:
    os.wait()
"""


def test_modules_keep_the_streams_that_tasks_print_to(tmp_path: Path) -> None:
    (tmp_path / "keeps_streams.py").write_text(MODULE)
    ended = subprocess.run(
        [sys.executable, "-c", TEMPLATE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == ["before", "said", "after"]
    assert ended.stderr == "logged\n"
