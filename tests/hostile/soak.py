# SPDX-License-Identifier: GPL-3.0-or-later
"""A flowgraph that repeats a picture for ever and ``ds2c2 receive``, for as long as wanted: nothing may grow.

    python tests/hostile/soak.py --minutes 60

Pictures of 64x64 go by UDP on loopback. Of both processes memory, threads and descriptors are read every
``--every`` seconds; after the first fifth of the time memory may grow by ``GROWTH`` and the others not at all.
Received pictures are removed once they are counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ds2c2-soak-") as top:
        soak(Path(top), 60 * arguments.minutes, arguments.every)


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


def soak(folder: Path, seconds: float, every: float) -> None:
    """Raises ``AssertionError`` where something grows."""
    (folder / "models").mkdir()
    env = {**os.environ, "DS2C2_MODELS": str(write_tiny_models(folder / "models")), "PYTHONUNBUFFERED": "1"}
    picture = folder / "a.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)).save(picture)
    port, out = free_port(), folder / "got"
    words = ["receive", "--from", f"udp://127.0.0.1:{port}", "--out", str(out), "--wait", "100000"]
    from ds2c2.networks.modelfiles import pinned

    os.environ["DS2C2_MODELS"] = env["DS2C2_MODELS"]
    words += ["--format", pinned(STREAM).text]
    with open(folder / "said", "wb") as said:
        receiver = subprocess.Popen([sys.executable, "-m", "ds2c2", *words], env=env, stdout=said)
    ends = {"receive": receiver}
    try:
        until = time.monotonic() + STARTING_SECONDS
        while b"listening" not in (folder / "said").read_bytes():
            assert receiver.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        given = [pinned(STREAM).text, str(picture), str(port), str(PICTURES_A_SECOND)]
        ends["flowgraph"] = subprocess.Popen([sys.executable, "-c", SENDER, *given], env=env)
        rows, pictures = watch(ends, out, seconds, every)
    finally:
        for end in ends.values():
            end.kill()
            end.wait()
    for name, seen in rows.items():
        settled = np.array(seen[len(seen) // 5 :])
        half = len(settled) // 2
        grown = np.median(settled[half:, 0]) - np.median(settled[:half, 0])
        print(f"{name}: from the first half to the second {grown / 2**20:+.2f} MiB")
        assert settled[-1, 0] - settled[0, 0] < GROWTH, (
            f"{name} grew by {(settled[-1, 0] - settled[0, 0]) / 2**20:.1f} MiB"
        )
        assert settled[:, 1].max() <= settled[0, 1] and settled[:, 2].max() <= settled[0, 2] + 1, f"{name}: {settled}"
    assert pictures > 0


if __name__ == "__main__":
    main()
