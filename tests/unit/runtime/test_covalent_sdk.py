"""Covalent in an image: its context, the values of a sublattice's electrons, their executors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

START = """
import base64, io, json, sys
import cloudpickle
import covalent as ct
from covalent_lambda_container.runtime import execution

CONTEXT = {"dispatch_id": "d-1", "node_id": 7, "image": "0a1b"}

def run(function, *args, context=CONTEXT):
    "Run a task as the handler does; return its result."
    dump = cloudpickle.dumps
    task = {"function": dump(function), "args": list(map(dump, args)), "kwargs": {},
            "before": [], "after": [], "commands": [], "context": context}
    result = io.BytesIO()
    answer = execution.execute(lambda: task, result)
    assert answer["status"] == "completed", answer["error"]
    return cloudpickle.loads(result.getvalue())
"""


def result_of(tmp_path: Path, script: str) -> object:
    """Return what a script prints as JSON, in a process of its own, as tasks are."""
    modules = {"packaging": ["packaging==9.0"]}
    (tmp_path / "covalent_lambda_modules.json").write_text(json.dumps(modules))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + script],
        env=os.environ | {"LAMBDA_TASK_ROOT": str(tmp_path), "COVALENT_PLUGIN_LOAD": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_task_knows_its_dispatch_and_its_node(tmp_path: Path) -> None:
    script = """
def look():
    context = ct.get_context()
    return [context.dispatch_id, context.task_id]
print(json.dumps([run(look), run(look, context={**CONTEXT, "node_id": 8})]))
"""
    assert result_of(tmp_path, script) == [["d-1", 7], ["d-1", 8]]


def test_so_does_one_that_imports_covalent_itself(tmp_path: Path) -> None:
    script = """
for name in [name for name in sys.modules if name.partition(".")[0] == "covalent"]:
    del sys.modules[name]

def look():
    import covalent
    return covalent.get_context().task_id
print(json.dumps(run(look)))
"""
    assert result_of(tmp_path, script) == 7


def test_values_of_a_sublattice_say_which_packages_they_need(tmp_path: Path) -> None:
    script = """
from covalent._workflow.transport import TransportableObject
from packaging.version import Version

def wrap(value):
    made = TransportableObject.make_transportable(value)
    return {key: made.header.get(key) for key in ("requires", "image")}
print(json.dumps([run(wrap, Version("1.0")), run(wrap, [1, "2"])]))
"""
    assert result_of(tmp_path, script) == [
        {"requires": ["packaging==9.0"], "image": "0a1b"},
        {"requires": None, "image": None},
    ]


def test_a_sublattice_keeps_the_executor_that_it_names(tmp_path: Path) -> None:
    script = """
from covalent._workflow.electron import _build_sublattice_graph

@ct.electron
def one():
    return 1

@ct.lattice(executor="local")
def sub():
    return one()

parent = {"executor": "other", "executor_data": {"short_name": "other", "attributes": {"x": 1}},
          "workflow_executor": "other", "workflow_executor_data": {"attributes": {"x": 1}},
          "hooks": {}, "triggers": None}
archive = run(_build_sublattice_graph, sub, json.dumps(parent))
import tarfile
opened = tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive)))
(name,) = [name for name in opened.getnames() if name.endswith("manifest.json")]
lattice = json.load(opened.extractfile(name))["lattice"]
node = lattice["transport_graph"]["nodes"][0]["metadata"]
print(json.dumps([node["executor"], node["executor_data"],
                  lattice["metadata"]["workflow_executor_data"]]))
"""
    assert result_of(tmp_path, script) == ["local", {}, {"attributes": {"x": 1}}]
