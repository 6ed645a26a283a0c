"""The values of options, from where users put them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from covalent_lambda_container.model.names import SECTION
from covalent_lambda_container.options.configuration import unknown_names
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.options.working_folder import working_folder

log = logging.getLogger(__name__)

_NAMES: Final = tuple(Options.model_fields)

_OWN_NAME: Final = "lambda_role_name"
"""Every release of this executor stored it, and no other executor has it."""

_warned: set[str] = set()


def resolve(given: Mapping[str, Any]) -> Options:
    """Return all options: each as given, else from Covalent's configuration, else its default.

    Files that `requirements` names are read now.

    Parameters
    ----------
    given
        Values by the options' names; None, like a name that is missing, means "not given".

    Raises
    ------
    ConfigurationError, RequirementError
        For values that cannot be used: the message names option, value and range.
    """
    # Here and not above: Covalent imports the executor while it is itself half imported.
    from covalent._shared_files.config import get_config

    try:
        configured = get_config(SECTION)
    except KeyError:
        configured = {}
    _warn_of_unknown(configured)
    ours = {name: configured.get(name) for name in Options.model_fields}
    # Covalent writes all defaults into the section: one that is empty says nothing.
    ours["credentials_file"] = ours["credentials_file"] or configured.get("credentials")
    written = {
        name: value
        for source in (ours, given)
        for name, value in source.items()
        if value is not None
    }
    # Users make executors, and run the command line, where the files are that they name.
    return Options.check(written, folder=working_folder(written))


def _warn_of_unknown(configured: Mapping[str, Any]) -> None:
    """Warn once of names in the configuration that are no option.

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

    One that an older release stored has no value for newer options. Every task has an executor of
    its own, and thousands may have the same options: these are checked once, and are one object.

    A sublattice that names this executor below a lattice with another one gets that one's
    attributes: they are ignored, and the options are those of the configuration.
    """
    if _OWN_NAME not in attributes:
        return resolve({})
    return _checked(json.dumps([attributes.get(name) for name in _NAMES]))


@lru_cache(maxsize=256)
def _checked(values_json: str) -> Options:
    values = zip(_NAMES, json.loads(values_json), strict=True)
    return Options.check({name: value for name, value in values if value is not None})
