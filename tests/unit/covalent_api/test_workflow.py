"""Tasks found in a workflow that has not run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.covalent_api.workflow import (
    THE_ONLY_ONE,
    Arguments,
    Workflow,
    read_workflow,
)
from covalent_lambda_container.errors import ConfigurationError, RequirementError

HEAD = """
import covalent as ct
ours = ct.executor.AWSLambdaContainerExecutor(memory_size=1024)

@ct.electron(executor=ours, deps_pip=["humanize==4.11.0"])
def by_object(x):
    return x

@ct.electron(executor="awslambda_container", deps_pip=["six"], deps_bash=["echo hello"])
def by_name(x):
    return x

@ct.electron(executor="local", deps_pip=["pandas"])
def elsewhere(x):
    return x

@ct.electron
def inherits(x):
    return x
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Read a workflow of these lines."""

    def read_lines(
        lines: str, name: str | None = None, of: str = THE_ONLY_ONE, **arguments: Any
    ) -> Workflow:
        path = tmp_path / "flow.py"
        path.write_text(HEAD + lines)
        return read_workflow(path, name, {of: Arguments(**arguments)} if arguments else {})

    return read_lines


def failure(workflow: Workflow) -> str:
    """Return the text of a workflow's only failure."""
    (error,) = workflow.failures
    return str(error)


def found(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    """Return the packages of the tasks by their names, the file aside."""
    return {
        t.name.rpartition(":")[2].partition("/")[2]: t.task.requirements.packages
        for t in named(workflow)
    }


def named(workflow: Workflow) -> Any:
    # Covalent's own nodes have colons in their names.
    for task in workflow.tasks:
        yield type(task)(
            name=task.name.replace(":postprocess:reconstruct", "<post>"),
            task=task.task,
            options=task.options,
        )


def test_electrons_are_found_by_object_by_name_and_by_the_lattices_executor(read: Any) -> None:
    workflow = read("""
@ct.lattice(executor=ours, workflow_executor="local", deps_pip=["attrs"])
def workflow():
    return [by_object(1), by_name(2), elsewhere(3), inherits(4)]
""")
    assert found(workflow) == {
        "by_object": ("humanize==4.11.0",),
        "by_name": ("six",),
        "inherits": ("attrs",),
    }
    options = {task.name.rpartition("/")[2]: task.options.memory_size for task in workflow.tasks}
    assert options == {"by_object": 1024, "by_name": 512, "inherits": 1024}
    (commands,) = (task.task.commands for task in workflow.tasks if task.task.commands)
    assert commands == ("echo hello",)
    assert workflow.guesses == ()


def test_postprocessing_and_sublattices_need_covalent(read: Any) -> None:
    workflow = read(
        """
@ct.electron
@ct.lattice(executor=ours)
def inner(x, times):
    for _ in range(times):
        x = by_object(x)
    return x

@ct.lattice(executor="local", workflow_executor=ours)
def workflow():
    return inner(1, 2)
""",
        "workflow",
    )
    versions = {task.name.rpartition("/")[2]: task.task.covalent_version for task in workflow.tasks}
    assert versions == {
        "by_object": "",
        ":sublattice:inner": "0.240.0",
        ":postprocess:reconstruct": "0.240.0",
    }
    assert "inner/by_object" in found(workflow)


def test_a_sublattice_has_its_lattices_executor_unless_it_has_its_own(read: Any) -> None:
    workflow = read(
        """
@ct.electron
@ct.lattice
def inner(x):
    return inherits(x)

@ct.electron
@ct.lattice(executor="local", workflow_executor="local")
def apart(x):
    return inherits(x)

@ct.lattice(executor=ours, workflow_executor="local", deps_pip=["attrs"])
def workflow():
    return inner(1), apart(2)
""",
        "workflow",
    )
    assert found(workflow) == {"inner/inherits": ("attrs",)}


def test_a_sublattice_of_a_tasks_result_is_read_with_a_placeholder(read: Any) -> None:
    workflow = read(
        """
@ct.electron
@ct.lattice(executor=ours)
def inner(x, more):
    return by_name(x), by_object(more["a"][0])

@ct.lattice(executor="local", workflow_executor="local")
def workflow():
    return inner(elsewhere(1), {"a": [1, 2]})
""",
        "workflow",
    )
    assert {"inner/by_name", "inner/by_object"} <= set(found(workflow))
    assert "workflow/inner receives results of tasks" in workflow.guesses[0]


def test_without_its_arguments_all_electrons_of_the_file_take_part(read: Any) -> None:
    lines = """
@ct.lattice(workflow_executor="local")
def workflow(x, flag=False):
    if flag:
        by_name(x)
    return by_object(x)
"""
    (guess,) = read(lines).guesses
    assert "flow.py:workflow was examined without its arguments (x)" in guess
    assert set(found(read(lines))) == {"by_object", "by_name"}
    assert set(found(read(lines, args=[1]))) == {"by_object"}
    assert set(found(read(lines, args=[1], kwargs={"flag": True}))) == {"by_object", "by_name"}


def test_a_graph_that_depends_on_its_arguments_asks_for_them(read: Any) -> None:
    lines = """
@ct.lattice(workflow_executor="local")
def workflow(n):
    return [by_object(i) for i in range(n)]
"""
    assert """flow.py:workflow --kwargs '{"n": …}'""" in failure(read(lines))
    workflow = read(lines, kwargs={"n": 3})
    assert (len(workflow.tasks), workflow.failures) == (3, ())


def test_lattices_that_need_no_arguments_are_read_beside_one_that_does(read: Any) -> None:
    lines = """
@ct.lattice(workflow_executor="local")
def loops(n):
    return [by_object(i) for i in range(n)]

@ct.lattice(workflow_executor="local")
def plain():
    return by_name(1)
"""
    workflow = read(lines)
    assert set(found(workflow)) == {"by_name"}
    assert "flow.py:loops could not be built" in failure(workflow)
    whole = read(lines, of="loops", kwargs={"n": 2})
    assert (set(found(whole)), whole.failures) == ({"by_object", "by_name"}, ())


def test_tasks_are_read_beside_one_that_cannot_be(read: Any) -> None:
    workflow = read("""
@ct.electron(executor=ours, deps_pip=["./mine"])
def wrong(x):
    return x

@ct.electron
@ct.lattice(executor=ours)
def inner(x):
    return [by_object(i) for i in range(x)]

@ct.lattice(workflow_executor="local")
def workflow():
    return wrong(1), by_name(2), inner(elsewhere(3)), by_object(4)
""")
    assert {"by_name", "by_object"} <= set(found(workflow))
    of_task, of_sublattice = workflow.failures
    assert isinstance(of_task, RequirementError)
    assert "flow.py:workflow/wrong: " in str(of_task)
    assert "./mine" in str(of_task)
    assert "flow.py:workflow/inner could not be built" in str(of_sublattice)


def test_arguments_that_do_not_fit_are_named(read: Any) -> None:
    lines = "@ct.lattice\ndef workflow(n):\n    return by_object(n)\n"
    assert "'m'" in failure(read(lines, kwargs={"m": 1}))
    assert "do not fit" in failure(read(lines, kwargs={"m": 1}))
    two = lines + "@ct.lattice\ndef other():\n    return by_object(1)\n"
    with pytest.raises(ConfigurationError, match="has the lattices workflow, other"):
        read(two, args=[1])


def test_data_that_may_bring_packages_along_is_said(read: Any) -> None:
    workflow = read("""
@ct.lattice(workflow_executor="local")
def workflow():
    return by_name([by_object(1), 2])
""")
    (guess,) = workflow.guesses
    assert "results of tasks with other packages go to by_name" in guess
    assert "--dispatch" in guess


def test_lists_of_outputs_are_no_tasks(read: Any) -> None:
    workflow = read("""
@ct.lattice(workflow_executor="local")
def workflow():
    return by_object([by_object({"a": by_object(1)})])
""")
    assert set(found(workflow)) == {"by_object"}


def test_functions_are_pickled_as_a_scripts_are(read: Any, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NUMBER = 7\n")
    workflow = read("""
import beside

@ct.electron(executor=ours)
def uses_covalent():
    return ct.__name__

@ct.electron(executor=ours)
def uses_a_module_beside():
    return beside.NUMBER

@ct.lattice(workflow_executor="local")
def workflow():
    return uses_covalent(), uses_a_module_beside()

if __name__ == "__main__":
    raise AssertionError("it was run")
""")
    covalent, other = workflow.tasks
    assert covalent.task.refers_to_covalent
    assert not other.task.refers_to_covalent
    assert str(tmp_path) not in sys.path
    assert "__workflow__" not in sys.modules
    del sys.modules["beside"]


@pytest.mark.parametrize(
    ("lines", "name", "said"),
    [
        ("", None, "has no lattice."),
        ("@ct.lattice\ndef one():\n    pass\n", "two", "its lattices are one"),
        ("raise SystemExit(3)\n", None, "ended while it was imported, with exit status 3"),
    ],
)
def test_a_file_without_the_lattice_is_refused(read: Any, lines: str, name: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(lines, name)


def test_an_error_of_the_file_is_its_own(read: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        read("1 / 0\n")
    assert "__workflow__" not in sys.modules
