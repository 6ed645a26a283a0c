"""uv, run as for an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.uv_installer import UvInstaller
from covalent_lambda_container.packages.index_settings import IndexSettings

Install = Callable[..., Path]


@pytest.fixture
def uv_install(tmp_path: Path) -> Install:
    """Install requirements for Python 3.11 into ``tmp_path/target``, which is returned.

    What uv reads is in ``tmp_path/scratch``, its cache in ``tmp_path/cache``.
    """

    def install(
        requirements: str,
        settings: IndexSettings,
        options: Sequence[str] = (),
        **files: str,
    ) -> Path:
        target, scratch = tmp_path / "target", tmp_path / "scratch"
        scratch.mkdir()
        UvInstaller(tmp_path / "cache").install(
            {"requirements.txt": requirements, **files},
            target,
            scratch,
            settings=settings,
            python_version="3.11",
            architecture="x86_64",
            glibc="2.36",
            options=options,
        )
        return target

    return install
