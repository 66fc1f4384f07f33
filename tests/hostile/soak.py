# SPDX-License-Identifier: GPL-3.0-or-later
"""A flowgraph that repeats a picture for ever and ``ds2c2 receive``, for as long as wanted: nothing may grow.

    python tests/hostile/soak.py --minutes 60
    python tests/hostile/soak.py --minutes 10 --page

Pictures of 64x64 go by UDP on loopback. Of both processes memory, threads and descriptors are read every
``--every`` seconds; after the first fifth of the time memory may grow by ``GROWTH`` and the others not at all.
Received pictures are removed once they are counted. With ``--page`` the receiver serves its page too, and two clients
ask it all the time: one takes the moving picture, anew every ``STREAM_SECONDS``, the other all the rest, a connection
each. They may cost it a thread and a descriptor each, and none once they have gone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from serve_attack import health  # noqa: E402

from ds2c2.stream.streamformat import StreamFormat  # noqa: E402
from freeport import free_port  # noqa: E402
from tinymodels import write_tiny_models  # noqa: E402

STREAM = StreamFormat(64, 64, bpp=0.9, block_size=32, survive=0.3)
PICTURES_A_SECOND = 10
GROWTH = 6 << 20  # bytes
STARTING_SECONDS = 600  # on a busy machine; it takes some
STREAM_SECONDS, ASK_SECONDS = 30, 0.2
RESTING_SECONDS = 60  # in which the receiver has noticed that its clients have gone
OTHERS = ("", "page.js", "stats.json", "metrics", "picture.png", "picture.jpg")
SENDER = """
import sys
from gnuradio import blocks, ds2c2, gr, network
from ds2c2.stream.streamformat import StreamFormat
text, picture, port, rate = sys.argv[1:]
stream = StreamFormat.parse(text)
graph = gr.top_block()
graph.connect(
    ds2c2.encoder_source(stream, picture, repeat=True, frame_rate=float(rate)),
    ds2c2.interleaver(stream),
    ds2c2.packetizer(stream),
    blocks.vector_to_stream(1, stream.packet_bytes),
    network.udp_sink(1, 1, "127.0.0.1", int(port), 0, 8 * stream.packet_bytes, False),
)
graph.run()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=15.0, help="seconds")
    parser.add_argument("--page", action="store_true", help="with the receiver's page, and two who look at it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ds2c2-soak-") as top:
        soak(Path(top), 60 * arguments.minutes, arguments.every, arguments.page)


class Clients:
    """Two that look at a page until ``stop``; ``answers`` counts what they were given, and how often they were not."""

    def __init__(self, page: str):
        self.answers: Counter[str] = Counter()
        self._page, self._stopped = page, threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._stream, self._ask)]
        for thread in self._threads:
            thread.start()

    def _stream(self) -> None:
        while not self._stopped.is_set():
            until = time.monotonic() + STREAM_SECONDS
            try:
                with urlopen(f"{self._page}stream.mjpg", timeout=STREAM_SECONDS) as stream:
                    while not self._stopped.is_set() and time.monotonic() < until:
                        # A piece ends with each picture's or within it.
                        self.answers["bytes of stream.mjpg"] += len(stream.read1(1 << 16))
            except OSError:
                self.answers["refused"] += 1
                self._stopped.wait(1)

    def _ask(self) -> None:
        while not self._stopped.wait(ASK_SECONDS):
            for name in OTHERS:
                try:
                    with urlopen(f"{self._page}{name}", timeout=STREAM_SECONDS) as answer:
                        answer.read()
                    self.answers["others"] += 1
                except HTTPError:
                    self.answers["of no picture yet"] += 1
                except OSError:
                    self.answers["refused"] += 1

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def check_at_rest(receiver: subprocess.Popen, before: tuple[int, int, int]) -> None:
    """The receiver has no more threads and descriptors than ``before`` anybody looked."""
    until = time.monotonic() + RESTING_SECONDS
    while True:
        _, threads, files = health(receiver.pid)
        # One more file while a picture is written.
        if threads <= before[1] and files <= before[2] + 1:
            return
        assert time.monotonic() < until, f"clients have gone: {threads} threads, {files} descriptors, before {before}"
        time.sleep(0.2)


def watch(ends: dict[str, subprocess.Popen], out: Path, seconds: float, every: float) -> tuple[dict, int]:
    """Health of both ends over time, and how many pictures were received."""
    rows, pictures = {name: [] for name in ends}, 0
    print("| seconds | pictures | " + " | ".join(f"{name}: MiB, threads, descriptors" for name in ends) + " |")
    print("|---|---|---|---|")
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(every)
        assert all(end.poll() is None for end in ends.values()), "one of them ended"
        for path in sorted(out.glob("frame-*.png"))[:-1]:
            path.unlink()
            pictures += 1
        if not pictures:
            began = time.monotonic()  # they are still starting
            continue
        for name, end in ends.items():
            rows[name].append(health(end.pid))
        last = [
            f"{memory / 2**20:.1f}, {threads}, {files}" for memory, threads, files in (r[-1] for r in rows.values())
        ]
        print(f"| {time.monotonic() - began:.0f} | {pictures} | {' | '.join(last)} |", flush=True)
    return rows, pictures


def soak(folder: Path, seconds: float, every: float, page: bool = False) -> None:
    """Raises ``AssertionError`` where something grows."""
    (folder / "models").mkdir()
    env = {**os.environ, "DS2C2_MODELS": str(write_tiny_models(folder / "models")), "PYTHONUNBUFFERED": "1"}
    picture = folder / "a.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)).save(picture)
    port, out = free_port(), folder / "got"
    words = ["receive", "--from", f"udp://127.0.0.1:{port}", "--out", str(out), "--wait", "100000"]
    from ds2c2.networks.modelfiles import pinned

    os.environ["DS2C2_MODELS"] = env["DS2C2_MODELS"]
    words += ["--format", pinned(STREAM).text, *(("--http", "127.0.0.1:0") if page else ())]
    clients = None
    with open(folder / "said", "wb") as said:
        receiver = subprocess.Popen([sys.executable, "-m", "ds2c2", *words], env=env, stdout=said)
    ends = {"receive": receiver}
    try:
        until = time.monotonic() + STARTING_SECONDS
        while b"listening" not in (folder / "said").read_bytes():
            assert receiver.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        before = health(receiver.pid)
        if page:
            said = (folder / "said").read_text().splitlines()
            clients = Clients(next(line.split()[-1] for line in said if line.startswith("page at")))
        given = [pinned(STREAM).text, str(picture), str(port), str(PICTURES_A_SECOND)]
        ends["flowgraph"] = subprocess.Popen([sys.executable, "-c", SENDER, *given], env=env)
        rows, pictures = watch(ends, out, seconds, every)
        if clients:
            clients.stop()
            print("clients:", ", ".join(f"{count} {what}" for what, count in clients.answers.items()))
            check_at_rest(receiver, before)
    finally:
        for end in ends.values():
            end.kill()
            end.wait()
    for name, seen in rows.items():
        more = 2 if clients and name == "receive" else 0  # a connection that is open just now, or not
        settled = np.array(seen[len(seen) // 5 :])
        half = len(settled) // 2
        grown = np.median(settled[half:, 0]) - np.median(settled[:half, 0])
        print(f"{name}: from the first half to the second {grown / 2**20:+.2f} MiB")
        assert settled[-1, 0] - settled[0, 0] < GROWTH, (
            f"{name} grew by {(settled[-1, 0] - settled[0, 0]) / 2**20:.1f} MiB"
        )
        most = settled[0] + (0, more, 1 + more)
        assert (settled[:, 1:].max(axis=0) <= most[1:]).all(), f"{name}: {settled}"
    assert pictures > 0


if __name__ == "__main__":
    main()
