"""``python -m tests.soak [--minutes N] [--seed N]``: exits with 1 if there were violations."""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="covalent-lambda-soak-") as folder:
        for name in ("CONFIG_DIR", "LOGDIR", "CACHE_DIR", "DATA_DIR", "EXECUTOR_DIR"):
            os.environ[f"COVALENT_{name}"] = f"{folder}/{name.lower()}"
        os.environ["COVALENT_DATABASE"] = f"{folder}/covalent.sqlite"
        from bench.stage import stage
        from bench.workers.bare import client
        from tests.soak.soak import Soak

        print(f"seed {arguments.seed}", flush=True)
        with stage(functools.partial(print, flush=True)) as place:
            options = place.options | {"cache_dir": str(Path(folder) / "cache")}
            owner = functools.partial(client, options | {"profile": place.stack.owner_profile})
            report = Soak(place.stack, options, owner, arguments.seed).run(arguments.minutes)
    print(report.text(), flush=True)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
