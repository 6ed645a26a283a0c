"""The step log: one line for each step that succeeded."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from covalent_lambda_container import step_log


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "steps.jsonl"
    monkeypatch.setenv(step_log.VARIABLE, str(path))
    return path


def test_a_step_is_recorded_with_its_time_and_its_facts(file: Path) -> None:
    with step_log.step("image.build", "image:tag") as facts:
        facts["cached"] = True
    (record,) = step_log.read(file)
    assert record.items() >= {"step": "image.build", "subject": "image:tag", "cached": True}.items()
    assert 0 <= record["seconds"] < 5
    assert record["time"] > 1_700_000_000


def test_a_step_that_failed_is_not_recorded(file: Path) -> None:
    with pytest.raises(ValueError, match="no"), step_log.step("image.build", "image:tag"):
        raise ValueError("no")
    assert step_log.read(file) == []


def test_a_step_is_logged_where_no_file_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, step_log.__name__), step_log.step("image.push", "image:tag"):
        pass
    assert caplog.messages[0].startswith("image.push image:tag: 0.0")


def test_a_file_that_cannot_be_written_to_fails_no_step(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.mkdir()
    with step_log.step("task.invoke", "dispatch:7"):
        pass
    assert f"{step_log.VARIABLE}={file} cannot be written to" in caplog.text


def test_threads_do_not_tear_each_others_lines(file: Path) -> None:
    def record(number: int) -> None:
        with step_log.step("task.invoke", str(number)) as facts:
            facts["text"] = "x" * 1000

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, range(200)))
    assert {line["subject"] for line in step_log.read(file)} == set(map(str, range(200)))
