"""Takes the pictures of ``docs/pictures`` from a real run, with headless Chromium.

``python -m docs.take_screenshots`` needs what the demo needs, and Chromium (``apt-get install
chromium``). It takes about five minutes.
"""

from __future__ import annotations

import contextlib
import io
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
from PIL import Image

from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.stack import local_stack
from tests.chromium import Page, PageError, browser

ROOT: Final = Path(__file__).parents[1]
PICTURES: Final = ROOT / "docs" / "pictures"
MOST_BYTES: Final = 150_000
WIDTH, HEIGHT = 1300, 800

FAILING: Final = """
@ct.electron(executor=executor)
def plot(chosen):
    import seaborn


@ct.lattice
def model_choice(copies=40):
    data = load(copies)
    chosen = best([score(train(data, kernel)) for kernel in ("linear", "rbf", "poly", "sigmoid")])
    return plot(chosen)
"""
"""Another lattice for the example, whose last task lacks a package."""

PRINTING: Final = """
@ct.electron(executor=executor)
def fit(epochs):
    import time

    loss = 1.0
    for epoch in range(1, epochs + 1):
        time.sleep(2)
        loss *= 0.83
        print(f"epoch {epoch} of {epochs}: loss {loss:.4f}")
    return loss


@ct.lattice
def model_choice():
    return fit(20)
"""
"""A lattice whose task prints for a while."""


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with server() as running, browser() as page:
        page.size(WIDTH, HEIGHT)
        dispatch_id = dispatched(running)
        until_shown(page, running, dispatch_id, "Load", "since")
        save(page, "building.png")
        until_shown(page, running, dispatch_id, None, "Completed")
        open_node(page, running, dispatch_id, "Best")
        save(page, "done.png")
        report(page, running, dispatch_id)
        printing = dispatched(running, PRINTING)
        until_shown(page, running, printing, "Fit", "epoch 4")
        save(page, "live.png")
        failing = dispatched(running, FAILING)
        until_shown(page, running, failing, None, "Failed")
        open_node(page, running, failing, "Plot")
        save(page, "failed.png")


@contextmanager
def server() -> Iterator[CovalentServer]:
    """Run a Covalent server whose executor leads to a local stack."""
    with (
        tempfile.TemporaryDirectory(prefix="covalent-") as scratch,
        docker_engine(print),
        contextlib.closing(docker.from_env()) as client,
    ):
        folder = Path(scratch)
        version = ".".join(platform.python_version_tuple()[:2])
        root_image = ensure_root_image(client, version, print)
        with local_stack(folder / "stack", print) as stack:
            options = {
                "endpoint_url": stack.endpoint_url,
                "region": stack.region,
                "credentials_file": str(stack.credentials_file),
                "profile": stack.profile,
                "base_image": root_image,
                "cache_dir": str(folder / "cache"),
            }
            executors = {"awslambda_container": options}
            with covalent_server(folder / "covalent", {}, print, executors=executors) as running:
                yield running


def dispatched(running: CovalentServer, more: str = "") -> str:
    """Dispatch the example, with more code at its end; return its dispatch id."""
    example = (ROOT / "examples" / "model_choice.py").read_text().partition("if __name__")[0]
    script = Path(running.environment["COVALENT_CONFIG_DIR"]) / "dispatch.py"
    script.write_text(f"{example}{more}\nprint(ct.dispatch(model_choice)())\n")
    ended = subprocess.run(
        [sys.executable, script],
        env=dict(running.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return ended.stdout.split()[-1]


def open_node(page: Page, running: CovalentServer, dispatch_id: str, node: str | None) -> None:
    """Open a dispatch's page, and the panel of a node."""
    for _ in range(10):
        page.open(f"{running.address}/{dispatch_id}")
        # The page asks once, and shows nothing if the server did not answer then.
        if not page.wait_for(node or "Runtime", 8):
            continue
        # The graph moves to its place.
        page.settle(2)
        if not node:
            return
        page.click(node)
        if page.wait_for("Status", 3):
            page.settle(1)
            return
    raise PageError(f"the page of dispatch {dispatch_id} does not show {node}")


def until_shown(
    page: Page, running: CovalentServer, dispatch_id: str, node: str | None, text: str
) -> None:
    """Open a dispatch's page, or the panel of a node, until it shows a text."""
    ends = time.monotonic() + 300
    while time.monotonic() < ends:
        with contextlib.suppress(PageError):
            open_node(page, running, dispatch_id, node)
            if page.wait_for(text, 2):
                return
    raise SystemExit(f"The page does not show {text!r}, but:\n{page.text}")


def report(page: Page, running: CovalentServer, dispatch_id: str) -> None:
    """Take a picture of the report's page."""
    file = Path(running.environment["COVALENT_CONFIG_DIR"]) / "report.html"
    subprocess.run(
        [
            *(sys.executable, "-m", "covalent_lambda_container.cli", "report"),
            *(dispatch_id, "--html", str(file)),
        ],
        env=dict(running.environment),
        check=True,
    )
    page.size(1000, 1050)
    page.open(file.as_uri())
    save(page, "report.png")
    page.size(WIDTH, HEIGHT)


def save(page: Page, name: str) -> None:
    """Write a picture, with as many colours as `MOST_BYTES` allow."""
    picture: Any = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        small = picture.quantize(colours, dither=Image.Dither.NONE)
        small.save(PICTURES / name, optimize=True)
        if (PICTURES / name).stat().st_size < MOST_BYTES:
            print(f"Wrote {PICTURES / name}")
            return
    raise SystemExit(f"{name} is larger than {MOST_BYTES} bytes.")


if __name__ == "__main__":
    main()
