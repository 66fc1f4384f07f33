# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium by chromedriver, over WebDriver (W3C), that is gone when its time is up."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from freeport import free_port

INSTALL = "apt-get install --no-install-recommends chromium chromium-driver"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--hide-scrollbars",
]  # fmt: skip
WIDE, NARROW = (1280, 940), (390, 1500)  # pixels
LOOK_SECONDS = 0.2
CLOSING_SECONDS = 5.0
# Pictures in the page that are not whole, and what hangs out of its frame: text that is cut off.
FAULTS = """
const inside = (part, whole) => part.left >= whole.left - 0.5 && part.right <= whole.right + 0.5;
const box = (element) => element.getBoundingClientRect();
const faults = [...document.querySelectorAll("svg text")]
  .filter((text) => !inside(box(text), box(text.closest("svg")))).map((text) => text.textContent);
for (const one of document.querySelectorAll("dd, dt, h2, figcaption, .pill"))
  if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) faults.push(one.textContent);
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page is too wide");
return faults;
"""


def missing() -> str:
    """What is not there, and how it is had; empty if all is."""
    found = shutil.which("chromedriver") and any(map(shutil.which, NAMES))
    return "" if found else f"no Chromium with its chromedriver here: {INSTALL}"


class Deadline:
    """A time by which everything has to be over."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, more than 0. Raises ``TimeoutError``."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not over after {self.seconds:g} s")
        return left

    def wait_for(self, true, what: str):  # noqa: ANN001, ANN201 - what ``true()`` gives
        """The first thing that ``true()`` gives that is not false. Raises ``TimeoutError``."""
        while True:
            # Who does not answer yet is asked again, and so is a driver whose page is being loaded.
            with contextlib.suppress(OSError):
                if found := true():
                    return found
            try:
                self.left  # noqa: B018
            except TimeoutError as error:
                raise TimeoutError(f"waited for {what}: {error}") from None
            time.sleep(LOOK_SECONDS)


class Browser:
    """A context manager: leaving it ends Chromium and its driver, whatever they are doing."""

    def __init__(self, deadline: Deadline):
        self.deadline = deadline
        self._session = ""
        self._stack = contextlib.ExitStack()
        with self._stack as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="ds2c2-", ignore_cleanup_errors=True))
            self._port = free_port()
            # In a session of its own, which is ended as a whole: a driver that is killed leaves its browser behind.
            self._driver = subprocess.Popen(
                ["chromedriver", f"--port={self._port}"], stdout=subprocess.DEVNULL, start_new_session=True
            )
            opened.callback(self._end)
            deadline.wait_for(lambda: self._call("GET", "/status")["ready"], "chromedriver")
            # What the page goes on loading, a picture without an end, is not waited for.
            wanted = {
                "pageLoadStrategy": "none",
                "goog:chromeOptions": {"args": [*ARGUMENTS, f"--user-data-dir={folder}/profile"]},
            }
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
            self._stack = opened.pop_all()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        if self._session:
            with contextlib.suppress(OSError):
                self._call("DELETE", self._session, seconds=CLOSING_SECONDS)
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._driver.pid, kind)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._driver.wait(CLOSING_SECONDS)

    def _call(self, method: str, path: str, body: dict | None = None, seconds: float | None = None):  # noqa: ANN202
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=seconds or self.deadline.left) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": address})
        self.deadline.wait_for(lambda: self.run("return !!document.getElementById('signal')"), "the page")

    def run(self, script: str):  # noqa: ANN201 - JSON
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def run_async(self, script: str):  # noqa: ANN201 - JSON
        """A script that calls its last argument when it is done."""
        self._call("POST", f"{self._session}/timeouts", {"script": int(1000 * self.deadline.left)})
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": []})

    def text(self, name: str) -> str:
        return self.run(f"return document.getElementById('{name}').innerText")

    def wait_for_text(self, name: str, start: str) -> None:
        self.deadline.wait_for(lambda: self.text(name).startswith(start), f"{name} to be {start!r}")

    @property
    def faults(self) -> list[str]:
        """Words of the page that are cut off."""
        return self.run(FAULTS)

    def _devtools(self, command: str, **parameters: object) -> None:
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width: int, height: int, scheme: str) -> None:
        """From now on as on a screen of so many pixels, ``light`` or ``dark``."""
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))
