"""Forms that pip reads in requirements files beside PEP 508: encodings, lines, nameless URLs."""

from __future__ import annotations

import codecs
import logging
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from covalent_lambda_container.packages.urls import without_credentials

log = logging.getLogger(__name__)

BY_URL: Final = "names a file by its URL, whose content may be another one tomorrow"
"""Why such a file is not read: equal requirements have equal images."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; those of UTF-32 come first, since they begin with those of UTF-16."""
_DECLARED: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_MARKER: Final = re.compile(r"\s*;\s+|\s+;")
"""Separator of a marker from a URL, which may contain semicolons."""
_BARE_URL: Final = re.compile(r"(?:git\+)?[a-z+]+://\S+")


def decoded(content: bytes) -> str:
    """Return the text of a requirements file, decoded as pip does it.

    A byte order mark decides, then ``# -*- coding: … -*-`` in the first two lines, then UTF-8.

    Raises
    ------
    ValueError
        The content is not in that encoding.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    for line in content.splitlines()[:2]:
        if match := _DECLARED.match(line):
            try:
                return content.decode(match[1].decode("ascii"))
            except LookupError:
                raise ValueError(f"there is no encoding {match[1].decode()!r}") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"it is not UTF-8 ({exc.reason} at byte {exc.start}), and its first two lines declare "
            "no other encoding, such as '# -*- coding: latin-1 -*-'"
        ) from None


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines as pip reads them, without comments, with their first line number."""
    pending = ""
    first_line = 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if not pending:
            first_line = number
        if line.endswith("\\") and not _COMMENT.search(line):
            pending += line[:-1]
            continue
        whole = _COMMENT.sub("", pending + line).strip()
        pending = ""
        if whole:
            yield first_line, whole


def with_variables(line: str, environment: Mapping[str, str] | None) -> str:
    """Return a line in which each ``${NAME}`` is replaced by an environment variable.

    Parameters
    ----------
    environment
        Variables; None if those of the machine where the line was written are unknown.

    Raises
    ------
    ValueError
        A variable is not set, or unknown.
    """

    def value(match: re.Match[str]) -> str:
        if environment is None:
            raise ValueError(
                f"names the environment variable {match[0]}, which the dispatcher does not read"
            )
        # pip treats an empty variable as unset.
        if not environment.get(match[1]):
            raise ValueError(f"names the environment variable {match[0]}, which is not set")
        return environment[match[1]]

    return _VARIABLE.sub(value, line)


def with_name(requirement: str) -> str:
    """Return a requirement with its name; a URL without one gets that of its archive.

    Parameters
    ----------
    requirement
        A line's requirement, possibly with a marker: ``"git+https://…#egg=NAME ; marker"``.
        Requirements other than bare URLs are returned unchanged.

    Raises
    ------
    ValueError
        When the URL does not contain the name.
    """
    url, *marker = _MARKER.split(requirement, maxsplit=1)
    if not _BARE_URL.fullmatch(url):
        return requirement
    address, _, fragment = url.partition("#")
    parts = dict(parse_qsl(fragment, keep_blank_values=True))
    name = parts.pop("egg", "") or _name_of(address, parts)
    if not name:
        raise ValueError(
            "is a URL without the package's name: write 'NAME @ URL', or add '#egg=NAME'"
        )
    kept = "&".join(f"{key}={value}" for key, value in parts.items())
    named = f"{name} @ {address}{f'#{kept}' if kept else ''}"
    return " ; ".join([named, *marker])


def without_empty_marker(requirement: str) -> str:
    """Return a requirement without a semicolon that nothing follows, as pip reads it."""
    return requirement if "://" in requirement else requirement.rstrip().removesuffix(";").rstrip()


def editable_as_package(url: str) -> str:
    """Return the requirement of ``-e URL``: images have no editable installs.

    Raises
    ------
    ValueError
        When the URL does not contain the name.
    """
    requirement = with_name(url)
    log.info("%s is installed as a regular package: images have no editable installs.", requirement)
    return requirement


def how_to_download(url: str) -> str:
    """Return what to do about a file that is named by its URL, without credentials in it."""
    shown = without_credentials(url)
    # Not urlsplit, which refuses some texts: this one is only shown.
    path = re.split(r"[?#]", shown.partition("://")[2])[0].partition("/")[2]
    file = PurePosixPath(path).name or "requirements.txt"
    return (
        f"Download it, and name what you have: curl -fL -o {shlex.quote(file)} {shlex.quote(shown)}"
    )


def _name_of(address: str, parts: dict[str, str]) -> str:
    """Return the name that an archive or a repository has, or ``""``."""
    path = urlsplit(address.removeprefix("git+")).path
    if address.startswith("git+"):
        repository = path.partition("@")[0].rstrip("/").rpartition("/")[2].removesuffix(".git")
        # A package in a subfolder of a repository has a different name.
        return "" if "subdirectory" in parts else repository
    file = path.rpartition("/")[2]
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[0]
        return parse_sdist_filename(file)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""
