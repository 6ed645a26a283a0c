"""``covalent-lambda render``: the Dockerfile of a set of requirements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import executor_options, files_option, python_option

_SPEC_OPTIONS = ("base_image", "architecture")


@command()
@click.argument("requirements", nargs=-1)
@files_option("Requirements file")
@python_option
@executor_options(*_SPEC_OPTIONS)
@reporting
def render(
    requirements: tuple[str, ...],
    files: tuple[Path, ...],
    python_version: str | None,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Show the Dockerfile of these REQUIREMENTS.

    \b
    Example:
      covalent-lambda render scikit-learn==1.7.2 pandas
    """
    from covalent_lambda_container.covalent_api.task import bare_task
    from covalent_lambda_container.executor.image_spec import image_spec
    from covalent_lambda_container.images.dockerfile import render_dockerfile
    from covalent_lambda_container.options.resolve import resolve
    from covalent_lambda_container.packages.requirements_files import (
        read_requirement_lines,
        read_requirements_file,
    )

    wanted = read_requirement_lines(requirements, origin="REQUIREMENTS")
    for path in files:
        wanted |= read_requirements_file(path)
    task = bare_task(wanted, python_version=python_version)
    spec = image_spec(resolve(given), task)
    text = render_dockerfile(spec)
    document = {"tag": spec.tag, "spec": json.loads(spec.json), "dockerfile": text}
    output.result(document, text.rstrip("\n"))
