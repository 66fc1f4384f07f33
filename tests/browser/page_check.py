# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of `ds2c2 receive --http` in a real browser, amid a live reception over UDP; run by hand.

    apt-get install --no-install-recommends chromium chromium-driver
    python tests/browser/page_check.py --out /tmp/page

Starts a sender that repeats scikit-image's photographs and loses packets in bursts, a receiver with a page, and a
headless Chromium; asserts what the page shows, takes screenshots light and dark, wide and narrow, then stops the
sender and waits for "no signal". Says frames a second, and the processor time of the receiver with nobody watching
and with the page open.
"""

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from checkout import use_checkout  # noqa: E402
from freeport import free_port  # noqa: E402

use_checkout()

BROWSER = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--hide-scrollbars",
]  # fmt: skip
WIDE, NARROW = (1280, 940), (390, 1500)
SENDER = """
import sys, time
from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.codec.codec import Codec
from ds2c2.ends.packetstream import pictures_to_packets
from ds2c2.ends.session import PictureFeed, SendingEnd
from ds2c2.pictures.pictures import sample_photographs
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.udp import UdpSender
port, text, frames = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
stream = StreamFormat.parse(text)
feed = PictureFeed(sample_photographs(), stream.width, stream.height, "scale", repeat=True)
sending = SendingEnd(Codec(stream, "cpu"), feed)
channel = PacketChannel(stream, loss=0.08, model="gilbert-elliott", burst=6)
sender = UdpSender("127.0.0.1", port, stream.blocks * frames)
due = time.monotonic()
for packets in pictures_to_packets(sending):
    sender.send(channel.through(packets))
    due += 1 / frames
    time.sleep(max(0, due - time.monotonic()))
"""


# How often the picture in the page is the one of that moment, half a second after it came.
SAME = """
const done = arguments[0], until = Date.now() + 1000 * SECONDS;
const pixels = (source, width, height) => {
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height).data;
};
(async () => {
  let same = 0, all = 0;
  while (Date.now() < until) {
    const answer = await fetch("picture.jpg"), number = answer.headers.get("X-Picture");
    const image = await createImageBitmap(await answer.blob());
    await new Promise((resolve) => setTimeout(resolve, 500));
    const shown = pixels(document.getElementById("picture"), image.width, image.height);
    if ((await fetch("picture.jpg", { method: "HEAD" })).headers.get("X-Picture") !== number) continue;
    const wanted = pixels(image, image.width, image.height);
    all += 1;
    same += wanted.every((level, place) => Math.abs(level - shown[place]) < 3);
  }
  done([same, all]);
})();
"""


class Browser:
    """Chromium by chromedriver, over WebDriver (W3C)."""

    def __init__(self, folder: str):
        self.port = free_port()
        self._driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL)
        wait_for(lambda: self._call("GET", "/status")["ready"], "chromedriver")
        options = {"args": [*BROWSER, f"--user-data-dir={folder}/profile"]}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self._session = f"/session/{made['sessionId']}"

    def _call(self, method: str, path: str, body: dict | None = None):  # noqa: ANN202 - JSON
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=150) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": address})

    def run(self, script: str):  # noqa: ANN201 - JSON
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def compare(self, seconds: float) -> tuple[int, int]:
        script = {"script": SAME.replace("SECONDS", str(seconds)), "args": []}
        self._call("POST", f"{self._session}/timeouts", {"script": 120_000})
        return tuple(self._call("POST", f"{self._session}/execute/async", script))

    def text(self, name: str) -> str:
        return self.run(f"return document.getElementById('{name}').innerText")

    def devtools(self, command: str, **parameters: object):  # noqa: ANN201 - JSON
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width: int, height: int, scheme: str) -> None:
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def close(self) -> None:
        self._call("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait()


def wait_for(true, what: str, seconds: float = 400.0):  # noqa: ANN001, ANN201
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := true():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds:g} s in vain for {what}")


def stats_of(address: str) -> dict:
    with urllib.request.urlopen(f"{address}stats.json", timeout=10) as answer:
        return json.load(answer)


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy(process: int, address: str, seconds: float) -> tuple[float, float]:
    """Share of a core that the receiver takes, and frames a second."""
    began, before, frames = time.monotonic(), processor_seconds(process), stats_of(address)["frames"]["shown"]
    time.sleep(seconds)
    took = time.monotonic() - began
    return (processor_seconds(process) - before) / took, (stats_of(address)["frames"]["shown"] - frames) / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("/tmp/page"))
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--frames", type=float, default=2.0, help="a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = [sys.executable, "-m", "ds2c2"]
    text = subprocess.check_output([*run, "info", options.size], text=True).splitlines()[0]
    port, page = free_port(), free_port()
    address = f"http://127.0.0.1:{page}/"
    photographs = subprocess.check_output(
        [sys.executable, "-c", "from ds2c2.pictures.pictures import *; print(*sample_photographs(), sep='\\n')"],
        text=True,
    ).split()
    originals = [word for path in photographs for word in ("--originals", path)]
    receiver = subprocess.Popen(
        [*run, "receive", "--from", f"udp://127.0.0.1:{port}", "--format", text, "--http", f"127.0.0.1:{page}",
         "--stay", *originals, "--fit", "scale"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    sender = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            wait_for(lambda: stats_of(address), "the page")
            sender = subprocess.Popen([sys.executable, "-c", SENDER, str(port), text, str(options.frames)])
            wait_for(lambda: stats_of(address)["frames"]["shown"] >= 3, "frames")
            alone = busy(receiver.pid, address, options.seconds)
            browser = Browser(folder)
            browser.open(address)
            wait_for(lambda: browser.text("signal") == "live", "the page to be live")
            wait_for(lambda: browser.run("return document.getElementById('picture').naturalWidth"), "the picture")
            watched = busy(receiver.pid, address, options.seconds)
            for name, (width, height) in (("wide", WIDE), ("narrow", NARROW)):
                for scheme in ("light", "dark"):
                    browser.look(width, height, scheme)
                    time.sleep(1.5)
                    browser.screenshot(options.out / f"page-{name}-{scheme}.png")
                    across = browser.run("return document.documentElement.scrollWidth")
                    assert across <= width, f"{name}: {across} pixels wide where {width} are"
            same, all_ = browser.compare(options.seconds)
            print(f"the picture in the page was that of its moment {same} times of {all_}")
            assert same > 0.7 * all_, "the page shows old pictures"
            shown, known = int(browser.text("number").replace("\u2009", "")), stats_of(address)["frame"]["number"]
            assert 0 <= known - shown <= 2 + 2 * options.frames, (shown, known)
            assert browser.text("per").endswith("%") and browser.text("psnr").endswith("dB")
            assert browser.text("delay") == "–"
            assert browser.run("return document.querySelectorAll('#curve .trace').length") >= 1
            width = browser.run("return document.getElementById('picture').naturalWidth")
            assert width == int(options.size.partition("x")[0]), width
            sender.kill()
            wait_for(lambda: browser.text("signal").startswith("no signal for"), "no signal")
            browser.look(*WIDE, "light")
            time.sleep(1)
            browser.screenshot(options.out / "page-silent.png")
            receiver.send_signal(signal.SIGINT)
            wait_for(lambda: browser.text("signal") in ("ended", "the receiver is gone"), "the end")
            browser.close()
            assert receiver.wait(timeout=60) == 0
        finally:
            for process in (sender, receiver):
                if process is not None:
                    process.kill()
                    process.wait()
    print(f"{options.size}: nobody watching {alone[0]:.1%} of a core at {alone[1]:.2f} frames/s")
    print(f"{options.size}: the page open    {watched[0]:.1%} of a core at {watched[1]:.2f} frames/s")
    print(f"screenshots in {options.out}")


if __name__ == "__main__":
    main()
