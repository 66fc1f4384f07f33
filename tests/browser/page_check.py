# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of `ds2c2 receive --http` in a real browser, amid a live reception over UDP; run by hand.

    apt-get install --no-install-recommends chromium chromium-driver
    python tests/browser/page_check.py --out /tmp/page

Starts a sender that repeats scikit-image's photographs and loses packets in bursts, a receiver with a page, and a
headless Chromium; asserts what the page shows, takes screenshots light and dark, wide and narrow, then stops the
sender and waits for "no signal". Says frames a second, and the processor time of the receiver with nobody watching
and with the page open. The sender stays at most ``AHEAD`` pictures ahead of the receiver: what waits in a receiver
that is too slow for the rate is decoded first, and only then is there silence. After ``--limit`` seconds it ends,
whatever it was waiting for, and says so.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
from chromium import NARROW, WIDE, Browser, Deadline, missing  # noqa: E402

from checkout import use_checkout  # noqa: E402
from freeport import free_port  # noqa: E402

use_checkout()

from ds2c2.pictures.pictures import sample_photographs  # noqa: E402

AHEAD = 6  # pictures
SENDER = """
import json, sys, time
from urllib.request import urlopen
from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.codec.codec import Codec
from ds2c2.ends.packetstream import pictures_to_packets
from ds2c2.ends.session import PictureFeed, SendingEnd
from ds2c2.pictures.pictures import sample_photographs
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.udp import UdpSender
port, text, frames, page, ahead = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4], int(sys.argv[5])
stream = StreamFormat.parse(text)
feed = PictureFeed(sample_photographs(), stream.width, stream.height, "scale", repeat=True)
sending = SendingEnd(Codec(stream, "cpu"), feed)
channel = PacketChannel(stream, loss=0.08, model="gilbert-elliott", burst=6)
sender = UdpSender("127.0.0.1", port, stream.blocks * frames)
due = time.monotonic()
for packets in pictures_to_packets(sending):
    while sending.frame > ahead + json.load(urlopen(page + "stats.json"))["frames"]["shown"]:
        time.sleep(0.2)
    sender.send(channel.through(packets))
    due = max(due, time.monotonic() - 1) + 1 / frames
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


def look(browser: Browser, options: argparse.Namespace, address: str, deadline: Deadline) -> None:
    """Take the screenshots amid the reception. Raises ``AssertionError`` where the page does not show what is."""
    for name, (width, height) in (("wide", WIDE), ("narrow", NARROW)):
        for scheme in ("light", "dark"):
            browser.look(width, height, scheme)
            time.sleep(1.5)
            browser.screenshot(options.out / f"page-{name}-{scheme}.png")
            assert not browser.faults, f"{name}: cut off: {browser.faults}"
    same, all_ = browser.run_async(SAME.replace("SECONDS", str(min(options.seconds, deadline.left / 2))))
    print(f"the picture in the page was that of its moment {same} times of {all_}")
    assert same > 0.7 * all_, "the page shows old pictures"
    shown, known = int(browser.text("number").replace("\u2009", "")), stats_of(address)["frame"]["number"]
    assert 0 <= known - shown <= 2 + 2 * options.frames, (shown, known)
    assert browser.text("per").endswith("%") and browser.text("psnr").endswith("dB")
    assert browser.text("delay") == "–"
    assert browser.run("return document.querySelectorAll('#curve .trace').length") >= 1
    width = browser.run("return document.getElementById('picture').naturalWidth")
    assert width == int(options.size.partition("x")[0]), width


def check(options: argparse.Namespace, deadline: Deadline, stack: ExitStack) -> None:
    def start(words: list[str]) -> subprocess.Popen:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def now(what: str) -> None:
        print(f"{options.limit - deadline.left:.0f} s: {what}", flush=True)

    def said(words: list[str]) -> str:
        return subprocess.check_output(words, text=True, timeout=deadline.left)

    run = [sys.executable, "-m", "ds2c2"]
    text = said([*run, "info", options.size]).splitlines()[0]
    port, page = free_port(), free_port()
    address = f"http://127.0.0.1:{page}/"
    originals = [word for path in sample_photographs() for word in ("--originals", path)]
    receiver = start(
        [*run, "receive", "--from", f"udp://127.0.0.1:{port}", "--format", text, "--http", f"127.0.0.1:{page}",
         "--stay", *originals, "--fit", "scale"]
    )  # fmt: skip
    deadline.wait_for(lambda: stats_of(address), "the page")
    now("the receiver listens")
    sender = start([sys.executable, "-c", SENDER, str(port), text, str(options.frames), address, str(AHEAD)])
    deadline.wait_for(lambda: stats_of(address)["frames"]["shown"] >= 3, "frames")
    now("it shows pictures")
    alone = busy(receiver.pid, address, options.seconds)
    browser = stack.enter_context(Browser(deadline))
    browser.open(address)
    browser.wait_for_text("signal", "live")
    deadline.wait_for(lambda: browser.run("return document.getElementById('picture').naturalWidth"), "the picture")
    now("so does the page")
    watched = busy(receiver.pid, address, options.seconds)
    look(browser, options, address, deadline)
    now("screenshots taken, the sender is stopped")
    sender.kill()
    browser.wait_for_text("signal", "no signal for")
    browser.look(*WIDE, "light")
    time.sleep(1)
    browser.screenshot(options.out / "page-silent.png")
    receiver.send_signal(signal.SIGINT)
    deadline.wait_for(lambda: browser.text("signal") in ("ended", "the receiver is gone"), "the end")
    assert receiver.wait(timeout=deadline.left) == 0
    print(f"{options.size}: nobody watching {alone[0]:.1%} of a core at {alone[1]:.2f} frames/s")
    print(f"{options.size}: the page open    {watched[0]:.1%} of a core at {watched[1]:.2f} frames/s")
    print(f"screenshots in {options.out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("/tmp/page"))
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--frames", type=float, default=2.0, help="a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--limit", type=float, default=400.0, help="seconds after which it ends")
    options = parser.parse_args()
    if missing():
        raise SystemExit(missing())
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that all that was started is
    with ExitStack() as stack:
        try:
            check(options, Deadline(options.limit), stack)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise SystemExit(f"{error}; a quieter machine, a smaller --size, or a longer --limit") from None


if __name__ == "__main__":
    main()
