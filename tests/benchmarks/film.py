# SPDX-License-Identifier: GPL-3.0-or-later
"""A film of ten seconds from ``ds2c2 send`` to ``ds2c2 receive --http``: pictures a second and their delay.

    python tests/benchmarks/film.py
    python tests/benchmarks/film.py --ways ofdm --sizes 640x480 --watched

Both ends run on this machine, by UDP on loopback and as samples of an OFDM modem through the virtual radio (ZeroMQ).
The film, 1280x720 at 25 pictures a second, is a slow pan over one of scikit-image's photographs. It is sent as a
camera's pictures are, so that late ones are dropped, and stamped, so that the receiver knows each one's delay: from
where the film shows it until its decoded picture stands. Every end that does not end by itself is ended after
``--limit`` seconds; the figures are of what had come by then, and the row says so.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checkout import CHECKOUT, use_checkout  # noqa: E402

use_checkout()

from skimage import data  # noqa: E402

from films import write_pan  # noqa: E402
from freeport import free_port  # noqa: E402

SIZES = ("320x240", "640x480", "1280x720")
FILM_SIZE, FILM_RATE = (1280, 720), 25  # pixels; pictures a second
COMMAND = [sys.executable, "-m", "ds2c2"]
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

    def watch(self) -> None:
        """Take its moving picture, as a page that is open does."""
        page = next(line.split()[-1] for line in self.said if line.startswith("page at"))

        def read() -> None:
            with urlopen(f"{page}stream.mjpg?early", timeout=START_SECONDS) as stream:
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


def run(way: str, size: str, film: Path, limit: float, watched: bool, env: dict[str, str]) -> list[str]:
    """The row of one way and size."""
    text = subprocess.run([*COMMAND, "info", size], env=env, check=True, capture_output=True, text=True, timeout=limit)
    format_ = ["--format", text.stdout.splitlines()[0]]
    port, load = free_port(), os.getloadavg()[0]
    if way == "udp":
        place = f"udp://127.0.0.1:{port}"
        sender_place, receiver_place = ["--to", place], ["--from", place]
    else:
        sender_place = receiver_place = ["--radio", "zmq", "--address", f"tcp://127.0.0.1:{port}", "--link", way]
    receiver = Receiver([*receiver_place, *format_], env)
    try:
        receiver.wait_until_ready()
        if watched:
            receiver.watch()
        began = time.monotonic()
        sender = subprocess.Popen(
            [*COMMAND, "send", str(film), *sender_place, *format_, "--live", "--fit", "scale", "--stamp"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            words, _ = sender.communicate(timeout=limit)
            cut = False
        except subprocess.TimeoutExpired:
            end(sender, 0)
            words, cut = sender.communicate()[0], True
        if sender.returncode and not cut:
            raise SystemExit(f"{way} {size}: the sender failed: {words}")
        cut = not end(receiver.process, began + limit - time.monotonic()) or cut
    finally:
        end(receiver.process, 0)
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
    options = parser.parse_args()
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
                row = run(way, size, film, options.limit, options.watched, env)
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
