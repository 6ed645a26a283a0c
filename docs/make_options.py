"""Writes the texts that follow from the declared options.

``python docs/make_options.py`` prints the page on options; with ``--executor`` it writes the
executor's arguments and their documentation into the module that has them.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final, get_args

from covalent_lambda_container.options.declarations import OPTIONS, Declared

EXECUTOR: Final = (
    Path(__file__).parents[1]
    / "covalent_lambda_container"
    / "covalent_api"
    / "configured_executor.py"
)

POSITIONAL: Final = (
    *("credentials_file", "profile", "region", "lambda_role_name", "s3_bucket_name"),
    *("cache_dir", "poll_freq", "timeout", "memory_size", "cleanup"),
)
"""Positional arguments, in the order of the executor `awslambda`."""

HEAD: Final = """\
# Options

Written by `docs/make_options.py` from the code.

The value of an option is the argument of `AWSLambdaContainerExecutor`, or else the one in the
section `[executors.awslambda_container]` of Covalent's configuration, or else its default. `None`
and `""` count as not given:

```toml
[executors.awslambda_container]
region = "eu-central-1"
memory_size = 1024
requirements = ["scikit-learn==1.7.2"]
```

An invalid value is an error when the executor is created. Options that define a function are part
of its identity: with another value, a new function is created, and the old one is kept. Commands of
[`covalent-lambda`](command-line.md) have flags for some options.
"""

TAIL: Final = """\

The executor also has the options of every Covalent executor: `log_stdout`, `log_stderr`,
`time_limit`, and `retries`, how often a task that crashed, timed out or ran out of memory is rerun
(a task that raised an exception never is).
"""


def shown(default: Any) -> str:
    """Write a default as Python does, its strings as TOML does."""
    return json.dumps(default) if isinstance(default, str) else repr(default)


def row(declared: Declared) -> str:
    option = declared.option
    flag = f"Flag: `{declared.flag}`." if declared.flag else ""
    meaning = " ".join(filter(None, [option.description, option.remark, flag])).replace("|", r"\|")
    return f"| `{declared.name}` | `{shown(declared.default)}` | {meaning} |"


def page() -> str:
    lines = [HEAD]
    for title, section in groupby(OPTIONS.values(), key=lambda declared: declared.section):
        lines += [f"## {title}", "", "| option | default | meaning |", "|---|---|---|"]
        lines += [*map(row, section), ""]
    return "\n".join(lines).rstrip("\n") + "\n" + TAIL


def arguments() -> list[Declared]:
    """Return the options in the order of the executor's arguments."""
    by_name = [declared for name, declared in OPTIONS.items() if name not in POSITIONAL]
    return [*(OPTIONS[name] for name in POSITIONAL), *by_name]


def type_text(declared: Declared) -> str:
    """Write a type as code does: ``str``, ``list[str]``."""
    plain = declared.type
    return plain.__name__ if isinstance(plain, type) and not get_args(plain) else str(plain)


def signature() -> Iterator[str]:
    """Yield the lines of the executor's arguments."""
    for declared in arguments():
        yield f"{declared.name}: {type_text(declared)} | None = None,"
        if declared.name == POSITIONAL[-1]:
            yield "*,"


def given() -> Iterator[str]:
    """Yield the lines that collect the arguments by their names."""
    for declared in arguments():
        yield f'"{declared.name}": {declared.name},'


def documentation() -> Iterator[str]:
    """Yield the lines of the arguments' documentation."""
    for declared in arguments():
        text = declared.option.description
        if declared.default not in ("", [], {}):
            text += f" Default: {shown(declared.default)}."
        yield f"{declared.name} : {type_text(declared)}"
        yield from textwrap.wrap(
            text, 92, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        )


def with_arguments(source: str) -> str:
    """Return the executor's module with its arguments as they are declared."""
    for begin, end, indent, lines in (
        ("    Parameters\n    ----------\n", "    credentials : str\n", 4, documentation()),
        ("        self,\n", "        credentials: str | None = None,\n", 8, signature()),
        ("        given = {\n", "        }\n", 12, given()),
    ):
        start = source.index(begin) + len(begin)
        written = textwrap.indent("".join(f"{line}\n" for line in lines), " " * indent)
        source = source[:start] + written + source[source.index(end, start) :]
    return source


if __name__ == "__main__":
    if sys.argv[1:] == ["--executor"]:
        EXECUTOR.write_text(with_arguments(EXECUTOR.read_text("utf-8")), "utf-8")
    else:
        print(page(), end="")
