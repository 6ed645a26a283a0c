"""Everything Covalent can send."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

IN_DISPATCHER = (":parameter:", ":electron_list:", ":electron_dict:", ":postprocess:")


def test_data_brings_its_packages_along(dispatcher: Any):
    client = [sys.executable, "-c", "import numpy"]
    assert subprocess.run(client, env=dispatcher.server.environment, check=False).returncode == 1
    before = len(dispatcher.steps("task.invoke"))
    outcome = dispatcher.outcome("data_follows.py")
    assert outcome["result"] == [9, 13, 10, 3, 4, 6]
    # Lists and dictionaries of outputs, and the result of these, cost no invocation; operators and
    # indexing do.
    own = [name for name in outcome["names"] if not name.startswith(IN_DISPATCHER)]
    assert {":electron_list:", ":electron_dict:"} <= set(outcome["names"])
    assert len(dispatcher.steps("task.invoke")) - before == len(own)


def test_a_whole_lattice_runs_here_with_covalent_in_the_image(dispatcher: Any):
    outcome = dispatcher.outcome("covalent_inside.py")
    assert outcome["status"] == "COMPLETED", outcome
    assert outcome["result"] == [20, 10, {"answer": 40}]


def test_values_take_their_packages_through_sublattices(dispatcher: Any):
    outcome = dispatcher.outcome("through_sublattices.py")
    assert outcome["status"] == "COMPLETED", outcome
    *results, context = outcome["result"]
    assert results == [[0, 2, 4], "1.2", "1.2"]
    assert context == [outcome["dispatch_id"], outcome["nodes"]["context"]["number"]]


def test_versions_of_values_give_way_to_those_of_the_task(dispatcher: Any):
    nodes = dispatcher.outcome("values_and_versions.py")["nodes"]
    for name in ("older", "capped"):
        error = nodes[name]["error"]
        assert error.startswith("ModuleNotFoundError: No module named 'numpy._core")
        assert "the value from make (node 0) was made with numpy==2.2.6" in error
        assert "the image has numpy==1.26.4" in error


def test_commands_of_bash(dispatcher: Any):
    outcome = dispatcher.outcome("bash.py")
    assert outcome["result"][1:] == [["made by bash", "made by bash"], "1.17.0", "1.17.0"]


def test_functions_of_every_kind(dispatcher: Any):
    outcome = dispatcher.outcome("functions.py")
    assert outcome["result"] == [[5, 2], [7, -4, 4, 3], "octopi"]


def test_a_module_sent_by_value(dispatcher: Any):
    assert dispatcher.outcome("by_value.py")["result"] == 33


def test_a_finished_dispatch_is_dispatched_again(dispatcher: Any):
    ended = dispatcher.outcome("redispatched.py")
    assert [one["status"] for one in ended] == ["COMPLETED"] * 5
    assert [one["result"] for one in ended] == [22, 22, 22, -22, 24]
    invoked = Counter(step["subject"].split(":")[0] for step in dispatcher.steps("task.invoke"))
    # First; all reused; none reused; one electron replaced; one electron's argument changed.
    assert [invoked[one["id"]] for one in ended] == [3, 0, 3, 1, 2]
