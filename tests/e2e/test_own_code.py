"""The user's own code: copied into the image, or missing there."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_an_edit_of_ones_own_code_is_a_layer_and_no_installation(dispatcher: Any, tmp_path: Path):
    package = tmp_path / "ownpkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / ".dockerignore").write_text("*.csv\n")
    (package / "data.csv").write_text("1,2\n")
    (package / "shapes.py").write_text(SHAPES)
    (tmp_path / "alone.py").write_text("def label(value):\n    return f'area {value}'\n")

    def dispatch() -> Any:
        outcome = dispatcher.outcome("local_code.py", str(tmp_path))
        assert outcome["status"] == "COMPLETED", outcome["nodes"]
        return outcome["result"]

    files = ["__init__.py", "__pycache__", "shapes.py"]
    assert dispatch() == ["area 9", files]
    built, installed = dispatcher.steps("image.build"), dispatcher.steps("image.install")
    (package / "shapes.py").write_text(SHAPES.replace("**", "*"))
    assert dispatch() == ["area 6", files]
    assert dispatcher.steps("image.install") == installed
    # The one for the electrons; the workflow's result needs none.
    edited = dispatcher.steps("image.build")[len(built) :]
    assert len(edited) == 1
    assert all(step["seconds"] < 5 for step in edited), edited


SHAPES = """
class Square:
    def __init__(self, side):
        self.side = side

def area(square):
    return square.side ** 2
"""


def test_a_missing_module_is_reported_with_the_way_to_get_it(dispatcher: Any):
    nodes = dispatcher.outcome("missing.py")["nodes"]
    errors = {name: nodes[name]["error"] for name in ("distribution", "own", "unknown")}
    assert "require it with ct.DepsPip(['psutil==" in errors["distribution"]
    assert "local_packages=['covalent_lambda_container']" in errors["own"]
    assert "ct.DepsModule('covalent_lambda_container')" in errors["own"]
    for way in ("ct.DepsPip", "local_packages", "ct.DepsModule"):
        assert way in errors["unknown"]
