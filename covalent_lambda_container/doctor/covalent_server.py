"""Checks of Covalent: its server, its configuration, and versions that must be compatible."""

from __future__ import annotations

import platform
import urllib.error
import urllib.request
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement

from covalent_lambda_container.doctor.examination import Check
from covalent_lambda_container.errors import ConfigurationError, VersionMismatch
from covalent_lambda_container.model.names import SECTION, SHORT_NAME
from covalent_lambda_container.options.configuration import (
    configuration_file,
    read_section,
    unknown_names,
)

_DISTRIBUTION: Final = "covalent-lambda-container"
_GROUP: Final = "covalent.executor.executor_plugins"
_SHOWN: Final = ("covalent", _DISTRIBUTION, "cloudpickle")


class CovalentServer:
    """The server that clients of this configuration dispatch to.

    Parameters
    ----------
    timeout_s
        Longest time to wait for the server.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def checks(self) -> list[Check]:
        """Return the checks of Covalent."""
        return [
            Check("Covalent server", self.server),
            Check("configuration", self.configuration),
            Check("versions", self.versions),
        ]

    def server(self) -> str:
        """Check that the server answers."""
        # Imported here: it takes longer than all the rest, and checks run side by side.
        from covalent._shared_files.config import get_config

        address = f"http://{get_config('dispatcher.address')}:{get_config('dispatcher.port')}"
        try:
            with urllib.request.urlopen(address, timeout=self._timeout_s):
                return f"answers at {address}"
        except (urllib.error.URLError, OSError) as exc:
            raise ConfigurationError(
                f"no Covalent server answers at {address}: {exc}",
                hint="Start it with 'covalent start', or set dispatcher.address and "
                "dispatcher.port in Covalent's configuration.",
            ) from exc

    def configuration(self) -> str:
        """Check that all names in the executor's section are options."""
        path = configuration_file()
        unknown = unknown_names(read_section())
        if unknown:
            listed = "; ".join(
                f"{name}: {suggestion}" if suggestion else name
                for name, suggestion in unknown.items()
            )
            raise ConfigurationError(
                f"{path}, section [{SECTION}], has names that are not options: {listed}",
                hint=f"Remove them: covalent-lambda config unset {' '.join(unknown)}",
            )
        return f"{path}: every name is an option"

    def versions(self) -> str:
        """Check that the installed versions are compatible, and that Covalent finds the plugin."""
        for text in metadata.requires(_DISTRIBUTION) or ():
            wanted = Requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            installed = _version(wanted.name)
            if installed is None or not wanted.specifier.contains(installed, prereleases=True):
                raise VersionMismatch(
                    f"{wanted.name} {installed or 'is missing'}: {_DISTRIBUTION} needs {wanted}",
                    hint=f"pip install '{wanted}'",
                )
        plugins = {point.name for point in metadata.entry_points(group=_GROUP)}
        if SHORT_NAME not in plugins:
            raise ConfigurationError(
                f"Covalent does not find the plugin {SHORT_NAME}",
                hint=f"pip install --force-reinstall --no-deps {_DISTRIBUTION}",
            )
        found = ", ".join(f"{name} {_version(name)}" for name in _SHOWN)
        return f"{found}, Python {platform.python_version()}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
