"""Resolves the values of options from arguments, configuration and defaults."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from covalent_lambda_container.model.names import SECTION
from covalent_lambda_container.options.configuration import unknown_names
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.options.working_folder import working_folder

log = logging.getLogger(__name__)

_NAMES: Final = tuple(Options.model_fields)

_TEXTS: Final = {name for name, declared in OPTIONS.items() if declared.type is str}

_OWN_NAME: Final = "lambda_role_name"
"""Every release of this executor stored it, and no other executor has it."""

_warned: set[str] = set()


def resolve(given: Mapping[str, Any]) -> Options:
    """Return all options: as given, or else from Covalent's configuration, or else defaults.

    Files that `requirements` names are read now.

    Parameters
    ----------
    given
        Values by option name, as `specified` reads them.

    Raises
    ------
    ConfigurationError, RequirementError
        A value is invalid; the message names option, value and range.
    """
    # Here and not above: Covalent imports the executor while it is itself half imported.
    from covalent._shared_files.config import get_config

    try:
        configured = get_config(SECTION)
    except KeyError:
        configured = {}
    _warn_of_unknown(configured)
    ours = {name: configured.get(name) for name in Options.model_fields}
    ours["credentials_file"] = ours["credentials_file"] or configured.get("credentials")
    written = specified(ours) | specified(given)
    # Users create executors, and run the command line, where the named files are.
    return Options.check(written, folder=working_folder(written))


def specified(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have a value; None means "not given", and so does ``""`` for text.

    Covalent writes all defaults into its configuration, which has no null.
    """
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (value == "" and name in _TEXTS)
    }


def overridden(options: Options, given: Mapping[str, Any]) -> Options:
    """Return options with others in their place, as far as these are given.

    Parameters
    ----------
    given
        Values by option name, as `specified` reads them.

    Raises
    ------
    ConfigurationError, RequirementError
        A value is invalid.
    """
    return Options.check(options.model_dump() | specified(given))


def _warn_of_unknown(configured: Mapping[str, Any]) -> None:
    """Warn once about names in the configuration that are not options.

    They are not refused: Covalent writes all defaults of a plugin into its configuration, and a
    release that no longer has an option would fail everywhere.
    """
    for name, suggestion in unknown_names(configured).items():
        if name not in _warned:
            _warned.add(name)
            log.warning(
                "Covalent's configuration, section [%s]: there is no option %s. %s",
                SECTION,
                name,
                suggestion or "'covalent-lambda config unset' removes it.",
            )


def stored(attributes: Mapping[str, Any]) -> Options:
    """Return the options of an executor that Covalent stored.

    Executors stored by an older release lack newer options. Every task has its own executor, and
    thousands may have the same options: these are checked once, and share one object. A sublattice
    that names this executor below a lattice with a different one gets the latter's attributes: they
    are ignored, and the options come from the configuration.
    """
    if _OWN_NAME not in attributes:
        return resolve({})
    return _checked(json.dumps([attributes.get(name) for name in _NAMES]))


@lru_cache(maxsize=256)
def _checked(values_json: str) -> Options:
    values = zip(_NAMES, json.loads(values_json), strict=True)
    return Options.check({name: value for name, value in values if value is not None})
