"""``covalent-lambda render``: a Dockerfile with a set of requirements, and its build context."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import executor_options, files_option, python_option
from covalent_lambda_container.errors import ConfigurationError

_SPEC_OPTIONS = ("base_image", "architecture", "ca_bundle")


@command()
@click.argument("requirements", nargs=-1)
@files_option("Requirements file")
@python_option
@executor_options(*_SPEC_OPTIONS)
@click.option(
    "--context",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the Dockerfile and all files that it copies to this new folder.",
)
@reporting
def render(
    requirements: tuple[str, ...],
    files: tuple[Path, ...],
    python_version: str | None,
    given: dict[str, Any],
    folder: Path | None,
    output: Output,
) -> None:
    """Show a Dockerfile of the image with these REQUIREMENTS.

    With --context, write a folder with everything that 'docker build' needs. The executor's own
    builds give an image with the same contents in different layers.

    \b
    Example:
      covalent-lambda render scikit-learn==1.7.2 pandas
      covalent-lambda render pandas --context pandas && docker build pandas
    """
    from covalent_lambda_container.covalent_api.task import bare_task
    from covalent_lambda_container.executor.image_spec import image_spec
    from covalent_lambda_container.images.standalone import (
        standalone_context,
        standalone_dockerfile,
        write_context,
    )
    from covalent_lambda_container.options.resolve import resolve
    from covalent_lambda_container.packages.requirements_files import (
        read_requirement_lines,
        read_requirements_file,
    )

    wanted = read_requirement_lines(requirements, origin="REQUIREMENTS")
    for path in files:
        wanted |= read_requirements_file(path)
    task = bare_task(wanted, python_version=python_version)
    options = resolve(given)
    spec = image_spec(options, task)
    text = standalone_dockerfile(spec)
    document = {"tag": spec.tag, "spec": json.loads(spec.json), "dockerfile": text}
    if folder is None:
        output.result(document, text.rstrip("\n"))
        return
    write_context(standalone_context(spec, _authorities(options.ca_bundle)), folder)
    output.result({**document, "context": str(folder)}, f"Next: docker build {folder}")


def _authorities(ca_bundle: str) -> bytes | None:
    try:
        return Path(ca_bundle).expanduser().read_bytes() if ca_bundle else None
    except OSError as exc:
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor option ca_bundle={ca_bundle!r} cannot be read: "
            f"{exc.strerror}."
        ) from exc
