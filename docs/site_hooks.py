"""Hooks of MkDocs: the README is the first page, and files outside ``docs`` join the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[1]
OUTSIDE: Final = (
    *("examples/ci/github-actions.yml", "examples/ci/gitlab-ci.yml"),
    *("examples/iris_svm.py", "examples/model_choice.py"),
)
"""Files that pages link to, beside the README's."""
_PICTURE: Final = re.compile(r'(<img [^>]*\bsrc="([^"]+\.(?:png|svg))"[^>]*>)')
PROJECT_PAGES: Final = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "reporting.md"}
"""Pages at the root of the repository, and what they are called in the site."""


def on_files(files: Files, config: Any) -> Files:
    """Add what lies outside ``docs``."""
    files.append(File.generated(config, "index.md", content=_moved("README.md")))
    for name, there in PROJECT_PAGES.items():
        files.append(File.generated(config, there, content=_moved(name)))
    for path in OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to files at the repository's root lead to their copies in the site."""
    return markdown.replace("](../examples/", "](examples/")


def on_page_content(html: str, **_: Any) -> str:
    """Let pictures lead to themselves: they are wider than pages, and much wider than a phone."""
    return _PICTURE.sub(r'<a href="\2">\1</a>', html)


def _moved(name: str) -> str:
    """Return a page of the root as it reads in ``docs``."""
    text = (ROOT / name).read_text("utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    for page, there in PROJECT_PAGES.items():
        text = text.replace(f"]({page})", f"]({there})")
    return text
