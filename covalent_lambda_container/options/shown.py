"""An executor's options in few words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import Repr
from typing import Any, Final

from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.urls import without_credentials

_INHERITED: Final = {"retries": 0, "time_limit": -1, "log_stdout": "", "log_stderr": ""}
"""Options of every Covalent executor, with their defaults."""

_NAMES_ONLY: Final = ("environment",)
"""Options whose values may be secret."""

_SHORT: Final = Repr()
_SHORT.maxstring = 80
_SHORT.maxlist = _SHORT.maxdict = 4


def shown_options(attributes: Mapping[str, Any]) -> str:
    """Return the options that differ from their defaults, as arguments: ``"memory_size=1024"``.

    Long values are shortened. Of environment variables, only the names are shown.
    """
    defaults = Options.defaults() | _INHERITED
    return ", ".join(
        f"{name}={_shown(name, attributes[name])}"
        for name, default in defaults.items()
        if name in attributes and attributes[name] != default
    )


def _shown(name: str, value: Any) -> str:
    if name in _NAMES_ONLY and isinstance(value, Mapping):
        return "{{{}}}".format(", ".join(f"{_SHORT.repr(str(one))}: …" for one in value))
    return _SHORT.repr(_harmless(value))


def _harmless(value: Any) -> Any:
    """Return a value without the credentials of its URLs."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, list):
        return [_harmless(one) for one in value]
    return value
