"""The parts that commands work with: those of the executor, or a test's."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

import click

if TYPE_CHECKING:
    from covalent_lambda_container.adapters.aws.session import AwsClients
    from covalent_lambda_container.executor.image_spec import ContentsOf
    from covalent_lambda_container.executor.service import Service
    from covalent_lambda_container.executor.wiring import AccountStores, LocalBuildStores
    from covalent_lambda_container.options.schema import Options


class Wiring(Protocol):
    """The functions of `covalent_lambda_container.executor.wiring` that commands call."""

    def service_for(self, options: Options) -> Service: ...
    def account_stores_for(self, options: Options) -> AccountStores: ...
    def local_build_stores_for(self, options: Options) -> LocalBuildStores: ...
    def clients_of(self, options: Options) -> AwsClients: ...


def wiring() -> Wiring:
    """Return the wiring that the command line was started with; the executor's by default."""
    given = click.get_current_context().obj
    module = "covalent_lambda_container.executor.wiring"
    return cast("Wiring", given or importlib.import_module(module))


def contents_of(options: Options) -> ContentsOf:
    """Return a function that looks up what the executor's image of a tag contains."""
    return wiring().service_for(options).targets.contents_of
