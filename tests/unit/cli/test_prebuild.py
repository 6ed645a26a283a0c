"""``covalent-lambda prebuild``, with the flow of the executor and fakes for Docker and AWS."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.executor.prebuild import in_parallel
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.options.schema import Options
from tests.fakes import FakeFunctions, FakeImageBuilder, FakeRegistry
from tests.fakes.examples import function_spec

Run = Callable[..., Result]
Rows = Callable[..., dict[str, dict[str, Any]]]

FLOW = """
import covalent as ct
print("imported")
executor = ct.executor.AWSLambdaContainerExecutor(memory_size=1024)

@ct.electron(executor=executor, deps_pip=["humanize==4.11.0"])
def words(n):
    return n

@ct.electron(executor=executor, deps_pip=["inflection==0.5.1"])
def plural(word):
    return word

@ct.lattice(workflow_executor="local")
def workflow(n):
    return [words(n), words(n), plural("octopus")]
"""


LOOPS = """

@ct.lattice(workflow_executor="local")
def loops(n):
    return [plural(str(i)) for i in range(n)]
"""


class Account:
    """The account's contents, and a service on it for any options."""

    def __init__(self, folder: Path) -> None:
        self.registry = FakeRegistry()
        self.builder = FakeImageBuilder(self.registry)
        self.functions = FakeFunctions()
        self.provisioner = Provisioner(
            builder=self.builder,
            registry=self.registry,
            functions=self.functions,
            lock_directory=folder / "locks",
        )

    def service_for(self, options: Options) -> AccountService:
        return AccountService(self.provisioner, options)


class AccountService:
    def __init__(self, provisioner: Provisioner, options: Options) -> None:
        self.provisioner = provisioner
        self._options = options

    def function_spec(self, image: ImageReference) -> FunctionSpec:
        return function_spec(image=image, memory_mb=self._options.memory_size)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
def flow(tmp_path: Path) -> str:
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    return str(path)


@pytest.fixture
def prebuild(account: Account) -> Run:
    """Run ``prebuild`` on the account, which is its own wiring."""

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["prebuild", *arguments], obj=account)

    return invoke


@pytest.fixture
def rows(prebuild: Run) -> Rows:
    """Run ``prebuild``; return its result by the first requirement of each image."""

    def invoke(*arguments: str) -> dict[str, dict[str, Any]]:
        ended = prebuild(*arguments, "--json")
        assert ended.exit_code in (0, 3), ended.stderr
        return {row["requirements"][0]: row for row in json.loads(ended.stdout)}

    return invoke


def test_missing_images_and_functions_are_created_and_listed(
    prebuild: Run, rows: Rows, account: Account, flow: str
) -> None:
    ended = prebuild(flow, "--kwargs", '{"n": 1}')
    assert ended.exit_code == 0
    assert len(account.builder.pushes) == 2
    assert {spec.memory_mb for spec in account.functions.created} == {1024}
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["SPEC", "DIGEST", "FUNCTION", "STATE", "PACKAGES", "FOR"]
    assert len(lines) == 3
    made = rows(flow)
    assert made["humanize==4.11.0"]["for"] == [f"{flow}:workflow/words"]
    assert {row["function"] for row in made.values()} == set(account.functions.states)
    assert {row["spec"] for row in made.values()} == account.registry.tags


def test_a_reason_is_shown_once_with_the_commands_flags(
    prebuild: Run, account: Account, flow: str
) -> None:
    failure = ImageBuildError("No root.", hint="Check the option base_image.")
    account.builder.failures += [failure] * 2
    ended = prebuild(flow, "--jobs", "1")
    assert ended.exit_code == 4
    assert ended.stderr.count("No root.") == 1
    assert ended.stderr.count("failed for the same reason as") == 1
    assert "--base-image" in ended.stderr


def test_a_second_time_nothing_is_made(
    prebuild: Run, rows: Rows, account: Account, flow: str
) -> None:
    prebuild(flow)
    made = account.builder.builds.copy(), account.functions.created.copy()
    assert {row["state"] for row in rows(flow).values()} == {"there"}
    assert (account.builder.builds, account.functions.created) == made


def test_force_rebuild_rebuilds_an_existing_image(
    prebuild: Run, rows: Rows, account: Account, flow: str, tmp_path: Path
) -> None:
    prebuild(flow)
    forced = tmp_path / "forced.py"
    forced.write_text(FLOW.replace("memory_size=1024", "memory_size=1024, force_rebuild=True"))
    assert {row["state"] for row in rows(str(forced)).values()} == {"built"}
    assert len(account.builder.builds) == 4
    assert {row["digest"] for row in rows(flow).values()} == {
        account.registry.find(tag.removesuffix("-r1")).digest for tag in account.registry.tags
    }


def test_progress_is_a_line_for_each_step(prebuild: Run, account: Account, flow: str) -> None:
    printed = prebuild(flow, "-j", "1").stderr
    assert "imported\n" in printed
    for step in ("building", "pushing", "creating the function", "done ("):
        assert printed.count(f"(humanize==4.11.0): {step}") == 1


@pytest.mark.parametrize("flag", ["--plan", "--check"])
def test_a_plan_makes_nothing(rows: Rows, account: Account, flow: str, flag: str) -> None:
    planned = rows(flow, flag)
    assert {row["state"] for row in planned.values()} == {"image missing"}
    assert not account.builder.builds
    assert not account.functions.created
    assert not account.registry.repository_exists


def test_a_check_fails_as_long_as_something_is_missing(
    prebuild: Run, rows: Rows, account: Account, flow: str
) -> None:
    assert prebuild(flow, "--check", "--no-function").exit_code == 3
    prebuild(flow, "--no-function")
    assert not account.functions.created
    assert prebuild(flow, "--check", "--no-function").exit_code == 0
    assert prebuild(flow, "--check").exit_code == 3
    assert {row["state"] for row in rows(flow, "--plan").values()} == {"function missing"}
    assert {row["state"] for row in rows(flow).values()} == {"function created"}
    assert prebuild(flow, "--check").exit_code == 0


def test_a_requirements_file_is_a_set_of_its_own(
    rows: Rows, account: Account, tmp_path: Path
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("pandas==2.2.3\n")
    (row,) = rows("-r", str(file), "--python", "3.12", "--architecture", "arm64").values()
    assert row["for"] == [str(file)]
    assert (row["python_version"], row["architecture"]) == ("3.12", "arm64")
    assert row["requirements"] == ["pandas==2.2.3"]


def test_packages_are_shown_without_their_hashes(
    prebuild: Run, account: Account, tmp_path: Path
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"pandas==2.2.3 --hash=sha256:{'0a' * 32}\n")
    ended = prebuild("-r", str(file))
    assert ended.exit_code == 0
    assert "pandas==2.2.3" in ended.stdout
    assert "sha256:0a" not in ended.stdout + ended.stderr


def test_flags_go_before_the_workflows_executors(rows: Rows, account: Account, flow: str) -> None:
    usual = rows(flow, "--plan")
    other = rows(flow, "--plan", "--base-image", "registry.example.com/python", "--python", "3.12")
    assert {row["python_version"] for row in other.values()} == {"3.12"}
    assert {row["spec"] for row in usual.values()}.isdisjoint(row["spec"] for row in other.values())


def test_without_a_push_nothing_of_aws_is_touched(
    prebuild: Run, account: Account, flow: str
) -> None:
    ended = prebuild(flow, "--no-push")
    assert ended.exit_code == 0
    assert len(account.builder.builds) == 2
    assert all(name.startswith("covalent-lambda:") for name in account.builder.builds)
    assert not account.builder.pushes
    assert not account.registry.repository_exists
    assert "covalent-lambda:" in ended.stdout


def test_a_failure_does_not_keep_the_others_from_being_made(
    prebuild: Run, account: Account, flow: str
) -> None:
    account.builder.failures.append(ImageBuildError("Build failed: no such package."))
    ended = prebuild(flow)
    assert ended.exit_code == ImageBuildError.exit_code
    assert re.search(
        r"^Error: [0-9a-f]{12} \(.*\): Build failed: no such package.$", ended.stderr, re.M
    )
    assert sorted(line.split()[3] for line in ended.stdout.splitlines()[1:]) == ["built", "failed"]
    assert prebuild(flow).exit_code == 0


def test_a_lattice_that_needs_arguments_does_not_keep_the_others_from_being_made(
    prebuild: Run, account: Account, flow: str, tmp_path: Path
) -> None:
    both = tmp_path / "both.py"
    both.write_text(FLOW + LOOPS)
    for planned in (["--plan"], ["--check"], ["--no-push"], []):
        ended = prebuild(str(both), *planned)
        assert ended.exit_code == 2
        assert f"The graph of {both}:loops could not be built" in ended.stderr
        assert f"""{both}:loops --kwargs '{{"n": …}}'""" in ended.stderr
        assert "humanize==4.11.0" in ended.stdout
    assert len(account.builder.pushes) == 2
    assert prebuild(str(both), "--kwargs", 'loops={"n": 2}', "--check").exit_code == 0
    assert prebuild(str(both), "--args", "loops=[2]", "--check").exit_code == 0


def test_of_several_lattices_each_gets_its_own_arguments(rows: Rows, tmp_path: Path) -> None:
    both = tmp_path / "both.py"
    both.write_text(
        FLOW.replace("[words(n), words(n), ", "[words(i) for i in range(n)] + [") + LOOPS
    )
    named = ["--kwargs", 'workflow={"n": 0}', "--args", "loops=[1]"]
    assert list(rows(str(both), *named, "--plan")) == ["inflection==0.5.1"]


def test_a_failed_local_build_does_not_keep_the_others_from_being_built(
    prebuild: Run, account: Account, flow: str
) -> None:
    account.builder.failures.append(ImageBuildError("Build failed: no such package."))
    ended = prebuild(flow, "--no-push")
    assert ended.exit_code == ImageBuildError.exit_code
    assert "Build failed: no such package." in ended.stderr
    assert ended.stdout.count("covalent-lambda:") == 1


def test_an_error_that_all_tasks_have_is_said_once(
    prebuild: Run, flow: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("")
    gone = tmp_path / "gone.py"
    gone.write_text(FLOW.replace("memory_size=1024", f"local_packages=[{str(mine)!r}]"))
    with gone.open("a") as file:
        file.write(f"\nimport os\nos.remove({str(mine)!r})\n")
    ended = prebuild(str(gone))
    assert ended.exit_code == 2
    assert ended.stderr.count("Error: ") == 1
    assert str(mine) in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Specify a WORKFLOW.py"),
        (["nowhere.py"], "There is no workflow file 'nowhere.py'"),
        (["FLOW:other"], "its lattices are workflow"),
        (["FLOW", "--args", "[1"], "'[1' is not JSON"),
        (["FLOW", "--kwargs", "[1]"], "'[1]' is not an object"),
        (["FLOW", "--kwargs", "worklow={}"], "a lattice 'worklow'; the lattices are workflow"),
        (["FLOW", "--args", "[1]", "--args", "[2]"], "'[2]' is the second one"),
        (["FLOW", "--no-push", "--plan"], "--no-push builds"),
    ],
)
def test_unusable_arguments_are_reported(
    prebuild: Run, account: Account, flow: str, arguments: list[str], said: str
) -> None:
    ended = prebuild(*(argument.replace("FLOW", flow) for argument in arguments))
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert ended.stdout == ""


def test_no_more_run_at_once_than_asked_for() -> None:
    running: list[int] = []
    most: list[int] = []
    two_run = threading.Barrier(2, timeout=5)

    def work(item: int) -> int:
        running.append(item)
        most.append(len(running))
        two_run.wait()
        running.remove(item)
        return item * 2

    results = dict(in_parallel(work, [1, 2, 3, 4], at_once=2))
    assert results == {1: 2, 2: 4, 3: 6, 4: 8}
    assert max(most) == 2


def test_an_exception_is_returned_with_its_item() -> None:
    def work(item: int) -> Callable[[], None]:
        raise ValueError(item)

    ((item, raised),) = in_parallel(work, [1], at_once=3)
    assert item == 1
    assert isinstance(raised, ValueError)


@pytest.mark.parametrize("version", ["foo", "3", "2.7", "3.12.1"])
def test_an_invalid_python_version_is_refused(version: str) -> None:
    ended = CliRunner().invoke(cli, ["prebuild", "w.py", "--python", version])
    assert ended.exit_code == 2
    assert f"{version!r} is not a Python that functions can have" in ended.stderr


@pytest.mark.parametrize(
    ("given", "suggested"), [("--bucket", ""), ("--regio", "--region"), ("--push", "--no-push")]
)
def test_only_options_with_a_similar_name_are_suggested(given: str, suggested: str) -> None:
    ended = CliRunner().invoke(cli, ["prebuild", given, "x"])
    assert ended.exit_code == 2
    assert "--quiet" not in ended.stderr
    assert suggested in ended.stderr
