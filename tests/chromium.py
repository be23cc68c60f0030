"""A real Chromium driven over the DevTools protocol's pipe, with the standard library only.

Source of the protocol: https://chromedevtools.github.io/devtools-protocol/ (``--remote-debugging-pipe``: JSON messages
that end with NUL, read by the browser on descriptor 3 and written on descriptor 4).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Page:
    """One tab. Every wait is bounded by ``patience`` seconds and fails with what was waited for."""

    def __init__(self, browser: Browser, session: str, patience: float = 20) -> None:
        self._browser = browser
        self._session = session
        self._patience = patience
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Network.enable")

    @property
    def session(self) -> str:
        """DevTools' id of this tab."""
        return self._session

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """One DevTools command."""
        return self._browser.call(method, self._session, **params)

    def size(self, width: int, height: int = 844, *, touch: bool = False) -> None:
        """Show the page in a window of this size, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)

    def media(self, *, dark: bool = False, kind: str = "") -> None:
        """Prefer dark or light colours; ``kind`` may be ``print``."""
        scheme = "dark" if dark else "light"
        self.call(
            "Emulation.setEmulatedMedia", media=kind, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def scripts(self, *, on: bool) -> None:
        """Switch JavaScript of the page on or off (from the next load on)."""
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def offline(self, yes: bool) -> None:
        """Cut or restore the network."""
        self.call(
            "Network.emulateNetworkConditions", offline=yes, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def open(self, url: str) -> None:
        """Go to ``url`` and wait until it is loaded."""
        since = self._browser.mark()
        self.call("Page.navigate", url=url)
        self._browser.wait_event("Page.loadEventFired", self._session, since, self._patience)

    def press(self, selector: str) -> None:
        """Click the middle of the first element with a real mouse event; follows no navigation."""
        find = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center',"
            " behavior: 'instant'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        box, last = self.value(find), None
        while box != last:  # until a smooth scroll of the page itself has ended
            time.sleep(0.05)
            box, last = self.value(find), box
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1, buttons=1)

    def press_and_load(self, selector: str) -> None:
        """Click and wait for the page that this opens."""
        since = self._browser.mark()
        self.press(selector)
        self._browser.wait_event("Page.loadEventFired", self._session, since, self._patience)

    def type(self, text: str) -> None:
        """Insert text where the focus is."""
        self.call("Input.insertText", text=text)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press one key, e.g. ``("Tab", 9)``."""
        common = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page (also while the page's own scripts are off)."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until the expression (or what it promises) is true."""
        deadline = time.monotonic() + self._patience
        while not self.value(f"Promise.resolve({expression}).then(Boolean)"):
            if time.monotonic() > deadline:
                raise AssertionError(f"never became true: {expression}")
            time.sleep(0.03)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A screenshot as PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def errors(self) -> list[str]:
        """Exceptions, console errors and policy violations of every page so far."""
        found = []
        for event in self._browser.events(self._session):
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"], ensure_ascii=False))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that the pages asked for so far."""
        sent = [e for e in self._browser.events(self._session) if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


class Browser:
    """The running program; commands are answered in order of their number."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out = to_browser
        self._in = os.fdopen(from_browser, "rb")
        self._next = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        while chunk := self._in.read1(1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            with self._news:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self._events.append(message)
                self._news.notify_all()

    def call(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        self._next += 1
        number = self._next
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        with self._news:
            if not self._news.wait_for(lambda: number in self._answers, timeout=30):
                raise AssertionError(f"Chromium did not answer {method} within 30 s")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def mark(self) -> int:
        with self._news:
            return len(self._events)

    def events(self, session: str, since: int = 0) -> list[dict[str, Any]]:
        with self._news:
            return [event for event in self._events[since:] if event.get("sessionId") == session]

    def wait_event(self, method: str, session: str, since: int, patience: float) -> None:
        def happened() -> bool:
            return any(e["method"] == method and e.get("sessionId") == session for e in self._events[since:])

        with self._news:
            if not self._news.wait_for(happened, timeout=patience):
                raise AssertionError(f"{method} did not happen within {patience} s")

    def page(self) -> Page:
        """A new tab with its own cookies."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.call("Log.enable")
        return page


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """Start Chromium with an empty profile and end it (only it) afterwards."""
    assert PROGRAM, "Chromium is not installed"
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = shlex.join([PROGRAM, *FLAGS, f"--user-data-dir={profile}"])
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command} 3<&{theirs_in} 4>&{theirs_out}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            os.close(ours_out)
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
