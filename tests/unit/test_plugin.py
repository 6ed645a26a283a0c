"""The plugin in a fresh process, as Covalent finds and loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def python(tmp_path: Path) -> Any:
    """Run a script in a process with a Covalent configuration of its own."""

    def run(script: str, configuration: str = "") -> Any:
        (tmp_path / "covalent.conf").write_text(configuration)
        process = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=os.environ | {"COVALENT_CONFIG_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])

    return run


def test_importing_the_plugin_imports_neither_boto3_nor_docker(python: Any) -> None:
    loaded = python("""
import json, sys
import covalent_lambda_container.awslambda_container
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
""")
    assert "covalent" in loaded
    assert not {"boto3", "botocore", "docker", "rich"} & set(loaded)


def test_importing_the_package_imports_nothing_else(python: Any) -> None:
    loaded = python("""
import json, sys
import covalent_lambda_container
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
""")
    assert not {"covalent", "boto3", "docker", "pydantic"} & set(loaded)


def test_covalent_finds_the_executor_by_class_and_by_name(python: Any, tmp_path: Path) -> None:
    found = python(
        """
import json
import covalent as ct
import covalent_lambda_container
from covalent.executor import AWSLambdaContainerExecutor, _executor_manager

@ct.electron(executor="awslambda_container")
def electron():
    pass

@ct.lattice
def workflow():
    return electron()

workflow.build_graph()
executor = _executor_manager.get_executor("awslambda_container")
print(json.dumps({
    "one class": AWSLambdaContainerExecutor is covalent_lambda_container.AWSLambdaContainerExecutor
                 is ct.executor.AWSLambdaContainerExecutor is type(executor),
    "electron": workflow.transport_graph.get_node_value(0, "metadata")["executor"],
    "by name": executor.options().model_dump(),
    "by class": AWSLambdaContainerExecutor(timeout=30).options().model_dump(),
}))
""",
        configuration="""
[executors.awslambda_container]
timeout = 120
cleanup = false
profile = ""
requirements = ["numpy==2.1"]

[executors.awslambda_container.environment]
MODE = "fast"
""",
    )
    assert found["one class"] is True
    assert "memory_size = 512" in (tmp_path / "covalent.conf").read_text(), "a default"
    assert found["electron"] == "awslambda_container"
    configured = {"cleanup": False, "requirements": ["numpy==2.1"], "environment": {"MODE": "fast"}}
    assert found["by name"].items() >= (configured | {"timeout": 120, "memory_size": 512}).items()
    assert found["by class"].items() >= (configured | {"timeout": 30, "memory_size": 512}).items()


def test_the_plugin_may_be_imported_before_covalent(python: Any) -> None:
    names, is_there = python("""
import json
from covalent_lambda_container import AWSLambdaContainerExecutor
import covalent as ct
names = list(ct.executor._executor_manager.executor_plugins_map)
print(json.dumps([names, hasattr(ct.executor, "AWSLambdaContainerExecutor")]))
""")
    assert "awslambda_container" in names
    assert is_there


def test_a_task_that_comes_while_another_loads_the_service_waits_for_the_whole_of_it(
    python: Any,
) -> None:
    assert python(
        """
import asyncio, sys
from covalent_lambda_container import awslambda_container as plugin

async def two_tasks():
    first = asyncio.ensure_future(plugin._loaded_wiring())
    while "covalent_lambda_container.executor.wiring" not in sys.modules:
        await asyncio.sleep(0)
    second = await plugin._loaded_wiring()
    return hasattr(second, "service_for") and second is await first

print(str(asyncio.run(two_tasks())).lower())
"""
    )
