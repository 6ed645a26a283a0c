"""``covalent-lambda gc --local``: remnants of builds on this machine."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.formats import age, megabytes
from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.wiring import wiring
from covalent_lambda_container.errors import ImageBuildError

if TYPE_CHECKING:
    from covalent_lambda_container.executor.wiring import LocalBuildStores
    from covalent_lambda_container.images.pruning import Leftover

_COLUMNS: Final = ("kind", "name", "size", "last use")


def gc_local(
    given: dict[str, Any], output: Output, *, dry_run: bool, keep: timedelta, yes: bool
) -> None:
    """Remove remnants of builds that have not been used for a while, after a confirmation."""
    from covalent_lambda_container.images.pruning import remove
    from covalent_lambda_container.options.resolve import resolve

    stores = wiring().local_build_stores_for(resolve(given))
    now = datetime.now(timezone.utc)
    what = _find(stores, output, now, keep)
    if not dry_run and what:
        if not yes:
            _show(what, now, output.aside)
            click.confirm("Remove these?", abort=True, err=True)
        what = remove(
            what,
            stores.cache,
            stores.engine,
            # They may have been used in the meantime.
            lambda: _find(stores, output, now, keep),
            output.note,
        )
    _show(what, now, output, removed=not dry_run)


def _find(
    stores: LocalBuildStores, output: Output, now: datetime, keep: timedelta
) -> list[Leftover]:
    from covalent_lambda_container.images.pruning import old_files, old_images

    try:
        images = stores.engine.list_images()
    except ImageBuildError as exc:
        output.note(f"Images were skipped. {exc.message}")
        images = []
    return [
        *old_images(images, now=now, keep=keep),
        *old_files(stores.cache, now=now, keep=keep),
    ]


def _show(
    what: list[Leftover], now: datetime, output: Output, *, removed: bool | None = None
) -> None:
    size = sum(each.size_bytes for each in what)
    document = {
        "removed": removed,
        "size_bytes": size,
        "leftovers": [
            {
                "kind": each.kind,
                "names": list(each.names),
                "size_bytes": each.size_bytes,
                "last_used": each.used.isoformat(),
            }
            for each in what
        ],
    }
    rows = [
        [each.kind, name, megabytes(each.size_bytes), age(each.used, now)]
        for each in what
        for name in each.names[:1]
    ]
    if rows:
        total = ["all", f"{len(what)}", megabytes(size), ""]
        output.table(document, _COLUMNS, [*rows, total])
    else:
        output.result(document, "nothing to remove")
