"""Chromium without a window, driven over its DevTools protocol."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.servers import die_with_the_tests

SECONDS = 60


class Browser:
    """One page in a profile of its own; ended, and its profile removed, with the block."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._last = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._profile = tempfile.mkdtemp(prefix="groundwork-chromium-")
        self._process = subprocess.Popen(
            [
                *(_binary(), "--headless=new", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
                *("--remote-debugging-port=0", f"--user-data-dir={self._profile}", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_the_tests,  # noqa: PLW1509 - it forks and execs, no more
        )
        try:
            self._socket = self._stack.enter_context(self._connect())
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=SECONDS))
            if message.get("id") == self._last:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + SECONDS
        while self.evaluate(expression) is not True:
            assert time.monotonic() < deadline, (expression, self.evaluate("location.href"))
            time.sleep(0.05)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        values = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def resize(self, width: int, height: int, *, mobile: bool) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def screenshot(self) -> bytes:
        return b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _connect(self) -> AbstractContextManager[ClientConnection]:
        told = Path(self._profile, "DevToolsActivePort")
        deadline = time.monotonic() + SECONDS
        while not (told.exists() and len(told.read_text().splitlines()) == 2):
            assert self._process.poll() is None, "chromium has ended"
            assert time.monotonic() < deadline, "chromium does not start"
            time.sleep(0.05)
        port, path = told.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as whole:
            whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            found = json.loads(whole.recv(timeout=SECONDS))["result"]["targetInfos"]
        page = next(target["targetId"] for target in found if target["type"] == "page")
        return connect(f"ws://127.0.0.1:{port}/devtools/page/{page}", max_size=None)

    def _end(self) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait(SECONDS)
        shutil.rmtree(self._profile, ignore_errors=True)


def require_browser() -> None:
    """Skips the test where Chromium is not installed; fails it with REQUIRE_SERVERS=1."""
    if not _binary():
        missing = "chromium is not installed: tests that need it do not run"
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)


def _binary() -> str:
    return shutil.which("chromium") or ""
