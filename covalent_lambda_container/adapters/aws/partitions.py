"""Domains of AWS's partitions, as botocore knows them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def is_aws(session: Any, url: str) -> bool:
    """Return whether a URL is AWS's own, in any partition.

    Parameters
    ----------
    session
        A botocore session.
    url
        The URL.
    """
    domains = tuple(
        f".{partition['outputs'][name]}"
        for partition in _partitions(session)
        for name in ("dnsSuffix", "dualStackDnsSuffix")
    )
    return (urlsplit(url).hostname or "").endswith(domains)


def domain_of(session: Any, partition: str) -> str:
    """Return a partition's domain, ``"amazonaws.com"``.

    Parameters
    ----------
    session
        A botocore session.
    partition
        The partition's name, ``"aws"``.
    """
    (domain,) = (
        str(known["outputs"]["dnsSuffix"])
        for known in _partitions(session)
        if known["id"] == partition
    )
    return domain


def _partitions(session: Any) -> Any:
    return session.get_data("partitions")["partitions"]
