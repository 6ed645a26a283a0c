"""Explains failed installations from the output of uv and pip, reason first.

Both installers explain at length how they came to a conclusion. Users need the conclusion, the
advice that follows from it, and then the installer's own words, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict

HEADING: Final = "The packages could not be installed"

_MAX_LINES: Final = 14
_MAX_LINE: Final = 400
"""Characters."""
_LISTED: Final = 3
"""Versions shown of a long list."""

_NAME: Final = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*?)"
_EXTRAS: Final = r"(?:\[[^\]]*\])?"
_NOT_FOUND: Final = re.compile(rf"(?:Because |\n\s*|and ){_NAME}{_EXTRAS} was not found in the ")
_NO_VERSION: Final = re.compile(
    rf"there (?:is|are) no versions? of {_NAME}{_EXTRAS}(?P<version>[=<>!~]\S*)"
)
_ONLY: Final = re.compile(
    rf"[Bb]ecause only (?:the following versions of )?{_NAME}{_EXTRAS}(?:[=<>!~]\S*)? (?:is|are) "
    r"available[\s\S]*?you require (?P<wanted>[^\s,]+)"
)
_PYTHON: Final = re.compile(
    r"the requested Python version \([^)]*\) does not satisfy Python(?P<needed>\S+) and "
    r"(?P<package>[^\s,]+)"
)
_NO_WHEEL: Final = re.compile(r"Wheels are required for `(?P<name>[^`]+)`")
_CONFLICT: Final = re.compile(r"incompatible|unsatisfiable|conflicting dependencies")
_REFUSED: Final = re.compile(
    r"(?:An index URL|An index) \((?P<index>[^)\s]+)\)[^\n]*?(?P<status>40[13] [A-Z]\w+)"
)
_WRONG_HASH: Final = re.compile(r"Hash mismatch for `(?P<what>[^`]+)`")
_NO_SPACE: Final = re.compile(r"No space left on device|Disk quota exceeded")
_CAUSE: Final = re.compile(r"^\s*cause: (.+)", re.MULTILINE)
_PIP_NOT_FOUND: Final = re.compile(r"No matching distribution found for (?P<wanted>\S+)")
_NOT_BUILT: Final = re.compile(
    r"(?:Failed building wheel for|Failed to build|Could not build wheels for)"
    rf"\s*['`\"]?{_NAME}(?:==\S+)?(?:['`\",\s]|$)"
)
_COMPILER: Final = re.compile(
    r"(?:command|execute) '(?P<program>[^']*(?:cc|\+\+|clang|gfortran|cmake|rustc|cargo))'"
    r"|No such file or directory: '(?P<missing>gcc|g\+\+|cc|c\+\+|clang|gfortran|cmake|cargo)'"
    r"|No CMAKE_C\w* could be found|Unknown compiler|CMAKE_C\w*_COMPILER|Python\.h: No such file"
    r"|can't find Rust compiler|(?:gcc|cc|g\+\+): not found"
)


def names_to_build(said: str) -> tuple[str, ...]:
    """Return the packages without usable wheels that uv names."""
    return tuple(sorted({match["name"] for match in _NO_WHEEL.finditer(said)}))


def unsatisfiable(said: str, newest: Callable[[str], str]) -> ImageBuildError:
    """Return the error for requirements that uv cannot satisfy.

    Parameters
    ----------
    said
        uv's output, without passwords.
    newest
        Returns the newest version of a package, or ``""`` if it is not known.

    Returns
    -------
    ImageBuildError
        A `RequirementsConflict` if other versions might be compatible.
    """
    known = _obstacle(said)
    if known is None and (match := _NOT_FOUND.search(said)):
        known = f"there is no package {match['name']} on the index (is it misspelt?)", None
    kind = ImageBuildError if known else RequirementsConflict
    reason, hint = known or _reason(said, newest)
    return kind(f"{HEADING}: {reason}.\n{shortened(said)}", hint=hint)


def not_reached(said: str) -> ImageBuildError:
    """Return the error for an installation that uv aborted, from its output."""
    error = re.search(r"^error: (.+)", said, re.MULTILINE)
    causes = _CAUSE.findall(said)
    reason = error[1].rstrip(".:") if error else "uv failed"
    if causes:
        # The first line says what happened, the last one why.
        reason += f": {causes[-1].rstrip('.:')}"
    reason, hint = _obstacle(said) or (
        reason,
        "Check that the package index can be reached from the dispatcher's machine.",
    )
    return ImageBuildError(f"{HEADING}: {reason}.\n{shortened(said)}", hint=hint)


def not_built(said: str, wheels_said: str, base_image: str) -> ImageBuildError:
    """Return the error for packages that pip could not build.

    Parameters
    ----------
    said
        Output of pip, or of the program that ran it.
    wheels_said
        Output of uv, which found no wheels, so that the packages had to be built.
    base_image
        The root image, on which the advice depends.
    """
    match = _NOT_BUILT.search(said)
    names = names_to_build(wheels_said)
    name = match["name"] if match else ", ".join(names) or "a package"
    compiler = _COMPILER.search(said)
    missing = _PIP_NOT_FOUND.search(said)
    hint = None
    if compiler:
        program = compiler["program"] or compiler["missing"]
        what = f"a compiler ({program})" if program else "a compiler"
        reason = f"{name} has no wheel for this image, and its build needs {what}"
        hint = (
            f"Install it when the image is built, ct.DepsBash([{_compilers(base_image)!r}]); "
            f"choose a version of {name} that has a wheel, or a base_image with a compiler."
        )
    elif missing:
        reason = f"no index has {missing['wanted']}, neither as a wheel nor as a source archive"
    elif match:
        reason = f"{name} has no wheel for this image, and could not be built"
        hint = (
            f"Choose a version of {name} that has a wheel, or install what its build needs with "
            "ct.DepsBash."
        )
    else:
        reason = said.partition("\n")[0].removeprefix(f"{HEADING}: ").rstrip(".")
        said = said.partition("\n")[2]
    parts = [f"{HEADING}: {reason}.", *filter(None, [shortened(said)])]
    if names:
        parts.append(f"There is no wheel for {', '.join(names)} for this image.")
    elif wheels_said:
        parts.append(f"Installing from wheels only failed:\n{shortened(wheels_said)}")
    return ImageBuildError("\n".join(parts), hint=hint)


def shortened(said: str) -> str:
    """Return an installer's output, shortened and without long lists of versions."""
    said = re.sub(r"\(from versions: ([^)]*)\)", _last_versions, said)
    lines = [line[:_MAX_LINE].rstrip() for line in _without_lists(said) if line.strip()]
    lines = [line for line in lines if not line.startswith("Using CPython")]
    if len(lines) > _MAX_LINES:
        head = _MAX_LINES // 2
        lines = [*lines[:head], "…", *lines[head - _MAX_LINES + 1 :]]
    return "\n".join(lines)


def _obstacle(said: str) -> tuple[str, str | None] | None:
    """Return reason and advice for failures that other versions would not avoid."""
    if _NO_SPACE.search(said):
        return "the dispatcher's disk is full", (
            "Free some space, or set the option cache_dir to a folder on another file system."
        )
    if match := _WRONG_HASH.search(said):
        return f"the file of {match['what']} has a different hash than the requirement", (
            "Correct the hash in the requirement, or find out why the index has a different file."
        )
    if match := _REFUSED.search(said):
        return f"the index {match['index']} refuses access ({match['status']})", (
            "Check its URL and its login: 'Passwords' in docs/packages.md lists where logins are "
            "looked for."
        )
    return None


def _reason(said: str, newest: Callable[[str], str]) -> tuple[str, str | None]:
    if match := _PYTHON.search(said):
        return f"{match['package']} needs Python {match['needed']}", (
            "Choose an older version of the package, or run the client with that Python."
        )
    if (match := _NO_VERSION.search(said)) or (match := _ONLY.search(said)):
        name = match["name"]
        groups = match.groupdict()
        if "version" in groups:
            reason = f"{name} has no version {groups['version'].removeprefix('==').rstrip(',')}"
        else:
            reason = f"no version of {name} meets {groups['wanted']}"
        version = newest(name)
        return reason + (f"; the newest is {version}" if version else ""), None
    if _CONFLICT.search(said):
        return "the requirements contradict each other", (
            "Loosen one of the requirements named above, or split the task."
        )
    return "uv cannot satisfy the requirements", None


def _compilers(base_image: str) -> str:
    if "lambda/python" in base_image:
        # AWS's images use Amazon Linux 2 up to Python 3.11.
        tool = "yum" if re.search(r":3\.(?:9|1[01])\b", base_image) else "dnf"
        return f"{tool} install -y gcc gcc-c++"
    return "apt-get update && apt-get install -y --no-install-recommends g++ python3-dev"


def _last_versions(match: re.Match[str]) -> str:
    versions = match[1].split(", ")
    shown = versions[-_LISTED:]
    more = "…, " if len(shown) < len(versions) else ""
    return f"(from versions: {more}{', '.join(shown)})"


def _without_lists(said: str) -> Iterator[str]:
    """Yield lines; of a list of versions with one per line, only the last ones."""
    pending: list[str] = []
    for line in [*said.splitlines(), ""]:
        if re.fullmatch(r"\s+[\w.\[\]-]+\s?[=<>!~]=?\S*", line):
            pending.append(line)
            continue
        if len(pending) > _LISTED:
            indent = " " * (len(pending[0]) - len(pending[0].lstrip()))
            yield f"{indent}…"
        yield from pending[-_LISTED:]
        pending = []
        yield line
