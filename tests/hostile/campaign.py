# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile packets amid a genuine stream, seeded, as many as wanted; every genuine picture must come out.

    python tests/hostile/campaign.py --packets 1000000      # a table: each way, each stream format
    python tests/hostile/campaign.py --way udp --format signed --packets 200000 --seed 7

Two hostile packets come for each genuine one: noise, bits flipped in copies, right checks over any numbers, replays,
other streams and formats, ends of every kind, by UDP also too short and too long ones. Without a key a forged block
that comes before the genuine one of its place is kept; those are counted, and nothing else may differ. Packets a second
are those of one core's time, this script's checks among it and the making of packets not.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402

from ds2c2.stream.assembler import FrameAssembler, LinkCounts  # noqa: E402
from ds2c2.stream.packetcheck import PacketCheck, key_id  # noqa: E402
from ds2c2.stream.packets import FRAME_MODULUS, TYPE_BLOCK, TYPE_END, Packetizer, build_packets  # noqa: E402
from ds2c2.stream.softbits import to_hard  # noqa: E402
from ds2c2.stream.strays import steps_between  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402
from ds2c2.transport.udp import UdpReceiver, UdpSender  # noqa: E402

KEY = bytes(range(32))
MODEL = "coded@00000000"  # weights that nobody has: no picture is decoded here
VERSION_2 = StreamFormat(96, 96, bpp=0.9, block_size=48, survive=0.3, layout="spread", model=MODEL)
FORMATS = {
    "version 1": StreamFormat(96, 96, bpp=0.9, block_size=48, model=MODEL),
    "version 2": VERSION_2,
    "signed": replace(VERSION_2, key=key_id(KEY)),
}
WAYS = ("library", "udp", "block")
STREAM_NUMBER = 3
BATCH = 300  # packets that are sent and read together, a third of them genuine
HOSTILE = 2  # packets for each genuine one
KINDS = {"noise": 0.3, "flips": 0.2, "numbers": 0.3, "near": 0.03, "replays": 0.04, "others": 0.08, "ends": 0.05}
# What the process may grow by beside what is measured: caches of numpy and the allocator.
GROWTH = 48 << 20  # bytes
FAR = 1000  # frames; a forged block further off is not of a frame that a receiver has open
LONGEST = 3000  # bytes of a datagram


@dataclass
class Outcome:
    """What came of a run; ``displaced`` are genuine blocks in whose place a forged one had come first."""

    way: str
    format: str
    packets: int
    frames: int
    whole: int
    displaced: int
    seconds: float  # of the processor
    before: int  # bytes of memory
    after: int
    counts: LinkCounts

    @property
    def row(self) -> str:
        rate = self.packets / self.seconds
        memory = f"{self.before / 2**20:6.1f} | {self.after / 2**20:6.1f}"
        return (
            f"| {self.way} | {self.format} | {self.packets} | {self.frames} | {self.whole} | {self.displaced} | "
            f"{rate:.0f} | {memory} |"
        )


HEAD = (
    "| way | stream | packets | genuine pictures | whole | blocks displaced | packets/s | MiB before | MiB after |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def memory() -> int:
    """Bytes that this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Mixture:
    """Batches of packets, genuine ones in order among hostile ones, and what must come of them.

    ``expected`` holds the blocks of frames that were sent and not checked yet, ``displaced`` the places
    (frame, index) at which a forged block came first.
    """

    def __init__(self, stream: StreamFormat, key: bytes, seed: int):
        self.stream, self.key = stream, key
        self.rng = np.random.default_rng(seed)
        self.sender = Packetizer(stream, STREAM_NUMBER, key, session=1_000_000)
        self.forger = replace(stream, key=key_id(b"another")) if key else stream
        self.expected: dict[int, np.ndarray] = {}
        self.forged: dict[int, set[int]] = {}  # indices by 16-bit frame, of frames that are still to be checked
        self.past = np.zeros((0, stream.packet_bytes), np.uint8)
        self.sent = 0  # genuine packets
        self.spent = 0.0  # seconds on making all this

    def batch(self, last: bool = False) -> np.ndarray:
        """The next packets ``uint8[n, packet_bytes]``; the last ones bring the genuine end."""
        begun = time.thread_time()
        rows = self._batch(last)
        self.spent += time.thread_time() - begun
        return rows

    def _batch(self, last: bool) -> np.ndarray:
        stream, rng = self.stream, self.rng
        genuine = BATCH // (1 + HOSTILE)
        if last:
            genuine = -self.sent % stream.blocks
        blocks = rng.integers(0, 256, (genuine, stream.block_size), np.uint8)
        first = self.sent
        self.sent += genuine
        for place, block in enumerate(blocks, first):
            frame, index = divmod(place, stream.blocks)
            self.expected.setdefault(frame, np.zeros((stream.blocks, stream.block_size), np.uint8))[index] = block
        packets = self.sender.pack(blocks)
        # Hostile ones know all that was sent before this batch.
        kinds = rng.choice(len(KINDS), HOSTILE * genuine, p=list(KINDS.values()))
        hostile = [getattr(self, kind)(int((kinds == number).sum())) for number, kind in enumerate(KINDS)]
        hostile = rng.permutation(np.concatenate(hostile))
        order = rng.permutation(len(hostile) + genuine) < genuine
        mixed = np.empty((len(order), stream.packet_bytes), np.uint8)
        mixed[order], mixed[~order] = packets, hostile
        self.past = np.concatenate([self.past, packets])[-20 * BATCH :]
        return np.concatenate([mixed, self.sender.end()]) if last else mixed

    @property
    def here(self) -> int:
        return self.sent // self.stream.blocks

    def noise(self, count: int) -> np.ndarray:
        return self.rng.integers(0, 256, (count, self.stream.packet_bytes), np.uint8)

    def flips(self, count: int) -> np.ndarray:
        """Copies of what was sent, one to forty bits of each another."""
        copies = self.replays(count)
        for copy in copies:
            bits = self.rng.integers(0, 8 * len(copy), self.rng.integers(1, 41))
            np.bitwise_xor.at(copy, bits // 8, (1 << bits % 8).astype(np.uint8))
        return copies

    def numbers(self, count: int) -> np.ndarray:
        """Right checks, any frame."""
        return self._forge(self.rng.integers(0, FRAME_MODULUS, count))

    def near(self, count: int) -> np.ndarray:
        """Right checks, a little ahead or behind."""
        return self._forge((self.here + self.rng.integers(-80, 130, count)) % FRAME_MODULUS)

    def replays(self, count: int) -> np.ndarray:
        if not len(self.past):
            return self.noise(count)
        return self.past[self.rng.integers(0, len(self.past), count)].copy()

    def others(self, count: int) -> np.ndarray:
        """Sound packets of another stream, and of another format."""
        half = count // 2
        frames = np.full(count, self.here % FRAME_MODULUS)
        other = replace(self.stream, seed=self.stream.seed + 1, key="")  # no header of a signed one: filled up
        rows = [self._packets(frames[:half], self.forger, STREAM_NUMBER + 1)]
        foreign = self._packets(frames[half:], other, STREAM_NUMBER)
        short = self.stream.packet_bytes - foreign.shape[1]
        return np.concatenate([*rows, np.pad(foreign, ((0, 0), (0, short)))])

    def ends(self, count: int) -> np.ndarray:
        """Now, soon, long ago, never."""
        choices = [0, 1, self.here, self.here + 1, self.here + 2, self.here + 50, 2**32 - 1]
        totals = self.rng.choice(choices, count)
        return self._packets(totals >> 16, self.forger, STREAM_NUMBER, TYPE_END, totals & 0xFFFF)

    def _forge(self, frames: np.ndarray) -> np.ndarray:
        packets = self._packets(frames, self.forger, STREAM_NUMBER)
        if not self.key:
            for packet in packets:
                frame, index = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:6], "big")
                if -FAR < steps_between(self.here % FRAME_MODULUS, frame) < FAR:
                    self.forged.setdefault(frame, set()).add(index)
        return packets

    def _packets(self, frames, stream, number, kind=TYPE_BLOCK, indices=None) -> np.ndarray:  # noqa: ANN001
        if indices is None:
            indices = self.rng.integers(0, self.stream.blocks, len(frames))
        blocks = self.rng.integers(0, 256, (len(frames), self.stream.block_size), np.uint8)
        check = PacketCheck(stream, b"another") if stream.key else None
        return build_packets(kind, number, np.asarray(frames), indices, blocks, stream, check, 2_000_000)

    def check(self, number: int, blocks: np.ndarray, arrived: np.ndarray) -> tuple[bool, int]:
        """Whether a frame is whole, and how many of its blocks a forged one had displaced. Asserts the rest."""
        expected, forged = self.expected.pop(number), self.forged.get(number % FRAME_MODULUS, ())
        self.forged.pop((number - 2 * FAR) % FRAME_MODULUS, None)
        wrong = np.flatnonzero((blocks != expected).any(axis=1) | ~arrived)
        strange = [int(index) for index in wrong if int(index) not in forged]
        assert not strange, f"frame {number}: blocks {strange} are not what was sent, and nobody forged them"
        return not len(wrong), len(wrong)


class Tally:
    """Checks frames as they come out."""

    def __init__(self, mixture: Mixture):
        self.mixture = mixture
        self.whole = self.displaced = self.frames = 0
        self.next = 0

    def take(self, number: int, blocks: np.ndarray, arrived: np.ndarray) -> None:
        if number not in self.mixture.expected and not arrived.any():
            return  # lost frames up to an end that was forged, behind all
        assert number == self.next, f"frame {number} came where {self.next} was due"
        self.next += 1
        self.frames += 1
        whole, displaced = self.mixture.check(number, blocks, arrived)
        self.whole += whole
        self.displaced += displaced


def batches(mixture: Mixture, packets: int) -> Iterator[np.ndarray]:
    for _ in range(-(-packets // BATCH)):
        yield mixture.batch()
    yield mixture.batch(last=True)


def by_library(mixture: Mixture, tally: Tally, packets: int) -> LinkCounts:
    assembler = FrameAssembler(mixture.stream, STREAM_NUMBER, key=mixture.key)
    for batch in batches(mixture, packets):
        for frame in assembler.push(batch):
            tally.take(frame.number, frame.blocks, frame.arrived)
    for frame in assembler.flush():
        tally.take(frame.number, frame.blocks, frame.arrived)
    return assembler.counts


def by_udp(mixture: Mixture, tally: Tally, packets: int) -> LinkCounts:
    """Over a real socket, datagrams of wrong sizes among them."""
    assembler = FrameAssembler(mixture.stream, STREAM_NUMBER, key=mixture.key)
    receiver = UdpReceiver("127.0.0.1", 0, mixture.stream.packet_bytes)
    sender = UdpSender("127.0.0.1", receiver._socket.getsockname()[1], rate=1e9)
    sent = 0
    try:
        for batch in batches(mixture, packets):
            for place in range(0, len(batch), 100):
                piece = batch[place : place + 100]
                odd = mixture.rng.integers(1, LONGEST)
                odd += odd % batch.shape[1] == 0  # several whole packets are packets
                sender.send(mixture.rng.integers(0, 256, (1, odd), np.uint8))
                sender.send(piece)
                sent += len(piece)
                # What the kernel has room for and no more: what is lost here would be the host's loss.
                until = time.monotonic() + 20
                while assembler.counts.received < sent and time.monotonic() < until:
                    for frame in assembler.push(receiver.read(1.0)):
                        tally.take(frame.number, frame.blocks, frame.arrived)
                assert assembler.counts.received == sent, "packets were lost on loopback"
        for frame in assembler.flush():
            tally.take(frame.number, frame.blocks, frame.arrived)
        assert sum(receiver.other_sizes.values()) > 0 and not receiver.dropped and not receiver.overflowed
    finally:
        sender.close()
        receiver.close()
    return assembler.counts


def by_block(mixture: Mixture, tally: Tally, packets: int) -> LinkCounts:
    """Through the Depacketizer in a flowgraph."""
    import pmt
    from gnuradio import ds2c2, gr

    stream = mixture.stream
    rows = batches(mixture, packets)

    class hostile_source(gr.sync_block):
        def __init__(self):
            gr.sync_block.__init__(self, "hostile_source", None, [(np.uint8, stream.packet_bytes)])
            self.left = np.zeros((0, stream.packet_bytes), np.uint8)

        def work(self, input_items, output_items):
            if not len(self.left):
                self.left = next(rows, self.left)
            count = min(len(self.left), len(output_items[0]))
            output_items[0][:count], self.left = self.left[:count], self.left[count:]
            return count or -1

    class checking_sink(gr.sync_block):
        def __init__(self):
            gr.sync_block.__init__(self, "checking_sink", [(np.int8, 8 * stream.block_size)], None)
            self.set_output_multiple(stream.blocks)
            self.error: Exception | None = None

        def work(self, input_items, output_items):
            (number,) = [
                pmt.to_long(pmt.car(tag.value))
                for tag in self.get_tags_in_window(0, 0, stream.blocks)
                if pmt.symbol_to_string(tag.key) == "ds2c2_frame"
            ]
            try:
                if self.error is None:
                    tally.take(number, *to_hard(input_items[0][: stream.blocks]))
            except AssertionError as error:
                self.error = error
            return stream.blocks

    path = None
    if mixture.key:
        import tempfile

        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / "link.key"
        path.touch(mode=0o600)
        path.write_text(mixture.key.hex() + "\n")
    depacketizer = ds2c2.depacketizer(stream, STREAM_NUMBER, timeout=0.3, key=str(path or ""))
    source, sink = hostile_source(), checking_sink()  # GNU Radio holds no Python block by itself
    graph = gr.top_block()
    graph.connect(source, depacketizer, sink)
    graph.run()
    assert ds2c2.errors() == []
    if sink.error is not None:
        raise sink.error
    return depacketizer.counts


def run(way: str, name: str, packets: int, seed: int) -> Outcome:
    """One way, one stream format. Raises ``AssertionError`` when a genuine picture does not come out."""
    stream = FORMATS[name]
    key = KEY if stream.key else b""
    go = {"library": by_library, "udp": by_udp, "block": by_block}[way]
    warm = Mixture(stream, key, seed + 1)
    go(warm, Tally(warm), 10 * BATCH)
    mixture = Mixture(stream, key, seed)
    tally = Tally(mixture)
    before, start = memory(), time.process_time()
    counts = go(mixture, tally, packets)
    seconds, after = time.process_time() - start - mixture.spent, memory()
    frames = mixture.sent // stream.blocks
    assert tally.next == frames and not mixture.expected, f"{frames - tally.next} of {frames} pictures did not come out"
    assert counts.received >= packets and counts.resyncs == 0
    if key:
        assert tally.whole == frames
    assert after - before < GROWTH, f"grew by {(after - before) / 2**20:.0f} MiB"
    return Outcome(way, name, counts.received, frames, tally.whole, tally.displaced, seconds, before, after, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packets", type=int, default=100_000, help="of each way and stream format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--format", choices=FORMATS, action="append")
    arguments = parser.parse_args()
    print(HEAD)
    for way in arguments.way or WAYS:
        for name in arguments.format or FORMATS:
            outcome = run(way, name, arguments.packets, arguments.seed)
            print(outcome.row, flush=True)
            print(f"    {outcome.counts.line()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
