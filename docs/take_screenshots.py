"""Takes the pictures of ``docs/pictures`` from a real run, with headless Chromium.

``python docs/take_screenshots.py`` needs what the demo needs, Chromium (``apt-get install
chromium``) and Playwright (``pip install playwright``). It takes about five minutes.
"""

from __future__ import annotations

import contextlib
import io
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeout

from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.stack import local_stack

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000

FAILING = """
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


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with server() as running, browser() as page:
        dispatch_id = dispatched(running, fail=False)
        for _ in range(60):
            open_node(page, running, dispatch_id, "Load")
            if page.get_by_text(re.compile("layer.*since")).is_visible():
                break
        save(page, "building.png")
        wait(page, "Completed")
        open_node(page, running, dispatch_id, "Best")
        save(page, "done.png")
        report(page, running, dispatch_id)
        failing = dispatched(running, fail=True)
        open_node(page, running, failing, None)
        wait(page, "Failed")
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


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium with a page of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started.new_page(viewport={"width": 1300, "height": 800})
        started.close()


def dispatched(running: CovalentServer, *, fail: bool) -> str:
    """Dispatch the example; return its dispatch id."""
    example = (ROOT / "examples" / "model_choice.py").read_text().partition("if __name__")[0]
    source = example + (FAILING if fail else "") + "\nprint(ct.dispatch(model_choice)())\n"
    script = Path(running.environment["COVALENT_CONFIG_DIR"]) / "dispatch.py"
    script.write_text(source)
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
        page.goto(f"{running.address}/{dispatch_id}")
        # The page asks once, and shows nothing if the server did not answer then.
        with contextlib.suppress(PageTimeout):
            page.get_by_text("Load", exact=True).first.wait_for(timeout=8000)
            break
    time.sleep(3)
    if node:
        page.get_by_text(node, exact=True).first.click()
        time.sleep(3)


def wait(page: Page, state: str) -> None:
    """Wait until a dispatch's page shows a state."""
    for _ in range(100):
        page.reload()
        with contextlib.suppress(Exception):
            page.get_by_text(state, exact=True).first.wait_for(timeout=3000)
            return
        time.sleep(2)
    raise SystemExit(f"The dispatch is not {state}.")


def report(page: Page, running: CovalentServer, dispatch_id: str) -> None:
    """Take a picture of the report's page; it must ask for nothing and report no error."""
    file = Path(running.environment["COVALENT_CONFIG_DIR"]) / "report.html"
    subprocess.run(
        [
            *(sys.executable, "-m", "covalent_lambda_container.cli", "report"),
            *(dispatch_id, "--html", str(file)),
        ],
        env=dict(running.environment),
        check=True,
    )
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.set_viewport_size({"width": 1000, "height": 1050})
    page.goto(file.as_uri())
    strangers = [one for one in seen if one not in (file.as_uri(), "data:,")]
    if strangers:
        raise SystemExit(f"The report asks for {strangers}.")
    save(page, "report.png")
    page.set_viewport_size({"width": 1300, "height": 800})


def save(page: Page, name: str) -> None:
    """Write a picture, with as many colours as `MOST_BYTES` allow."""
    picture: Any = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        small = picture.quantize(colours, dither=Image.Dither.NONE)
        small.save(PICTURES / name, optimize=True)
        if (PICTURES / name).stat().st_size < MOST_BYTES:
            return
    raise SystemExit(f"{name} is larger than {MOST_BYTES} bytes.")


if __name__ == "__main__":
    main()
