"""Values pickled by a client record which of its packages they need."""

from __future__ import annotations

import base64
from importlib import metadata
from pathlib import Path
from typing import Any

import packaging.version
import pytest
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api import client_values
from covalent_lambda_container.covalent_api.client_values import note_packages, requirements_of
from covalent_lambda_container.covalent_api.transport import Origin, origins_of, transportable

PACKAGING = f"packaging=={metadata.version('packaging')}"


def test_a_value_needs_the_package_of_its_class() -> None:
    value = TransportableObject.make_transportable([packaging.version.Version("1.0")])
    assert value.header["requires"] == [PACKAGING]
    assert value.get_deserialized() == [packaging.version.Version("1.0")]
    assert origins_of([value]) == {Origin(requirements=(PACKAGING,), image="")}


def test_so_does_a_function_that_refers_to_it() -> None:
    assert requirements_of(lambda: packaging.version.Version("1.0")) == [PACKAGING]


@pytest.mark.parametrize("value", [3, "text", [1, {"a": (2.0, None)}], Path("/x"), len, Exception])
def test_plain_python_needs_nothing(value: Any) -> None:
    assert "requires" not in TransportableObject.make_transportable(value).header


def test_packages_of_every_image_are_not_named() -> None:
    import covalent as ct

    executor = ct.executor.AWSLambdaContainerExecutor(memory_size=256)
    assert requirements_of([ct.electron, executor]) == []


def test_packages_that_only_this_machine_has_are_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, origin in (("mine", "file:///home/me/mine"), ("theirs", "https://example.com/git")):
        (tmp_path / f"{name}.py").write_text("class Thing: pass\n")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        revision = '{"vcs": "git", "commit_id": "0a1b"}'
        (info / "direct_url.json").write_text(f'{{"url": "{origin}", "vcs_info": {revision}}}')
    client_values._owners.cache_clear()
    import mine  # type: ignore[import-not-found]
    import theirs  # type: ignore[import-not-found]

    try:
        assert requirements_of(mine.Thing()) == []
        assert requirements_of(theirs.Thing()) == ["theirs @ git+https://example.com/git@0a1b"]
    finally:
        client_values._owners.cache_clear()


def test_transportable_objects_are_not_changed() -> None:
    value = TransportableObject(packaging.version.Version("1.0"))
    assert TransportableObject.make_transportable(value) is value
    assert "requires" not in value.header


def test_a_value_that_cannot_be_looked_through_is_sent_without() -> None:
    class Odd:
        asked = 0

        def __reduce__(self) -> Any:
            Odd.asked += 1
            if Odd.asked > 1:
                raise TypeError("once only")
            return int, (3,)

    class Kind:
        def __init__(self, value: Any) -> None:
            self.pickled, self.header = value.__reduce__(), dict[str, Any]()

        @staticmethod
        def make_transportable(value: Any) -> Kind:
            return Kind(value)

    note_packages(Kind)
    assert Kind.make_transportable(Odd()).header == {}


def test_a_value_whose_package_is_not_here_says_which_one_it_needs() -> None:
    # As a module that does not exist is referred to.
    pickled = base64.b64encode(b"cno_such_module\nThing\n.").decode()
    header = {"requires": ["no-such==1.0", "other @ git+https://example.com/a@0a1b"]}
    with pytest.raises(ModuleNotFoundError) as caught:
        transportable(header, "", pickled).get_deserialized()
    assert caught.value.name == "no_such_module"
    said = str(caught.value)
    assert said.startswith("No module named 'no_such_module'. To open this value, install")
    assert "pip install no-such==1.0 'other @ git+https://example.com/a@0a1b'" in said


def test_a_value_that_names_no_package_fails_as_before() -> None:
    pickled = base64.b64encode(b"cno_such_module\nThing\n.").decode()
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module'$"):
        transportable({}, "", pickled).get_deserialized()
