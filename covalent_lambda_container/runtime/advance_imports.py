"""Imports what tasks have imported, in the process from which the next ones are forked."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any


def import_in_advance(modules: Iterable[str]) -> None:
    """Import modules that tasks have imported, in advance for the next ones."""
    if not modules:
        return
    environment, folder = dict(os.environ), os.getcwd()
    with _silence():
        for name in modules:
            if name.partition(".")[0] == __package__:
                # The task says what it imported; another handler would make templates of its own.
                continue
            # If a module cannot be imported here, the task will report it.
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Discard what is printed meanwhile, at its descriptors.

    The streams themselves stay: modules keep them, in logging handlers or as default arguments, and
    tasks print through these.
    """
    streams = sys.stdout, sys.stderr
    kept = {target: os.dup(target) for target in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        _flush(streams)
        for target in kept:
            os.dup2(nowhere, target)
        yield
    finally:
        sys.stdout, sys.stderr = streams
        _flush(streams)
        for target, descriptor in kept.items():
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.close(nowhere)


def _flush(streams: Iterable[Any]) -> None:
    for stream in streams:
        with contextlib.suppress(Exception):
            stream.flush()
