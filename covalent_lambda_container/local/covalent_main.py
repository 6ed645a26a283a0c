"""Covalent's server in this process: ``python -m covalent_lambda_container.local.covalent_main``.

``covalent start --no-cluster`` does the same two things, but leaves the server to a shell in the
background, on another port if its own is in use.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path


def main(port: str) -> None:
    """Bring the database up to date, then serve until a signal comes."""
    import covalent_ui  # type: ignore[import-untyped]
    from covalent_dispatcher._db.datastore import DataStore

    DataStore.factory().run_migrations(logging_enabled=False)
    # app.py is made to be run from its folder: it serves relative paths, and imports itself.
    folder = Path(covalent_ui.__file__).resolve().parent
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    # Absolute path: child processes that are not forked run it again under this name.
    app = str(folder / "app.py")
    sys.argv = [app, "--port", port, "--no-cluster"]
    runpy.run_path(app, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
