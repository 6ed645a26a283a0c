"""``covalent-lambda why``, on dispatches of a real Covalent server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Dispatcher

PROGRAM = str(Path(sys.executable).with_name("covalent-lambda"))
FLOW = """
import sys
import covalent as ct

@ct.electron(executor="awslambda_container", deps_pip=["six==1.17.0"])
def works(x):
    return x

@ct.electron(executor="awslambda_container", deps_pip=["six==1.17.0"])
def divides(x):
    print("about to divide", x)
    return 1 / x

@ct.electron
@ct.lattice(executor="local", workflow_executor="local")
def inner(x):
    return divides(x)

@ct.lattice(executor="local", workflow_executor="local")
def workflow(x):
    return inner(works(x))

dispatch_id = ct.dispatch(workflow)(int(sys.argv[1]))
ct.get_result(dispatch_id, wait=True)
print(dispatch_id)
"""


def why(dispatcher: Dispatcher, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "why", *arguments],
        env=dict(dispatcher.server.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_failed_task_of_a_sublattice_is_shown_with_all_that_is_known(
    dispatcher: Dispatcher, tmp_path: Path
) -> None:
    script = tmp_path / "flow.py"
    script.write_text(FLOW)
    dispatch_id = dispatcher.run(script, "0").splitlines()[-1]
    shown = why(dispatcher, dispatch_id, "--json")
    assert shown.returncode == 1, shown.stderr
    answer: dict[str, Any] = json.loads(shown.stdout)
    assert (answer["workflow"], answer["status"]) == ("workflow", "FAILED")
    (failed,) = answer["failed"]
    assert failed["name"] == "divides"
    assert failed["dispatch_id"] != dispatch_id
    assert failed["error"].startswith("ZeroDivisionError: division by zero")
    assert "Traceback" in failed["stderr"]
    assert failed["stdout"] == "about to divide 0\n"
    assert failed["requirements"] == ["six==1.17.0"]
    text = why(dispatcher, dispatch_id).stdout
    for part in ("divides", "ZeroDivisionError", "| about to divide 0", failed["image"]):
        assert part in text


def test_a_dispatch_without_a_failure_is_shown_as_such(
    dispatcher: Dispatcher, tmp_path: Path
) -> None:
    script = tmp_path / "flow.py"
    script.write_text(FLOW)
    dispatch_id = dispatcher.run(script, "1").splitlines()[-1]
    shown = why(dispatcher, dispatch_id)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "workflow: COMPLETED, 0 failed tasks\n"
