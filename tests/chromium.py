"""Headless Chromium through its DevTools protocol, for pictures and tests of pages.

Debian's ``chromium`` is enough (``apt-get install chromium``); nothing is downloaded.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

PROGRAM: Final = shutil.which("chromium") or shutil.which("chromium-browser")

_PATIENCE_S: Final = 30.0
_FLAGS: Final = (
    "--headless=new",
    # Root, in a container, may start no sandbox.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--remote-debugging-port=0",
)
_FIND: Final = """
(wanted => {
  const all = [...document.querySelectorAll('body *')].filter(one => !one.children.length);
  const found = all.find(one => one.textContent.trim() === wanted && one.getClientRects().length);
  if (!found) return null;
  found.scrollIntoView({block: 'center'});
  const box = found.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})
"""


class PageError(Exception):
    """The browser refused a command, or a page did not show what was expected."""


class Page:
    """One page of the browser.

    Parameters
    ----------
    connection
        To the page's end of the protocol.

    Attributes
    ----------
    requests
        URLs that were requested since the page was opened.
    problems
        Exceptions and errors that it logged.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self._loaded = 0
        self.requests: list[str] = []
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            answer = self._receive(_PATIENCE_S)
            if answer is None:
                raise PageError(f"{method} was not answered within {_PATIENCE_S:.0f} s")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window in pixels, and the colours that the user prefers."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.requests.clear()
        self.problems.clear()
        before = self._loaded
        self.command("Page.navigate", url=url)
        ends = time.monotonic() + _PATIENCE_S
        while self._loaded == before and time.monotonic() < ends:
            self._receive(1)
        self.settle(0.3)

    def settle(self, seconds: float) -> None:
        """Wait, and take note of what happens."""
        ends = time.monotonic() + seconds
        while (left_s := ends - time.monotonic()) > 0:
            self._receive(left_s)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON has it."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise PageError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    @property
    def text(self) -> str:
        """The text that the page shows."""
        return str(self.evaluate("document.body.innerText"))

    def wait_for(self, text: str, seconds: float = _PATIENCE_S) -> bool:
        """Wait until the page shows a text; return whether it does."""
        ends = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > ends:
                return False
            self.settle(0.3)
        return True

    def click(self, text: str) -> None:
        """Click the element that has exactly this text."""
        place = self.evaluate(f"({_FIND})({json.dumps(text)})")
        if not place:
            raise PageError(f"there is no {text!r} to click")
        for kind in ("mousePressed", "mouseReleased"):
            event = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.command("Input.dispatchMouseEvent", type=kind, **event)
        self.settle(1)

    def screenshot(self, *, whole: bool = False) -> bytes:
        """Return a picture as PNG: of the window, or of the whole page."""
        result = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(result["data"])

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        try:
            message: dict[str, Any] = json.loads(self._connection.recv(seconds))
        except TimeoutError:
            return None
        event, parameters = message.get("method"), message.get("params", {})
        if event == "Page.loadEventFired":
            self._loaded += 1
        elif event == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        elif event == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(str(parameters["entry"]["text"]))
        return message


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium with one page, and end it with the context.

    Raises
    ------
    PageError
        It is not installed, or does not start.
    """
    if PROGRAM is None:
        raise PageError("Chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # It leaves folders there.
            env={**os.environ, "TMPDIR": folder},
        )
        try:
            url = _page_url(Path(folder) / "DevToolsActivePort", process)
            with connect(url, max_size=None, proxy=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def _page_url(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the protocol of the first page is."""
    ends = time.monotonic() + _PATIENCE_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < ends and process.poll() is None:
        if file.exists() and (port := file.read_text("utf-8").partition("\n")[0]):
            with opener.open(f"http://127.0.0.1:{port}/json/list") as answer:
                for target in json.load(answer):
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise PageError("Chromium did not start")
