"""The reason of a failed installation in one sentence, and advice, from the output of uv and pip.

Each function returns the reason, phrased to follow ``"The packages could not be installed: "``, and
the advice or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Reason = tuple[str, str | None]

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
_PACKAGE: Final = r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?[^\s,]*)"
_PYTHON: Final = re.compile(
    r"the requested Python version \(>=(?P<has>[^)]*)\) does not satisfy Python(?P<needed>\S+) "
    rf"and (?:all of:\s+)?{_PACKAGE}"
)
_NO_PYTHON_WHEEL: Final = re.compile(
    rf"{_PACKAGE} has no wheels with a matching Python (?:ABI|implementation|version) tag "
    r"\(e\.g\., `cp(?P<major>\d)(?P<minor>\d+)t?`\)"
)
_NO_PLATFORM_WHEEL: Final = re.compile(
    rf"{_PACKAGE} has no wheels with a matching platform tag \(e\.g\., `(?P<platform>[^`]+)`\)"
)
_CONFLICT: Final = re.compile(r"incompatible|unsatisfiable|conflicting dependencies")
_REFUSED: Final = re.compile(
    r"(?:An index URL|An index) \((?P<index>[^)\s]+)\)[^\n]*?(?P<status>40[13] [A-Z]\w+)"
)
_WRONG_HASH: Final = re.compile(r"Hash mismatch for `(?P<what>[^`]+)`")
_NO_SPACE: Final = re.compile(r"No space left on device|Disk quota exceeded")
_OFFLINE: Final = re.compile(r"network was disabled|needs to be downloaded")
_CAUSE: Final = re.compile(r"^\s*cause: (.+)", re.MULTILINE)

_NOT_BUILT: Final = re.compile(
    r"(?:Failed building wheel for|Failed to (?:download and )?build|Could not build wheels for)"
    rf"\s*['`\"]?{_NAME}(?:(?:==| @ )[^'`\"\s]+)?(?:['`\",\s]|$)"
)
_COMPILER: Final = re.compile(
    r"command '(?P<program>[^']*(?:cc|\+\+|clang|gfortran|cmake|rustc|cargo))' failed: No such"
    r"|execute '(?P<executed>[^']*(?:cc|\+\+|clang|gfortran))'"
    r"|No such file or directory: '(?P<missing>[^']*(?:cc|\+\+|clang|gfortran|cmake|cargo))'"
    r"|No CMAKE_C\w* could be found|Unknown compiler|CMAKE_C\w*_COMPILER|Python\.h: No such file"
    r"|can't find Rust compiler|(?:gcc|cc|g\+\+): not found"
)
_HEADER: Final = re.compile(r"fatal error: (?P<header>[^\s:]+): No such file")
_IMPORT: Final = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[^']+)'")
_REQUIRED: Final = re.compile(r"Failed to resolve requirements from ")
_NO_PROGRAM: Final = re.compile(
    r"(?P<program>pg_config|mysql_config|xml2-config|xslt-config|gdal-config|pkg-config|curl-config)"
    r"\b[^\n]*?(?:not found|No such file|is not available|not be found)"
)
_OF_PROGRAMS: Final = {
    "pg_config": ("libpq-dev", "libpq-devel"),
    "mysql_config": ("default-libmysqlclient-dev pkg-config", "mariadb-connector-c-devel"),
    "xml2-config": ("libxml2-dev", "libxml2-devel"),
    "xslt-config": ("libxslt1-dev", "libxslt-devel"),
    "gdal-config": ("libgdal-dev", "gdal-devel"),
    "pkg-config": ("pkg-config", "pkgconf-pkg-config"),
    "curl-config": ("libcurl4-openssl-dev", "libcurl-devel"),
}
"""Programs that builds ask where a library in C is: packages of Debian and of Amazon Linux."""
_GIT: Final = re.compile(
    r"Git operation failed|(?:failed to clone into|failed to fetch (?:branch|commit|into|all))"
)
_FATAL: Final = re.compile(
    r"^\s*(?:fatal|remote|ERROR|error): (?!Failed )(?P<said>.+)$", re.MULTILINE
)
_CONFUSED: Final = re.compile(r"hint: `(?P<name>[^`]+)` is often confused for `(?P<meant>[^`]+)`")
_ERROR_LINE: Final = re.compile(
    r"^\s*(?P<said>(?:[\w.]*(?:Error|Exception)|(?i:fatal )?[Ee]rror|ERROR): (?!Failed ).+)$",
    re.MULTILINE,
)


_NOTHING_FITS: Final = (
    (
        _PYTHON,
        "{package} does not support Python {has}, it needs {needed}",
        "Choose an older version of the package, or run the client with that Python.",
    ),
    # Of a package for another system, uv says first which Pythons its oldest versions are for.
    (
        _NO_PLATFORM_WHEEL,
        "{package} has no wheel for the image's system ({platform})",
        "Choose a version that has one, or a base_image with a newer C library; packages for "
        "Windows or macOS need a marker, \"NAME; sys_platform == 'win32'\".",
    ),
    (
        _NO_PYTHON_WHEEL,
        "{package} has no wheel for Python {major}.{minor}",
        "Choose a version that has one, or run the client with a Python that has.",
    ),
)
"""Pattern in uv's output on a package whose files do not fit the image, reason, and hint; the first
match counts."""


def obstacle(said: str) -> Reason | None:
    """Return the reason where other versions would change nothing; None if there is none such."""
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
            "Check its URL and its login: 'Passwords' in docs/packages.md says where a login is "
            "looked for."
        )
    return None


def not_fetched(said: str) -> Reason | None:
    """Return why a git repository could not be fetched; None if that was not the problem."""
    if not _GIT.search(said):
        return None
    why = [each["said"].strip().rstrip(".") for each in _FATAL.finditer(said)]
    address = re.search(r"@ (git\+[^`\s]+)`", said)
    where = address[1].removeprefix("git+") if address else "of a requirement"
    reason = f"the git repository {where} could not be fetched"
    return reason + (f": {why[-1]}" if why else ""), (
        "Check its address and revision, and that git can reach it from the machine that builds; a "
        "private one needs a login: see 'Passwords' in docs/packages.md."
    )


def unknown_name(said: str) -> Reason | None:
    """Return the reason where no index has a package of that name."""
    if match := _NOT_FOUND.search(said):
        return f"there is no package {match['name']} on the index (is it misspelt?)", None
    return None


def needs_other_python(said: str) -> bool:
    """Return whether uv, without network, is certain that it takes another Python."""
    return bool(_PYTHON.search(said)) and not _OFFLINE.search(said)


def no_solution(said: str, newest: Callable[[str], str]) -> Reason | None:
    """Return why no versions go together, or with the image; None if that is not known.

    Parameters
    ----------
    newest
        Returns the newest version of a package that an image can have, or ``""``.
    """
    for pattern, reason, hint in _NOTHING_FITS:
        if match := pattern.search(said):
            package = _as_required(match["package"], said)
            reason = reason.format(**match.groupdict() | {"package": package})
            return _with_newest(reason, match["package"], newest), hint
    if (match := _NO_VERSION.search(said)) or (match := _ONLY.search(said)):
        groups = match.groupdict()
        if "version" in groups:
            wanted = groups["version"].removeprefix("==").rstrip(",")
            reason = f"{match['name']} has no version {wanted}"
        else:
            reason = f"no version of {match['name']} meets {groups['wanted']}"
        version = newest(match["name"])
        return reason + (f"; the newest is {version}" if version else ""), None
    if _CONFLICT.search(said):
        return "the requirements contradict each other", (
            "Loosen one of the requirements named above, or split the task."
        )
    return None


def in_own_words(said: str) -> str | None:
    """Return what uv says went wrong and, last, why; None if it says neither."""
    error = re.search(r"^error: (.+)", said, re.MULTILINE)
    if error is None:
        return None
    causes = [cause.rstrip(".:") for cause in _CAUSE.findall(said)]
    return ": ".join([error[1].rstrip(".:"), *causes[-1:]])


def failed_build(said: str, name: str, base_image: str) -> Reason | None:
    """Return why a package could not be built; None if no build failed.

    Parameters
    ----------
    name
        The package, where the output does not name it.
    base_image
        The root image, which decides on the advice.
    """
    match = _NOT_BUILT.search(said)
    compiler = _COMPILER.search(said)
    if not match and not compiler:
        return None
    name = match["name"] if match else name or "a package"
    without = f"{name} has no wheel for this image"
    choose = f"choose a version of {name} that has a wheel"
    if confused := _CONFUSED.search(said):
        meant = confused["meant"]
        return f"{confused['name']} is probably not what you mean, which is {meant}", (
            f"Require {meant} instead."
        )
    if asked := _NO_PROGRAM.search(said):
        debian, amazon = _OF_PROGRAMS[asked["program"]]
        command = _with_compilers(base_image, debian, amazon)
        return f"{without}, and its build needs {asked['program']}, of a library in C", (
            f"Install that when the image is built, ct.DepsBash([{command!r}]); or {choose}."
        )
    if compiler:
        program = compiler["program"] or compiler["executed"] or compiler["missing"]
        what = f"a compiler ({program})" if program else "a compiler"
        return f"{without}, and its build needs {what}", (
            f"Install it when the image is built, ct.DepsBash([{_with_compilers(base_image)!r}]); "
            f"{choose}, or a base_image with a compiler."
        )
    if header := _HEADER.search(said):
        return f"{without}, and its build needs {header['header']}, of a library in C", (
            "Install the library's development package when the image is built, by ct.DepsBash; "
            f"or {choose}."
        )
    if "ailed to fetch: " in said:
        return in_own_words(said) or f"{name} could not be downloaded", (
            "Check that its address can be reached from the dispatcher's machine."
        )
    if _REQUIRED.search(said):
        why, hint = unknown_name(said) or no_solution(said, lambda _: "") or ("", None)
        reason = f"{without}, and what its build requires cannot be installed"
        return reason + (f": {why}" if why else ""), hint or f"{choose.capitalize()}."
    if module := _IMPORT.search(said):
        return f"{without}, and its build imports {module['module']} without requiring it", (
            f"{choose.capitalize()}, or build a wheel and require it by its URL or from an index "
            "of your own."
        )
    lines = [each["said"].strip() for each in _ERROR_LINE.finditer(said)]
    reason = f"{without}, and could not be built"
    return reason + (f": {lines[-1][:200].rstrip('.')}" if lines else ""), (
        f"{choose.capitalize()}, or install what its build needs by ct.DepsBash."
    )


def _as_required(package: str, said: str) -> str:
    """Return a package as the requirement names it: uv may name many versions instead."""
    name = re.split(r"[^A-Za-z0-9._-]", package, maxsplit=1)[0]
    required = re.search(rf"(?:you require|depends? on) ({re.escape(name)}(?![\w.-])[^\s,]*)", said)
    return required[1] if required else package


def _with_newest(reason: str, package: str, newest: Callable[[str], str]) -> str:
    name = re.split(r"[^A-Za-z0-9._-]", package, maxsplit=1)[0]
    version = newest(name)
    return reason + (f"; the newest for it is {name} {version}" if version else "")


def _with_compilers(base_image: str, debian: str = "", amazon: str = "") -> str:
    return system_install(base_image, f"g++ python3-dev {debian}", f"gcc gcc-c++ {amazon}")


def system_install(base_image: str, debian: str, amazon: str) -> str:
    """Return the command that installs packages of a root image's system.

    Parameters
    ----------
    debian, amazon
        Names of the packages in Debian and in Amazon Linux, separated by spaces.
    """
    if "lambda/python" in base_image:
        # AWS's images are Amazon Linux 2 up to Python 3.11.
        tool = "yum" if re.search(r":3\.(?:9|1[01])\b", base_image) else "dnf"
        return f"{tool} install -y {amazon}".strip()
    return f"apt-get update && apt-get install -y --no-install-recommends {debian}".strip()
