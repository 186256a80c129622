"""A headless chromium that tests can talk to: load a page, ask it, print it, take its picture."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import websocket

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync", "extensions")
WIDE, NARROW, PAPER = (1280, 900), (390, 844), (1047, 718)  # the last: A4 landscape, less margins


class Browser:
    """One tab of a browser of its own; it remembers what was written to the console or fetched."""

    def __init__(self, profile: Path) -> None:
        options = ["--headless", "--no-sandbox", "--no-first-run", "--remote-debugging-port=0"]
        options += ["--remote-allow-origins=*", *(f"--disable-{name}" for name in QUIET)]
        command = [BROWSER, *options, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, **quiet)
        port = self._port(profile / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as tabs:
            (tab,) = [tab for tab in json.load(tabs) if tab["type"] == "page"]
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        self.count, self.console, self.fetched = 0, [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path) -> str:
        for _ in range(600):
            if file.is_file() and (text := file.read_text()):
                return text.splitlines()[0]
            time.sleep(0.1)
        raise TimeoutError("the browser did not start")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)

    def call(self, method: str, **parameters: object) -> dict:
        """One command of the browser's protocol, and its answer."""
        self.count += 1
        call = {"id": self.count, "method": method, "params": parameters}
        self.socket.send(json.dumps(call))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.count:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: dict) -> None:
        told = message.get("params", {})
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.console.append(json.dumps(told)[:300])
        elif message.get("method") == "Log.entryAdded":
            self.console.append(told["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.fetched.append(told["request"]["url"])

    def open(self, path: Path, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        """Loads a page in a window of this size; what was noted before is forgotten."""
        self.console, self.fetched = [], []
        self.show(size, dark=dark)
        self.call("Page.navigate", url=path.as_uri())
        for _ in range(300):
            if (
                self.ask("document.readyState") == "complete"
                and self.ask("location.href") != "about:blank"
            ):
                return
            time.sleep(0.05)
        raise TimeoutError(path)

    def show(self, size: tuple[int, int], dark: bool = False, paper: bool = False) -> None:
        """The window's size, colours, and whether the page is laid out as for printing."""
        sizes = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **sizes)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if paper else "screen"
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def ask(self, expression: str) -> object:
        """The value of an expression in the page."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        result = self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def picture(self, path: Path, whole: bool = True) -> None:
        """The page as a PNG file."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as printed."""
        answer = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))
