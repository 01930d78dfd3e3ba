"""Debian's chromium without a screen, by the WebDriver protocol. Needs chromium and chromium-driver."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any


class Browser:
    """Chromium without a screen, by the WebDriver protocol."""

    def __init__(self, port: int, host: str, folder: str) -> None:
        self._port = port
        self._path = ""
        arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--ignore-certificate-errors",
            f"--user-data-dir={folder}",
            f"--host-resolver-rules=MAP {host} 127.0.0.1",
        ]
        options = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        self._path = f"/session/{self._ask('POST', '', {'capabilities': {'alwaysMatch': options}})['sessionId']}"

    def _ask(self, method: str, path: str, data: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        body = None if data is None else json.dumps(data)
        with contextlib.closing(connection):
            connection.request(method, f"{self._path or '/session'}{path}", body, {"Content-Type": "application/json"})
            answer = json.load(connection.getresponse())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise ValueError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def open(self, url: str) -> None:
        """Load a page. Raises ValueError."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run a script in the page, as its driver and not as the page. Returns what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def until(self, script: str, seconds: float) -> bool:
        """Whether a script returns something true within these seconds."""
        end = time.monotonic() + seconds
        while not (result := bool(self.run(script))) and time.monotonic() < end:
            time.sleep(0.1)
        return result

    def forget(self) -> None:
        """Delete the cookies of the site that is open."""
        self._ask("DELETE", "/cookie")

    def close(self) -> None:
        """End the browser."""
        self._ask("DELETE", "")


@contextlib.contextmanager
def browser(host: str) -> Iterator[Browser]:
    """A browser that finds the host on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        port = 9515
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        try:
            for _turn in range(100):
                with contextlib.suppress(OSError):
                    opened = Browser(port, host, folder)
                    break
                time.sleep(0.1)
            else:
                raise TimeoutError("chromedriver does not answer")
            yield opened
            opened.close()
        finally:
            driver.terminate()
            driver.wait()
