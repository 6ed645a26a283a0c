"""Provenance: a pickle's packages are recorded while it is written."""

from __future__ import annotations

import collections
import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import packaging.version
import pytest

from covalent_lambda_container.runtime import provenance
from covalent_lambda_container.runtime.provenance import MODULES_FILE, dump

MODULES = {
    "packaging": ["packaging==26.0"],
    "hypothesis": ["hypothesis==6.170"],
    "google": ["google-a==1", "google-b==2"],
}


@pytest.fixture(autouse=True)
def _image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / MODULES_FILE).write_text(json.dumps(MODULES))
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    provenance.installed_modules.cache_clear()
    yield
    provenance.installed_modules.cache_clear()


def requires(value: Any) -> list[str]:
    file = io.BytesIO()
    required = dump(value, file)
    assert file.getvalue() == cloudpickle.dumps(value)
    pickle.loads(file.getvalue())
    return required


@pytest.mark.parametrize(
    "value", [None, 1, "packaging", [{"packaging": b"x"}], collections.Counter]
)
def test_plain_values_require_nothing(value: Any) -> None:
    assert requires(value) == []


@pytest.mark.parametrize(
    "value",
    [
        packaging.version.Version("1.0"),
        packaging.version.Version,
        packaging.version.parse,
        packaging.version,
        {"nested": [packaging.version.Version("1.0")]},
        lambda: packaging.version.Version("1.0"),
        type("Own", (packaging.version.Version,), {}),
    ],
)
def test_whatever_comes_from_a_package_requires_it(value: Any) -> None:
    assert requires(value) == ["packaging==26.0"]


def test_a_module_of_several_distributions_requires_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def function() -> None: ...

    function.__module__ = "google.cloud"
    assert dump(function, io.BytesIO()) == ["google-a==1", "google-b==2"]


def test_without_a_list_of_modules_nothing_is_required(tmp_path: Path) -> None:
    (tmp_path / MODULES_FILE).unlink()
    assert requires(packaging.version.Version("1.0")) == []
