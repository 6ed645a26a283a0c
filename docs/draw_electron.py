"""Draws how an electron runs: ``python docs/draw_electron.py > docs/electron.svg``."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

WIDTH, HEIGHT = 920, 600
INK, FAINT, PAPER = "#1f2937", "#6b7280", "#ffffff"
HERE, AWS, ENGINE = "#e8f0fe", "#fff4e0", "#eef2f5"
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"

LEFT, RIGHT = 40, 560
"""Left edges of the two columns of boxes."""
BOX = 320


def text(x: float, y: float, line: str, size: int = 13, fill: str = INK, **more: str) -> str:
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    start = f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}"{attributes}>'
    return f"{start}{escape(line)}</text>"


def area(x: float, y: float, width: float, height: float, title: str, fill: str) -> Iterator[str]:
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="10" fill="{fill}"/>'
    )
    yield text(x + 16, y + 26, title, 15, font_weight="bold")


def box(
    x: float, y: float, width: float, title: str, *lines: str, dashed: bool = False
) -> Iterator[str]:
    height = 30 + 18 * len(lines)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height}" rx="6" fill="{PAPER}" '
        f'stroke="{INK}"{dash}/>'
    )
    yield text(x + 12, y + 20, title, font_weight="bold")
    for number, line in enumerate(lines):
        yield text(x + 12, y + 39 + 18 * number, line, 12, FAINT)


def arrow(*points: tuple[float, float], dashed: bool = False, both: bool = False) -> str:
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    start = ' marker-start="url(#head)"' if both else ""
    return (
        f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.5"{dash}{start} '
        'marker-end="url(#head)"/>'
    )


def above(x: float, y: float, line: str) -> str:
    return text(x, y - 7, line, 12, FAINT, text_anchor="middle")


def drawing() -> Iterator[str]:
    yield from area(20, 20, 360, 560, "Covalent dispatcher", HERE)
    yield from area(540, 20, 360, 560, "AWS", AWS)

    yield from box(LEFT, 62, BOX, "electron", "DepsPip, DepsBash, arguments, still pickled")
    yield arrow((200, 110), (200, 132))
    yield from box(
        LEFT, 134, BOX, "image spec → SHA-256 → tag", "packages, Python, cloudpickle, our own files"
    )
    yield arrow((360, 158), (558, 158))
    yield above(460, 158, "does it exist?")
    yield from box(RIGHT, 134, BOX, "ECR repository", "images, found by content, named by digest")

    yield arrow((200, 182), (200, 214), dashed=True)
    yield text(210, 203, "no", 12, FAINT)
    yield from box(
        LEFT, 216, BOX, "Docker engine: build and push", "once for each spec, here or in CI",
        dashed=True,
    )  # fmt: skip
    yield arrow((360, 240), (460, 240), (460, 172), (558, 172), dashed=True)

    yield arrow((200, 264), (200, 296))
    yield from box(LEFT, 298, BOX, "function of image and options", "created if it does not exist")
    yield arrow((360, 322), (558, 322))
    yield above(460, 322, "does it exist?")
    yield from box(RIGHT, 298, BOX, "Lambda function", "runs as a role that may write logs only")
    yield arrow((720, 182), (720, 296))
    yield text(730, 244, "pulled by digest", 12, FAINT)

    yield arrow((200, 346), (200, 378))
    yield from box(LEFT, 380, BOX, "invoke, once", "never again once it may have been accepted")
    yield arrow((360, 398), (558, 398))
    yield above(460, 398, "task")
    yield from box(
        RIGHT, 380, BOX, "handler in the image", "unpickles, runs, pickles;",
        "notes which packages the result needs",
    )  # fmt: skip
    yield arrow((720, 346), (720, 378))

    yield from box(RIGHT, 490, BOX, "S3 bucket", "over 6 MB, or ran long; by presigned URLs")
    yield arrow((720, 446), (720, 488), both=True)
    yield arrow((558, 428), (460, 428), (460, 506), (362, 506))
    yield above(510, 428, "answer")
    yield arrow((362, 530), (558, 530), both=True)
    yield above(460, 530, "tasks, answers")

    yield from box(
        LEFT, 490, BOX, "result, stdout, stderr, traceback", "the result still pickled; its header",
        "lists the packages that it needs",
    )  # fmt: skip


def svg() -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="{FONT}" role="img">\n'
        "<title>How an electron runs</title>\n"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" '
        f'fill="{INK}"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>\n'
    )
    return head + "\n".join(drawing()) + "\n</svg>\n"


if __name__ == "__main__":
    print(svg(), end="")
