"""A plain Dockerfile's list of packages equals that of a build on the dispatcher's machine."""

from __future__ import annotations

import json
from pathlib import Path

from covalent_lambda_container.images.distributions import (
    distributions_in,
    lock_text,
    modules_text,
)
from covalent_lambda_container.images.in_container import list_packages
from covalent_lambda_container.images.package_layers import LOCK_FILE
from covalent_lambda_container.runtime.provenance import MODULES_FILE
from tests.fakes.engine import wheel, write


def test_packages_are_listed_as_by_a_build(tmp_path: Path) -> None:
    for name, version in (("One.Package", "1.0+cpu"), ("cloudpickle", "3.1.0"), ("two", "2")):
        module = name.lower().replace(".", "_")
        write(tmp_path, wheel(name, version, {f"{module}/__init__.py": "", "bin/x": "#!/bin/sh"}))
    found = distributions_in(tmp_path)
    list_packages.main(str(tmp_path))
    assert (tmp_path / LOCK_FILE).read_text() == lock_text(found)
    assert json.loads((tmp_path / MODULES_FILE).read_text()) == json.loads(modules_text(found))
