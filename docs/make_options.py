"""Writes the page on options: ``python docs/make_options.py > docs/options.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from covalent_lambda_container.options.schema import Options

GROUPS: Final = {
    "Where and as whom": (
        *("region", "profile", "credentials_file", "endpoint_url"),
        *("s3_bucket_name", "ecr_repository", "lambda_role_name"),
    ),
    "What a task gets": (
        *("timeout", "memory_size", "ephemeral_storage", "environment"),
        *("subnet_ids", "security_group_ids", "file_system"),
    ),
    "What is in the image": (
        *("requirements", "constraints", "local_packages", "bash_deps", "base_image"),
        *("architecture", "force_rebuild", "max_image_mb"),
    ),
    "How a build reaches packages": ("ca_bundle", "pip_index_url", "pip_extra_index_urls"),
    "How functions run": (
        *("reserved_concurrency", "prewarm", "kms_key_arn", "tags"),
        *("poll_freq", "cleanup", "usage_report", "cache_dir"),
    ),
}
"""Options that belong together; those that are in no group come last."""

REMARKS: Final = {
    "credentials_file": "`credentials` is its older name.",
    "ecr_repository": "A dispatcher with the policy of `covalent-lambda policy dispatcher` may not "
    "make it; `covalent-lambda bootstrap` does.",
    "force_rebuild": "The new image is what everybody finds from then on; functions that were "
    "made of the old one keep it.",
    "local_packages": "They are found when the executor is made, and read where the dispatcher "
    "runs. Caches and hidden files stay out, and what a `.dockerignore` of the package, or above "
    "it in its project, excludes.",
    "requirements": "The file is read when the executor is made.",
    "subnet_ids": "They need a way to S3. `covalent-lambda bootstrap --vpc` gives the execution "
    "role what joining them takes, `covalent-lambda policy dispatcher --vpc` the dispatcher.",
    "reserved_concurrency": "The dispatcher needs `covalent-lambda policy dispatcher "
    "--reserved-concurrency`.",
    "prewarm": "In each process of the dispatcher.",
}
"""What there is to say beyond the code's own description."""

HEAD = """\
# Options

Written by `docs/make_options.py` from the code.

Each option is taken from the argument of `AWSLambdaContainerExecutor`, else from the section
`[executors.awslambda_container]` of Covalent's configuration, else from its default:

```toml
[executors.awslambda_container]
region = "eu-central-1"
memory_size = 1024
requirements = ["scikit-learn==1.7.2"]
```

A value that cannot be used is an error when the executor is made. Options that say what a function
is are part of its identity: another value is another function, and the old one stays.
"""

TAIL = """\

Beside these, the executor takes what every Covalent executor takes: `log_stdout`, `log_stderr`,
`time_limit`, and `retries`, how often a task that crashed, timed out or ran out of memory is run
again (one that raised never is).
"""


def shown(default: Any) -> str:
    """Write a default as Python does, its strings as TOML does."""
    return json.dumps(default) if isinstance(default, str) else repr(default)


def table(names: tuple[str, ...], defaults: dict[str, Any]) -> Iterator[str]:
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for name in names:
        told = " ".join(
            filter(None, [Options.model_fields[name].description, REMARKS.get(name)])
        ).replace("|", r"\|")
        yield f"| `{name}` | `{shown(defaults[name])}` | {told} |"


def page() -> str:
    defaults = Options.defaults()
    grouped = {name for names in GROUPS.values() for name in names}
    rest = tuple(name for name in defaults if name not in grouped)
    sections = {**GROUPS, **({"Others": rest} if rest else {})}
    lines = [HEAD]
    for title, names in sections.items():
        known = tuple(name for name in names if name in defaults)
        lines += [f"## {title}", "", *table(known, defaults), ""]
    return "\n".join(lines).rstrip("\n") + "\n" + TAIL


if __name__ == "__main__":
    print(page(), end="")
