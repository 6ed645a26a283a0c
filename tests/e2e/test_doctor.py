"""The doctor on a working set-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("covalent-lambda")


def test_nothing_is_wrong_where_electrons_run(dispatcher: Any):
    examined = subprocess.run(
        [PROGRAM, "doctor", "--json"],
        env=dict(dispatcher.server.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    findings = json.loads(examined.stdout)
    # How much room there is here, nobody knows.
    wrong = [each for each in findings if each["status"] == "problem"]
    assert [each for each in wrong if each["name"] != "Docker disk"] == []
    assert examined.returncode == bool(wrong)
    (server,) = [each for each in findings if each["name"] == "Covalent server"]
    assert server["message"] == f"answers at {dispatcher.server.address}"
