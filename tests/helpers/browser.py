"""A real Chromium, driven over its debugging pipe: no package, no port, no network."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str:
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise FileNotFoundError(f"The page tests need a Chromium; none of {', '.join(NAMES)} is on PATH (make browser)")


class Browser:
    """One page of a headless Chromium. Use as a context manager."""

    def __init__(self, width=1280, height=900, dark=False):
        self._size, self._dark = (width, height), dark
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.messages: list[str] = []  # console errors and warnings, uncaught exceptions, blocked loads
        self.requests: list[str] = []  # addresses that the page asked for

    def __enter__(self):
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def connect():
            # Chromium reads commands from file 3 and writes to file 4; either may be what the other must become.
            read, write = os.dup(to_browser), os.dup(from_browser)
            while min(read, write) < 5:
                read, write = os.dup(read), os.dup(write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self._process = subprocess.Popen(
            [
                find_chromium(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
                f"--user-data-dir={self._profile}",
                f"--window-size={self._size[0]},{self._size[1]}",
            ],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        os.set_blocking(self._in, False)
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        if self._dark:
            feature = {"name": "prefers-color-scheme", "value": "dark"}
            self.send("Emulation.setEmulatedMedia", features=[feature])
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)

    def send(self, method, **parameters):
        """Give a command and return its result."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def _receive(self, timeout=60):
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            try:
                part = os.read(self._in, 1 << 20)
            except BlockingIOError:
                part = None
            if part == b"" or self._process.poll() is not None:
                raise RuntimeError("Chromium ended")
            if part:
                self._buffer += part
            elif time.monotonic() > end:
                raise TimeoutError("Chromium does not answer")
            else:
                time.sleep(0.005)
        message, self._buffer = self._buffer.split(b"\0", 1)
        event = json.loads(message)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            self.messages.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.messages.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.messages.append(parameters["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.messages.append(f"dialog: {parameters['message']}")
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("data:"):
            self.requests.append(parameters["request"]["url"])

    def open(self, path: Path, fragment=""):
        """Load a page from a file."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=path.resolve().as_uri() + (f"#{fragment}" if fragment else ""))
        self.wait_for("location.protocol === 'file:' && document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression; promises are waited for."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait_for(self, expression, timeout=30):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + timeout
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"Never true: {expression}")
            time.sleep(0.02)

    def press(self, key, code=None, text=None):
        """Press and release a key."""
        common = {
            "key": key,
            "code": code or key,
            "windowsVirtualKeyCode": {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}.get(key, 0),
        }
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def click(self, selector):
        """Click the first element that a CSS selector finds."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def tab_to(self, wanted, most):
        """Press Tab until an element of that class, id or name has the focus; those that had it on the way."""
        reached = set()
        while wanted not in reached and most > 0:
            most -= 1
            self.press("Tab")
            element = "document.activeElement"
            reached.add(self.evaluate(f"{element}.className || {element}.id || {element}.name"))
        return reached

    @contextlib.contextmanager
    def watched(self, page: Path):
        """A page that must neither complain nor run what hostile texts in it hold."""
        self.messages.clear()
        self.requests.clear()
        self.open(page)
        yield self
        self.send("Emulation.setEmulatedMedia", features=[])
        assert self.messages == []
        assert self.evaluate("window.hacked") is None

    def screenshot(self, path: Path):
        import base64

        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
