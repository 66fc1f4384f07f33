# SPDX-License-Identifier: GPL-3.0-or-later
"""A film of ten seconds from ``ds2c2 send`` to ``ds2c2 receive --http``: pictures a second and their delay.

    python tests/benchmarks/film.py
    python tests/benchmarks/film.py --ways ofdm --sizes 640x480 --watched
    python tests/benchmarks/film.py --ways ofdm --sizes 640x480 --air "snr=12 seed=1" --browser /tmp/film

Both ends run on this machine, by UDP on loopback and as samples of an OFDM modem through the virtual radio (ZeroMQ).
The film, 1280x720 at 25 pictures a second, is a slow pan over one of scikit-image's photographs. It is sent as a
camera's pictures are, so that late ones are dropped, and stamped, so that the receiver knows each one's delay: from
where the film shows it until its decoded picture stands. Every end that does not end by itself is ended after
``--limit`` seconds; the figures are of what had come by then, and the row says so. With ``--browser`` the page is open
in headless Chromium meanwhile, and pictures are taken of it amid the film, light and dark, as on a phone and side by
side; a busy machine wants a film of more ``--seconds`` for that.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.request import urlopen

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "browser")]

from checkout import CHECKOUT, use_checkout  # noqa: E402

use_checkout()

from chromium import WIDE, Browser, Deadline, missing  # noqa: E402
from PIL import Image  # noqa: E402
from skimage import data  # noqa: E402

from films import write_pan  # noqa: E402
from freeport import free_port  # noqa: E402

SIZES = ("320x240", "640x480", "1280x720")
FILM_SIZE, FILM_RATE = (1280, 720), 25  # pixels; pictures a second
COMMAND = [sys.executable, "-m", "ds2c2"]
AMID = 8  # pictures
PHONE, BETWEEN = (390, 1700), 20  # pixels
DRAWN_SECONDS = 1.5  # in which the page has asked for its numbers again
COLOURS = 200
START_SECONDS = 120  # a busy machine takes some to load the networks
COLUMNS = (
    "way",
    "size",
    "pictures/s",
    "sent",
    "late",
    "shown",
    "blocks lost",
    "delay, s: median",
    "worst",
    "s",
    "load",
)


class Receiver:
    """``ds2c2 receive --http --json`` beside this program, whose lines are read as they come."""

    def __init__(self, words: list[str], env: dict[str, str]):
        self.frames: list[tuple[float, dict]] = []  # when each was told, and what
        self.end: dict | None = None
        self.said: list[str] = []
        self._listening = threading.Event()
        self.process = subprocess.Popen(
            [*COMMAND, "receive", *words, "--http", "127.0.0.1:0", "--json"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for read in (self._read_lines, self._read_words):
            threading.Thread(target=read, daemon=True).start()

    def _read_lines(self) -> None:
        for line in self.process.stdout:
            told = json.loads(line)
            if told["event"] == "frame":
                self.frames.append((time.monotonic(), told))
            else:
                self.end = told

    def _read_words(self) -> None:
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if line.startswith("listening"):
                self._listening.set()
        self._listening.set()

    def wait_until_ready(self) -> None:
        if not self._listening.wait(START_SECONDS) or self.process.poll() is not None:
            raise SystemExit("the receiver did not start: " + " / ".join(self.said))

    @property
    def page(self) -> str:
        return next(line.split()[-1] for line in self.said if line.startswith("page at"))

    def watch(self) -> None:
        """Take its moving picture, as a page that is open does."""

        def read() -> None:
            with urlopen(f"{self.page}stream.mjpg?early", timeout=START_SECONDS) as stream:
                while stream.read(1 << 14):
                    pass

        threading.Thread(target=read, daemon=True).start()


def end(process: subprocess.Popen, seconds: float) -> bool:
    """Wait for a process that ends by itself; False where it had to be ended."""
    try:
        process.wait(max(0.0, seconds))
        return True
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return False


def look(browser: Browser, receiver: Receiver, name: str, folder: Path) -> None:
    """Take pictures of the page once ``AMID`` pictures of the film were shown. Raises ``AssertionError`` for words that
    are cut off."""
    browser.deadline.wait_for(lambda: len(receiver.frames) >= AMID, "the film")
    browser.wait_for_text("signal", "live")
    looks = {"wide": (*WIDE, "light"), "light": (*PHONE, "light"), "dark": (*PHONE, "dark")}
    for look, how in looks.items():
        browser.look(*how)
        time.sleep(DRAWN_SECONDS)
        browser.screenshot(folder / f"{name}-{look}.png")
        assert not browser.faults, f"{look}: cut off: {browser.faults}"
    pair = [Image.open(folder / f"{name}-{look}.png").convert("RGB") for look in ("light", "dark")]
    sheet = Image.new("RGB", (2 * PHONE[0] + BETWEEN, PHONE[1]), "white")
    for place, picture in enumerate(pair):
        sheet.paste(picture, (place * (PHONE[0] + BETWEEN), 0))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)


def run(way: str, size: str, film: Path, options: argparse.Namespace, env: dict[str, str]) -> list[str]:
    """The row of one way and size."""
    limit = options.limit
    text = subprocess.run([*COMMAND, "info", size], env=env, check=True, capture_output=True, text=True, timeout=limit)
    format_ = ["--format", text.stdout.splitlines()[0]]
    port, load = free_port(), os.getloadavg()[0]
    if way == "udp":
        place = f"udp://127.0.0.1:{port}"
        sender_place, receiver_place = ["--to", place], ["--from", place]
    else:
        sender_place = ["--radio", "zmq", "--address", f"tcp://127.0.0.1:{port}", "--link", way]
        receiver_place = [*sender_place, *(["--air", options.air] if options.air else [])]
        sender_place += ["--wait", str(limit)]
    # A busy machine takes its time to start a sender.
    receiver = Receiver([*receiver_place, *format_, "--wait", str(limit)], env)
    with ExitStack() as stack:
        stack.callback(lambda: end(receiver.process, 0))
        receiver.wait_until_ready()
        if options.watched:
            receiver.watch()
        if options.browser:
            browser = stack.enter_context(Browser(Deadline(limit)))
            browser.open(receiver.page)
        began = time.monotonic()
        sender = subprocess.Popen(
            [*COMMAND, "send", str(film), *sender_place, *format_, "--live", "--fit", "scale", "--stamp"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        stack.callback(lambda: end(sender, 0))
        try:
            if options.browser:
                look(browser, receiver, f"{way}-{size}", options.browser)
            words, _ = sender.communicate(timeout=limit)
            cut = False
        except subprocess.TimeoutExpired:
            end(sender, 0)
            words, cut = sender.communicate()[0], True
        if sender.returncode and not cut:
            raise SystemExit(f"{way} {size}: the sender failed: {words}\nThe receiver: {' / '.join(receiver.said)}")
        cut = not end(receiver.process, began + limit - time.monotonic()) or cut
    return [way, size, *figures(receiver, words), f"{load:.1f}{', ended after the limit' if cut else ''}"]


def figures(receiver: Receiver, words: str) -> list[str]:
    """What both ends said, in the order of ``COLUMNS``."""
    sent = re.search(r"sent (\d+) pictures?", words)
    late = re.search(r"(\d+) pictures? came too late", words)
    shown = [(when, told) for when, told in receiver.frames if not told["nothing"]]
    lost = sum(told["base_lost"] + told["enhancement_lost"] for _, told in receiver.frames)
    delays = [told["delay_s"] for _, told in shown if told["delay_s"] is not None]
    took = shown[-1][0] - shown[0][0] if len(shown) > 1 else 0.0
    return [
        f"{(len(shown) - 1) / took:.1f}" if took else "–", sent[1] if sent else "–", late[1] if late else "0",
        str(len(shown)), str(lost), f"{median(delays):.2f}" if delays else "–",
        f"{max(delays):.2f}" if delays else "–", f"{took:.1f}",
    ]  # fmt: skip


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WIDTHxHEIGHT")
    parser.add_argument("--ways", nargs="+", default=("udp", "ofdm"), choices=("udp", "ofdm", "gmsk"))
    parser.add_argument("--seconds", type=float, default=10.0, help="of the film")
    parser.add_argument("--threads", type=int, default=1, help="of each end's networks")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one row")
    parser.add_argument("--watched", action="store_true", help="somebody takes /stream.mjpg meanwhile")
    parser.add_argument("--air", default="", help="of the radio: receive --air")
    parser.add_argument("--browser", type=Path, metavar="FOLDER", help="for pictures of the page in Chromium")
    options = parser.parse_args()
    if options.browser:
        if missing():
            raise SystemExit(missing())
        options.browser.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that both ends are
    env = {"DS2C2_MODELS": str(CHECKOUT / "models"), **os.environ, "OMP_NUM_THREADS": str(options.threads)}
    env |= {"PYTHONUNBUFFERED": "1", "COLUMNS": "500"}
    print("command:", "python", *sys.argv)
    print(f"machine: {processor()}, {len(os.sched_getaffinity(0))} cores, {options.threads} of them for each end")
    print("load: processes that wanted a core in the minute before; sent, late: pictures; s: first to last shown\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ds2c2-film-") as folder:
        film = write_pan(Path(folder) / "film.mp4", data.astronaut(), options.seconds, *FILM_SIZE, FILM_RATE)
        for way in options.ways:
            for size in options.sizes:
                try:
                    row = run(way, size, film, options, env)
                except TimeoutError as error:
                    more = "give a film of more --seconds, or a longer --limit"
                    raise SystemExit(f"{way} {size}: {error}; {more}") from None
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
