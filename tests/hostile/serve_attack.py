# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that send garbage, have wrong keys, stall or come back again and again, at ``ds2c2 serve``.

    python tests/hostile/serve_attack.py --rounds 1000     # of each kind; a table

Both hosts run as commands with keys. Before the attack, while it goes on and after it, memory, threads and
descriptors are read; then the genuine peer comes, and must be served all pictures.
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from checkout import use_checkout  # noqa: E402

use_checkout()

import zmq  # noqa: E402

from ds2c2.serve.keys import Keys, load_keys, make_keys  # noqa: E402
from ds2c2.serve.pipe import Address, Pipe  # noqa: E402
from freeport import free_port  # noqa: E402

# A greeting of ZMTP 3.1 (ZeroMQ RFC 37) for the mechanism that comes after it.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01"
GREETING_BYTES = 64
STALLING = 50  # connections that are held open and say nothing
REPLY_SECONDS = 0.2
KINDS = ("garbage", "greeting", "stranger", "no keys", "reconnect")


def rings(folder: Path) -> dict[str, Keys]:
    """Key folders of a GPU host and a radio host that know each other, and of a stranger who knows them."""
    public = {name: make_keys(folder / name, name)[0] for name in ("gpu", "radio", "stranger")}
    for owner, others in (("gpu", ["radio"]), ("radio", ["gpu"]), ("stranger", ["gpu"])):
        for other in others:
            (folder / owner / f"{other}.key").write_bytes(public[other].read_bytes())
    return {name: load_keys(folder / name) for name in public}


class Attack:
    """Connections of every kind to a host that listens; ``refused`` are those that found nobody.

    ``sends``: the host takes what peers send, and is sent messages.
    """

    def __init__(self, address: Address, stranger: Keys, sends: bool, seed: int = 1):
        self.address, self.stranger, self.sends = address, stranger, sends
        self.random = random.Random(seed)
        self.made = self.refused = 0
        self.held: list[socket.socket] = []
        self._context = zmq.Context()

    def run(self, rounds: int, kinds: tuple[str, ...] = KINDS) -> None:
        for _ in range(rounds):
            for kind in kinds:
                self.made += 1
                try:
                    self._one(kind)
                except OSError:
                    self.refused += 1
            if len(self.held) < STALLING:
                self._stall()

    def close(self) -> None:
        for one in self.held:
            one.close()
        self._context.destroy(0)

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.address.host, self.address.port), timeout=10)

    def _stall(self) -> None:
        try:
            one = self._connect()
        except OSError:
            self.refused += 1
            return
        if len(self.held) % 2:
            one.sendall(GREETING)  # and never the rest
        self.held.append(one)

    def _one(self, kind: str) -> None:
        if kind in ("garbage", "greeting", "reconnect"):
            with self._connect() as one:
                if kind == "garbage":
                    one.sendall(self.random.randbytes(self.random.randint(1, 20_000)))
                elif kind == "greeting":
                    mechanism = self.random.choice((b"NULL", b"CURVE", b"PLAIN", b"\xff" * 20))
                    one.sendall((GREETING + mechanism).ljust(GREETING_BYTES, b"\0") + self.random.randbytes(300))
            return
        peer = self._context.socket(zmq.PUSH if self.sends else zmq.PULL)
        try:
            if kind == "stranger":
                peer.curve_publickey, peer.curve_secretkey = self.stranger.public, self.stranger.secret
                peer.curve_serverkey = self.stranger.other()
            peer.connect(self.address.endpoint)
            if self.sends:
                peer.poll(1000 * REPLY_SECONDS / 20, zmq.POLLOUT)
                try:
                    peer.send(self.random.randbytes(1000), zmq.DONTWAIT)
                except zmq.Again:
                    pass
            else:
                assert not peer.poll(1000 * REPLY_SECONDS / 20), "a stranger was given a message"
        finally:
            peer.close(0)


def health(process: int) -> tuple[int, int, int]:
    """Bytes of memory, threads and descriptors of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    memory = 1024 * int(fields["VmRSS"].split()[0])
    return memory, int(fields["Threads"]), len(os.listdir(f"/proc/{process}/fd"))


HEAD = (
    "| host | connections | refused | MiB before | after | threads | descriptors | pictures served |\n"
    "|---|---|---|---|---|---|---|---|"
)
GROWTH = 24 << 20  # bytes that a host may grow by, caches of its allocator


def host(side: str, folder: Path, rounds: int, models: Path) -> str:
    """A row of the table. Raises ``AssertionError`` where the host is not well or does not serve."""
    from ds2c2.serve.frames import FrameReader
    from ds2c2.stream.streamformat import StreamFormat

    keys = rings(folder)
    stream = StreamFormat(96, 64, bpp=0.9, block_size=40)
    address = Address.parse(f"tcp://127.0.0.1:{free_port()}")
    words = ["--at", address.text, "--keys", str(folder / "gpu"), "--wait", "3000"]
    if side == "encode":
        words = ["encode", str(folder / "in"), "--format", stream.text, *words]
    else:
        words = ["decode", "--out", str(folder / "got"), *words]
    env = {**os.environ, "DS2C2_MODELS": str(models), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ds2c2", "serve", *words], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        while "at tcp" not in (line := process.stdout.readline()) and "from tcp" not in line:
            assert line, "the host ended"
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        sends = side == "decode"
        attack = Attack(address, keys["stranger"], sends)
        attack.run(max(1, rounds // 20))  # what is made once
        before = health(process.pid)
        attack.run(rounds)
        while_stalling = health(process.pid)
        genuine = Pipe(address, sends=sends, listens=False, keys=keys["radio"])
        served = 0
        if sends:
            served = _send(genuine, stream, models)
        else:
            reader, until = FrameReader(), time.monotonic() + 60
            while not reader.ended and time.monotonic() < until:
                genuine.news()
                message = genuine.receive(0.5)
                if message is not None:
                    served += _count(reader, message)
        genuine.close(20)
        attack.close()
        code = process.wait(60)
        if sends:
            served = len(list((folder / "got").rglob("*.png")))
    finally:
        process.kill()
    assert code == 0, f"{side}: exit code {code}"
    assert while_stalling[0] - before[0] < GROWTH, f"{side}: grew by {(while_stalling[0] - before[0]) >> 20} MiB"
    assert served == PICTURES, f"{side}: {served} pictures"
    return (
        f"| {side} | {attack.made} | {attack.refused} | {before[0] / 2**20:.1f} | {while_stalling[0] / 2**20:.1f} | "
        f"{before[1]}, {while_stalling[1]} | {before[2]}, {while_stalling[2]} | {served} |"
    )


PICTURES = 4


def _frames(stream, models: Path):  # noqa: ANN001, ANN202
    import numpy as np

    from ds2c2.codec.codec import Codec

    codec = Codec(stream, "cpu", weights=models / "coded.safetensors")
    rng = np.random.default_rng(1)
    for number in range(PICTURES):
        yield codec.stream, number, codec.encode(rng.integers(0, 256, (64, 96, 3), np.uint8)).blocks


def _send(pipe: Pipe, stream, models: Path) -> int:  # noqa: ANN001
    """Soft bits of pictures, as a flowgraph's PUSH Sink sends them."""
    import numpy as np

    from ds2c2.stream.softbits import to_soft
    from ds2c2.stream.streamtags import END, FORMAT, FRAME, HEADER, Tag, pack_message, unpack_message

    for form, number, blocks in _frames(stream, models):
        tags = [Tag(0, FRAME, (number, form.base_blocks)), Tag(0, FORMAT, form.text)]
        if number == PICTURES - 1:
            tags.append(Tag(len(blocks) - 1, END, True))
        soft = to_soft(blocks, np.ones(len(blocks), bool))
        message = pack_message(tags, soft.tobytes(), 8 * form.block_size)
        at = number * len(blocks)
        # Offsets count from the stream's start.
        _, packed, items = unpack_message(message)
        moved = [Tag(tag.offset + at, tag.key, tag.value) for tag in packed]
        message = pack_message(moved, bytes(items), 8 * form.block_size)
        magic, version, _, count = HEADER.unpack_from(message)
        message = HEADER.pack(magic, version, at, count) + message[HEADER.size :]
        until = time.monotonic() + 60
        while not pipe.send(message, 0.5):
            pipe.news()
            assert time.monotonic() < until, "the genuine peer was not served"
    return PICTURES


def _count(reader, message: bytes) -> int:  # noqa: ANN001
    """Frames that begin in a message of code blocks."""
    from ds2c2.stream.streamtags import END, FRAME, unpack_message

    _, tags, _ = unpack_message(message)
    reader.ended = reader.ended or any(tag.key == END for tag in tags)
    return sum(tag.key == FRAME for tag in tags)


def main() -> None:
    import numpy as np
    from PIL import Image

    from tinymodels import write_tiny_models

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()
    print(HEAD, flush=True)
    for side in ("decode", "encode"):
        with tempfile.TemporaryDirectory(prefix="ds2c2-serve-") as top:
            folder = Path(top)
            (folder / "in").mkdir()
            (folder / "models").mkdir()
            rng = np.random.default_rng(1)
            for number in range(PICTURES):
                pixels = rng.integers(0, 256, (64, 96, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "in" / f"{number}.png")
            print(host(side, folder, arguments.rounds, write_tiny_models(folder / "models")), flush=True)


if __name__ == "__main__":
    main()
