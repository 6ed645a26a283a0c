"""The pages agree with the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import covalent_lambda_container

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("make_options.py", "options.md"),
        ("draw_electron.py", "electron.svg"),
        ("draw_folders.py", "folders.svg"),
        ("draw_benchmarks.py", "benchmarks.svg"),
        ("make_cost.py", "cost.md"),
    ],
)
def test_generated_pages_are_up_to_date(script: str, written: str) -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / script], capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs" / written).read_text() == made.stdout, "run: make docs"


class Loaded(HTMLParser):
    """Collects the addresses on other hosts that a page loads; links do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None) or ""
        if re.match(r"(https?:)?//", address) and given.get("rel") != "canonical":
            self.found.add(address)


def test_the_site_has_no_broken_link_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    names = {page.stem for page in pages}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} | {"index", "contributing"} <= names
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert loaded.found == set(), page.name
    # On a phone, a picture is as wide as the phone: it leads to itself.
    start = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert '<a href="pictures/building.png"><img' in start


def test_labels_of_the_benchmarks_fit_into_their_picture() -> None:
    picture = (ROOT / "docs" / "benchmarks.svg").read_text("utf-8")
    width = int(re.findall(r'<svg [^>]*width="(\d+)"', picture)[0])
    labels = re.findall(r'<text x="([\d.]+)" [^>]*fill="#6b7280">([^<]*)</text>', picture)
    assert labels
    # A digit of this font at 12 pixels has 7.7.
    assert [text for x, text in labels if float(x) + 7.7 * len(text) > width] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in listed] == []


def test_screenshots_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size >= 150_000] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def texts_of_the_code() -> list[str]:
    """Return every text in the code, with … where something is filled in."""
    texts = []
    for path in Path(covalent_lambda_container.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "") for part in node.values)
                texts.append("".join(p if isinstance(p, str) else "…" for p in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_troubleshooting_is_about_errors_that_the_code_has() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    titles = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert titles
    texts = texts_of_the_code()
    gone = [words for words in titles if not any(words in text for text in texts)]
    assert gone == [], "no error has this text"
