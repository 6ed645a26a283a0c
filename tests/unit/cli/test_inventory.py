"""``covalent-lambda list``, ``gc``, ``logs`` and ``prewarm``, on fakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.executor.wiring import AccountStores
from covalent_lambda_container.functions.description import description
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.model.specs import ImageReference
from covalent_lambda_container.ports.functions import ACTIVE, FunctionState
from tests.fakes import FakeFunctions, FakeImageBuilder, FakeLogs, FakeRegistry
from tests.fakes.examples import function_spec, image_spec

Run = Callable[..., Result]

CREATOR = "arn:aws:sts::123456789012:assumed-role/ci/run-7"


def ago(**length: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(**length)


@pytest.fixture
def stores() -> Iterator[AccountStores]:
    """An account with one image and one function, both old."""
    with FakeFunctions() as functions:
        registry, logs = FakeRegistry(), FakeLogs()
        stores = AccountStores(
            registry=registry, functions=functions, invocations=functions, logs=logs
        )
        registry.ensure_repository()
        digest = registry.accept(image_spec().tag, "content")
        registry.pushed[digest] = ago(days=40)
        functions.own_tags["made-by-identity"] = CREATOR
        spec = function_spec(image=ImageReference(repository_uri=registry.uri, digest=digest))
        functions.create(spec, description(["flow.py:workflow/train"], ["numpy==2.1.0", "six"]))
        functions.wait_active(spec.name)
        functions.modified[spec.name] = ago(days=40)
        logs.write(spec.name, ago(days=35), "START RequestId: 1\n")
        yield stores


@pytest.fixture
def service(stores: AccountStores, tmp_path: Path) -> SimpleNamespace:
    """A service that creates images and functions in the account."""
    provisioner = Provisioner(
        builder=FakeImageBuilder(stores.registry),
        registry=stores.registry,
        functions=stores.functions,
        lock_directory=tmp_path / "locks",
    )
    return SimpleNamespace(
        provisioner=provisioner,
        function_spec=lambda image: function_spec(image=image, memory_mb=256),
    )


@pytest.fixture
def run(stores: AccountStores, service: SimpleNamespace) -> Run:
    """Run a command on the account."""
    wiring = SimpleNamespace(account_stores_for=lambda _: stores, service_for=lambda _: service)

    def invoke(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=answer, obj=wiring)

    return invoke


@pytest.fixture
def name(stores: Any) -> str:
    (name,) = stores.functions.states
    return str(name)


def test_the_list_says_age_size_last_use_and_who(run: Run, stores: Any, name: str) -> None:
    head, image, function = run("list").stdout.splitlines()
    columns = [
        "KIND",
        "NAME",
        "PACKAGES",
        "FOR",
        "IMAGE",
        "SIZE",
        "MEMORY",
        "AGE",
        "LAST",
        "USE",
        "MADE",
        "BY",
    ]
    assert head.split() == columns
    assert image.split()[:2] == ["image", image_spec().tag[:12]]
    assert image.split()[2:4] == ["numpy==2.1.0,", "six"]
    assert image.split()[4] == "flow.py:workflow/train"
    assert image.split()[6:] == ["42", "MB", "–", "40", "d", "–", "–"]
    assert function.split()[:2] == ["function", name]
    for shown in (
        "numpy==2.1.0, six",
        "flow.py:workflow/train",
        "512 MB",
        "40 d",
        "35 d",
        "assumed-role/ci/run-7",
    ):
        assert shown in function


def test_the_list_as_json_is_exact(run: Run, stores: Any, name: str) -> None:
    shown = json.loads(run("list", "--json").stdout)
    (image,) = shown["images"]
    (function,) = shown["functions"]
    assert image["tags"] == [image_spec().tag]
    assert image["size_bytes"] == 42_000_000
    assert image["last_used"] is None
    assert image["packages"] == function["packages"] == "numpy==2.1.0, six"
    assert image["for"] == function["for"] == "flow.py:workflow/train"
    assert function["name"] == name
    assert function["made_by"] == CREATOR
    assert function["image"].endswith(image["digest"])
    assert datetime.fromisoformat(function["last_used"]) < ago(days=34)


def test_a_dry_run_removes_nothing(run: Run, stores: Any, name: str) -> None:
    shown = run("gc", "--dry-run")
    assert run("gc", "--plan").stdout == shown.stdout, "as other commands call it"
    assert shown.exit_code == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == ["function", "image"]
    assert name in stores.functions.states
    assert stores.registry.tags


def test_unused_resources_are_removed_after_confirmation(run: Run, stores: Any, name: str) -> None:
    refused = run("gc", answer="n\n")
    assert refused.exit_code == 1
    assert name in refused.stderr
    assert refused.stdout.strip() == ""
    assert name in stores.functions.states
    assert run("gc", answer="y\n").exit_code == 0
    assert stores.functions.deleted == [name]
    assert stores.registry.tags == set()
    assert run("gc", "--yes").stdout == "nothing to remove\n"


def test_resources_used_before_confirmation_are_kept(
    run: Run, stores: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(*_: Any, **__: Any) -> bool:
        stores.logs.write(name, ago(minutes=1), "START RequestId: 2\n")
        return True

    monkeypatch.setattr("click.confirm", confirm)
    assert run("gc").stdout == "nothing to remove\n"
    assert name in stores.functions.states
    assert stores.registry.tags


def test_younger_resources_are_kept(run: Run, stores: Any) -> None:
    assert run("gc", "--yes", "--keep", "36d").stdout == "nothing to remove\n"
    removed = json.loads(run("gc", "--yes", "--keep", "34d", "--json").stdout)
    assert (len(removed["functions"]), len(removed["images"]), removed["removed"]) == (1, 1, True)


@pytest.mark.parametrize("keep", ["30", "3w", "-1d", "", "soon"])
def test_a_time_is_a_number_and_a_unit(run: Run, stores: Any, keep: str) -> None:
    ended = run("gc", "--dry-run", f"--keep={keep}")
    assert ended.exit_code == 2
    assert f"{keep!r} is not a duration: write 30d, 12h, 15m or 45s." in ended.stderr


def test_logs_show_a_functions_output(run: Run, stores: Any, name: str) -> None:
    stores.logs.write(name, ago(minutes=5), "hello\n")
    (line,) = run("logs", name).stdout.splitlines()
    assert line.endswith("  hello")
    assert "START" in run("logs", name, "--since", "36d").stdout
    assert json.loads(run("logs", name, "--json").stdout)["text"] == "hello"


def test_logs_are_followed_until_they_are_interrupted(run: Run, stores: Any, name: str) -> None:
    stores.logs.write(name, ago(minutes=5), "first")
    stores.logs.write(name, ago(minutes=1), "second")
    stores.logs.arriving = [stores.logs.lines[name].pop()]
    ended = run("logs", name, "--follow")
    assert [line.split("  ")[1] for line in ended.stdout.splitlines()] == ["first", "second"]
    assert ended.exit_code == 130


@pytest.mark.parametrize("arguments", [(), ("name", "--dispatch", "id")])
def test_logs_are_of_a_function_or_of_a_dispatch(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("logs", *arguments)
    assert ended.exit_code == 2
    assert "Specify a FUNCTION or --dispatch." in ended.stderr


def test_a_function_without_a_log_is_said(run: Run, stores: Any) -> None:
    ended = run("logs", "nothing")
    assert ended.exit_code == 7
    assert "There is no log group" in ended.stderr


def test_a_function_is_warmed(run: Run, stores: Any, name: str) -> None:
    assert json.loads(run("prewarm", name, "-n", "2", "--json").stdout) == [
        {"function": name, "started": 2}
    ]
    assert stores.functions.environments == 2


def test_environments_that_had_been_started_before_are_reported(
    run: Run, stores: Any, name: str
) -> None:
    assert "not new" not in run("prewarm", name, "-n", "2").stderr
    assert (
        "2 of 2 are not new: they had been started before" in run("prewarm", name, "-n", "2").stderr
    )


def test_a_function_that_does_not_exist_cannot_be_warmed(run: Run, stores: Any) -> None:
    ended = run("prewarm", "nothing", "-n", "1")
    assert ended.exit_code == 2
    assert "There is no function 'nothing'" in ended.stderr


def test_a_workflows_functions_are_warmed_once_they_are_there(
    run: Run, stores: Any, tmp_path: Path
) -> None:
    path = tmp_path / "flow.py"
    path.write_text("""
import covalent as ct

@ct.electron(executor="awslambda_container", deps_pip=["six"])
def work(x):
    return x

@ct.lattice(workflow_executor="local")
def workflow(x):
    return work(work(x))
""")
    ended = run("prewarm", str(path), "-n", "3")
    assert ended.exit_code == 2
    assert f"covalent-lambda prebuild {path}" in ended.stderr
    assert run("prebuild", str(path)).exit_code == 0
    (warmed,) = json.loads(run("prewarm", str(path), "-n", "3", "--json").stdout)
    assert warmed["started"] == 3
    assert stores.functions.states[warmed["function"]] == FunctionState(state=ACTIVE)


@pytest.mark.parametrize("command", [["prewarm", "-n", "3"], ["prebuild"]])
def test_every_error_of_a_workflow_names_the_commands_flags(
    run: Run, tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / "flow.py"
    path.write_text("""
import covalent as ct

def on(region):
    executor = ct.executor.AWSLambdaContainerExecutor()
    executor.region = region
    return executor

@ct.electron(executor=on("mars"))
def first(x):
    return x

@ct.electron(executor=on("venus"))
def second(x):
    return x

@ct.lattice(workflow_executor="local")
def workflow(x):
    return second(first(x))
""")
    ended = run(*command, str(path))
    assert ended.exit_code == 2
    assert ended.stdout == ""
    shown = [line for line in ended.stderr.splitlines() if "--region" in line]
    assert ["mars" in shown[0], "venus" in shown[1]] == [True, True]
    assert len(shown) == 2


def test_an_empty_account_is_said_to_be_empty(run: Run, stores: Any, name: str) -> None:
    stores.functions.delete(name)
    stores.registry.remove_images([image.digest for image in stores.registry.list_images()])
    assert run("list").stdout == "No images and no functions\n"
    assert json.loads(run("list", "--json").stdout) == {"images": [], "functions": []}
