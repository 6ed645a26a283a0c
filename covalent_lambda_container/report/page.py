"""One HTML file that needs no network, from a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup

from covalent_lambda_container.report.advice import Advice
from covalent_lambda_container.report.pictures import Picture


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a page; all texts except the pictures are escaped.

    Parameters
    ----------
    title, subtitle
        Texts at the top.
    cards
        The most important figures, each with its name.
    notes
        Sentences below them.
    pictures
        Pictures with their headings; empty ones are omitted.
    advice
        Suggested changes.
    table_heading, columns, rows
        The figures as a table.
    """

    title: str
    subtitle: str
    cards: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    pictures: Sequence[tuple[str, Picture]] = ()
    advice: Sequence[Advice] = field(default_factory=tuple)
    table_heading: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    @property
    def html(self) -> str:
        """The page as text of an HTML file."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True
        )
        # Matplotlib, which has drawn them, escapes texts.
        pictures = [
            (name, Markup(picture.wide), Markup(picture.narrow))  # noqa: S704
            for name, picture in self.pictures
            if picture.wide
        ]
        return environment.get_template("page.html.j2").render(vars(self) | {"pictures": pictures})
