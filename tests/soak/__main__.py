"""``python -m tests.soak [--minutes N] [--seed N]``: exits with 1 if anything was violated."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import platform
import random
import sys
import tempfile
from pathlib import Path

_CACHE_MB = 2000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="covalent-lambda-soak-") as name:
        folder = Path(name)
        for variable in ("CONFIG_DIR", "LOGDIR", "CACHE_DIR", "DATA_DIR", "EXECUTOR_DIR"):
            os.environ[f"COVALENT_{variable}"] = str(folder / variable.lower())
        os.environ["COVALENT_DATABASE"] = str(folder / "covalent.sqlite")
        return _run(folder, arguments.seed, arguments.minutes)


def _run(folder: Path, seed: int, minutes: float) -> int:
    import docker

    from covalent_lambda_container.local.engine import docker_engine
    from covalent_lambda_container.local.root_image import ensure_root_image
    from tests.soak.small_disk import small_disk
    from tests.soak.soak import Soak
    from tests.soak.system import LosableStack

    say = functools.partial(print, flush=True)
    version = ".".join(platform.python_version_tuple()[:2])
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(docker_engine(say))
        with contextlib.closing(docker.from_env()) as client:
            root_image = ensure_root_image(client, version, say)
        cache = folder / "cache"
        if not cleanup.enter_context(small_disk(cache, _CACHE_MB)):
            say("cache_dir is not filled: it takes root to mount a small file system")
        losable = LosableStack(folder / "stack")
        cleanup.callback(losable.close)
        options = losable.stack.executor_options(root_image) | {"cache_dir": str(cache)}
        report = Soak(losable, options, seed).run(minutes)
    say(report.text())
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
