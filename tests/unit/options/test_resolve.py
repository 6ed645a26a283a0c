"""Options from Covalent's configuration and arguments."""

from __future__ import annotations

from covalent_lambda_container.options.resolve import resolve, stored


def test_attributes_of_another_executor_are_ignored() -> None:
    foreign = {"workdir": "/tmp/case", "cache_dir": "/elsewhere", "timeout": 7, "retries": 3}
    assert stored(foreign) == resolve({})
