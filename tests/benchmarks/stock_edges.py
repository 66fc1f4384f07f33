# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stock blocks, set how, carry the edges between our blocks: the tables of docs/edges.md.

    python tests/benchmarks/stock_edges.py [--edge packets] [--only UDP]

A row is two flowgraphs in a process of its own: random code blocks, the edge cut by two stock blocks, and soft bits
that are compared with what was sent. It is stopped after WAIT seconds and killed after LIMIT: nothing waits for ever.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "gr-ds2c2"))
sys.path.insert(0, str(CHECKOUT / "tests"))

from checkout import use_checkout  # noqa: E402

use_checkout()

import numpy as np  # noqa: E402
import pmt  # noqa: E402
from gnuradio import blocks, ds2c2, gr, network, zeromq  # noqa: E402
from gnuradio.ds2c2._stage import END_TAG, format_tag, frame_tag  # noqa: E402

from ds2c2.stream.softbits import to_soft  # noqa: E402
from ds2c2.stream.streamformat import StreamFormat  # noqa: E402
from freeport import free_port  # noqa: E402

SEED = 1
FRAMES = 20
STREAM = StreamFormat(480, 320, survive=0.5)
RATE, SLOW = 2000, 500  # items/s; RATE where a row says nothing else
PACED_TOGETHER = 20  # items: what comes at RATE comes evenly, every 10 ms
WAIT = 6.0  # seconds that the receiving flowgraph has after the sending one has ended
LIMIT = 60.0  # seconds of a row's process
SETTLE = 0.5  # seconds for a connection to come about before something is sent
SERVER, CLIENT = 2, 1  # network.tcp_sink's modes
EDGES = {"packets": STREAM.packet_bytes, "code blocks": STREAM.block_size, "soft bits": 8 * STREAM.block_size}
YES, NO = True, False

Parts = list  # of blocks in a row
Rows = list[tuple[str, str, "Cut"]]


class Cut:
    """Two stock blocks in place of an edge: ``sink`` and ``source`` make them and what must stand beside them.
    ``first``: which of both flowgraphs starts first, ``after``: the other one only once it has ended."""

    def __init__(
        self,
        sink: Callable[[], Parts],
        source: Callable[[], Parts],
        rate: float = RATE,
        first: str = "source",
        after: bool = False,
    ):
        self.sink, self.source, self.rate, self.first, self.after = sink, source, rate, first, after


def as_bytes(size: int, sink: Callable, source: Callable, **more) -> Cut:
    """The stock blocks count bytes; vectors are made of them and taken apart beside them."""
    return Cut(
        lambda: [blocks.vector_to_stream(1, size), sink(1)],
        lambda: [source(1), blocks.stream_to_vector(1, size)],
        **more,
    )


def as_vectors(size: int, sink: Callable, source: Callable, **more) -> Cut:
    """The stock blocks count vectors of an edge's size."""
    return Cut(lambda: [sink(size)], lambda: [source(size)], **more)


def mixed(size: int, sink: Callable, source: Callable, **more) -> Cut:
    """The sink counts vectors, the source bytes."""
    return Cut(lambda: [sink(size)], lambda: [source(1), blocks.stream_to_vector(1, size)], **more)


def udp(header: int, payload: int, zeros: bool = NO, eof: bool = NO) -> tuple[Callable, Callable]:
    port = free_port()
    return (
        lambda size: network.udp_sink(1, size, "127.0.0.1", port, header, payload, eof),
        lambda size: network.udp_source(1, size, port, header, payload, NO, zeros, NO),
    )


def tcp(server: str) -> tuple[Callable, Callable]:
    port = free_port()
    mode = SERVER if server == "sink" else CLIENT
    return (
        lambda size: network.tcp_sink(1, size, "127.0.0.1", port, mode),
        lambda size: network.tcp_source.tcp_source(size, "127.0.0.1", port, server == "source"),
    )


def zmq(kind: str, sink_tags: bool, source_tags: bool, hwm: int = -1) -> tuple[Callable, Callable]:
    to, from_ = {
        "PUSH": ("push_sink", "pull_source"),
        "PUB": ("pub_sink", "sub_source"),
        "REP": ("rep_sink", "req_source"),
    }[kind]
    address = f"tcp://127.0.0.1:{free_port()}"
    return (
        lambda size: getattr(zeromq, to)(1, size, address, 100, sink_tags, hwm),
        lambda size: getattr(zeromq, from_)(1, size, address, 100, source_tags, hwm),
    )


def file(repeat: bool = NO) -> tuple[Callable, Callable]:
    path = str(Path(tempfile.gettempdir()) / "items")
    return lambda size: blocks.file_sink(size, path), lambda size: blocks.file_source(size, path, repeat)


def udp_rows(size: int) -> Rows:
    many = 1472 // size * size  # as many items as the default payload has room for
    slow = {"rate": SLOW}
    return [
        ("UDP", f"vector length 1, header none, payload {size}, {SLOW}/s", as_bytes(size, *udp(0, size), **slow)),
        ("UDP", f"the same, {RATE}/s", as_bytes(size, *udp(0, size))),
        ("UDP", "the same, at once", as_bytes(size, *udp(0, size), rate=0)),
        ("UDP", f"the same, source zeros, {RATE}/s", as_bytes(size, *udp(0, size, zeros=YES))),
        ("UDP", f"the same, null packet as EOF, {SLOW}/s", as_bytes(size, *udp(0, size, eof=YES), **slow)),
        ("UDP", f"vector length 1, header none, payload {many}, {RATE}/s", as_bytes(size, *udp(0, many))),
        ("UDP", "the same, at once", as_bytes(size, *udp(0, many), rate=0)),
        ("UDP", f"vector length 1, header none, payload 1472 (default), {RATE}/s", as_bytes(size, *udp(0, 1472))),
        ("UDP", "the same, at once", as_bytes(size, *udp(0, 1472), rate=0)),
        (
            "UDP",
            f"vector length {size}, header none, payload {size}, {SLOW}/s",
            as_vectors(size, *udp(0, size), **slow),
        ),
        (
            "UDP",
            f"vector length {size}, header none, payload {many}, {SLOW}/s",
            as_vectors(size, *udp(0, many), **slow),
        ),
        ("UDP", f"vector length 1, header sequence, payload {size}, {SLOW}/s", as_bytes(size, *udp(1, size), **slow)),
        ("UDP", f"the same, payload {size} + 8", as_bytes(size, *udp(1, size + 8), **slow)),
        (
            "UDP",
            f"vector length 1, header sequence + size, payload {size} + 10",
            as_bytes(size, *udp(2, size + 10), **slow),
        ),
        ("UDP", f"the same, payload {size} + 16", as_bytes(size, *udp(2, size + 16), **slow)),
    ]


def tcp_rows(size: int) -> Rows:
    return [
        ("TCP", "vector length 1, source is the server", as_bytes(size, *tcp("source"))),
        ("TCP", f"vector length {size}, source is the server, at once", as_vectors(size, *tcp("source"), rate=0)),
        ("TCP", "vector length 1, sink is the server", as_bytes(size, *tcp("sink"), first="sink")),
    ]


def zmq_rows(size: int) -> Rows:
    rows = []
    for kind, words in (("PUSH", "PUSH, PULL"), ("PUB", "PUB, SUB"), ("REP", "REP, REQ")):
        name = f"ZMQ {words}"
        rows += [
            (name, f"vector length {size}, pass tags no", as_vectors(size, *zmq(kind, NO, NO))),
            (name, "the same, at once", as_vectors(size, *zmq(kind, NO, NO), rate=0)),
            (name, f"vector length {size}, pass tags yes", as_vectors(size, *zmq(kind, YES, YES))),
            (name, "vector length 1, pass tags no", as_bytes(size, *zmq(kind, NO, NO))),
            (name, "the same, at once", as_bytes(size, *zmq(kind, NO, NO), rate=0)),
            (name, f"vector length {size}, high watermark 2, at once", as_vectors(size, *zmq(kind, NO, NO, 2), rate=0)),
        ]
    return [
        *rows,
        ("ZMQ PUSH, PULL", "vector length 1, pass tags: sink yes, source no", as_bytes(size, *zmq("PUSH", YES, NO))),
        ("ZMQ PUSH, PULL", "vector length 1, pass tags: sink no, source yes", as_bytes(size, *zmq("PUSH", NO, YES))),
        ("ZMQ PUSH, PULL", f"vector length: sink {size}, source 1", mixed(size, *zmq("PUSH", NO, NO))),
    ]


def file_rows(size: int) -> Rows:
    there = {"first": "sink", "after": True, "rate": 0}
    return [
        ("File", "vector length 1", as_bytes(size, *file(), **there)),
        ("File", f"vector length {size}", as_vectors(size, *file(), **there)),
        ("File", "the same, Repeat", as_vectors(size, *file(repeat=YES), **there)),
    ]


def other_rows(size: int) -> Rows:
    """Of the edges that carry no packet numbers: what is lost is not known behind them."""
    there = {"first": "sink", "after": True, "rate": 0}
    return [
        ("UDP", f"vector length 1, header none, payload {size}, {SLOW}/s", as_bytes(size, *udp(0, size), rate=SLOW)),
        ("TCP", "vector length 1, source is the server", as_bytes(size, *tcp("source"))),
        ("ZMQ PUSH, PULL", f"vector length {size}, pass tags no", as_vectors(size, *zmq("PUSH", NO, NO))),
        ("ZMQ PUSH, PULL", f"vector length {size}, pass tags yes", as_vectors(size, *zmq("PUSH", YES, YES))),
        ("ZMQ PUSH, PULL", "vector length 1, pass tags yes", as_bytes(size, *zmq("PUSH", YES, YES))),
        ("ZMQ PUB, SUB", f"vector length {size}, pass tags yes", as_vectors(size, *zmq("PUB", YES, YES))),
        ("ZMQ REP, REQ", f"vector length {size}, pass tags yes", as_vectors(size, *zmq("REP", YES, YES))),
        ("File", f"vector length {size}", as_vectors(size, *file(), **there)),
    ]


def all_rows(edge: str) -> Rows:
    """Kind, settings and cut of every row of an edge."""
    size = EDGES[edge]
    if edge != "packets":
        return other_rows(size)
    return [*udp_rows(size), *tcp_rows(size), *zmq_rows(size), *file_rows(size)]


class row_keeper(gr.sync_block):
    """Keeps what comes as arrays."""

    def __init__(self, size: int):
        gr.sync_block.__init__(self, "row_keeper", [(np.int8, size)], None)
        self.kept: list[np.ndarray] = []

    def work(self, input_items, output_items):
        self.kept.append(input_items[0].copy())
        return len(input_items[0])


def tagged(offset: int, key, value) -> gr.tag_t:
    tag = gr.tag_t()
    tag.offset, tag.key, tag.value = offset, key, value
    return tag


def code_blocks() -> np.ndarray:
    shape = (FRAMES * STREAM.blocks, STREAM.block_size)
    return np.random.default_rng(SEED).integers(0, 256, shape, np.uint8)


def source_of(rows: np.ndarray):
    tags = [tagged(len(rows) - 1, END_TAG, pmt.PMT_T)]
    for number in range(FRAMES):
        place = number * STREAM.blocks
        tags += [tagged(place, *frame_tag(number, STREAM.base_blocks)), tagged(place, *format_tag(STREAM))]
    return blocks.vector_source_b(rows.reshape(-1).tolist(), False, STREAM.block_size, tags)


def sides(edge: str) -> tuple[Parts, Parts]:
    """Our blocks before and behind the cut, without source and sink."""
    ours = [
        ds2c2.interleaver(STREAM),
        ds2c2.packetizer(STREAM),
        ds2c2.depacketizer(STREAM),
        ds2c2.deinterleaver(STREAM),
    ]
    place = {"code blocks": 1, "packets": 2, "soft bits": 3}[edge]
    return ours[:place], ours[place:]


def measure(edge: str, cut: Cut) -> dict:
    """Run both flowgraphs; what arrived, and who ended."""
    truth = code_blocks()
    before, behind = sides(edge)
    keeper = row_keeper(8 * STREAM.block_size)
    sending, receiving = gr.top_block(), gr.top_block()

    def build_sender() -> None:
        sink = cut.sink()
        pace = [blocks.throttle(EDGES[edge], cut.rate)] if cut.rate else []
        for block in pace:
            block.set_max_noutput_items(PACED_TOGETHER)
        sending.connect(source_of(truth), *before, *pace, *sink)

    def build_receiver() -> None:
        source = cut.source()
        receiving.connect(*source, *behind, keeper)
        ender = next((block for block in behind if block.name() in ("packetizer", "depacketizer")), None)
        # A TCP source ends with its connection, and is no block with a port of its own.
        if ender is not None and not isinstance(source[0], gr.hier_block2):
            receiving.msg_connect(ender, "ended", source[0], "system")

    def run(build: Callable, graph: gr.top_block, go: threading.Event) -> threading.Thread:
        def work() -> None:
            build()
            go.wait()
            graph.run()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    names = ["sink", "source"] if cut.first == "sink" else ["source", "sink"]
    sides_ = {"sink": (build_sender, sending), "source": (build_receiver, receiving)}
    go = {name: threading.Event() for name in names}
    threads = {}
    # Connections come about before anything is sent, but a file is there before it is read.
    for name in names:
        threads[name] = run(*sides_[name], go[name])
        if cut.after and name == cut.first:
            go[name].set()
            threads[name].join(LIMIT / 3)
        time.sleep(SETTLE)
    for name in names:
        go[name].set()
        time.sleep(SETTLE)
    threads["sink"].join(LIMIT / 3)
    sender_ended = not threads["sink"].is_alive()
    began = time.monotonic()
    threads["source"].join(WAIT)
    ended = not threads["source"].is_alive()
    seconds = time.monotonic() - began
    # What hangs is left alone: this process ends.
    if not ended:
        receiving.stop()
        threads["source"].join(WAIT)
    failed = ds2c2.errors()
    ds2c2.clear_errors()
    soft = np.concatenate(keeper.kept) if keeper.kept else np.zeros((0, 8 * STREAM.block_size), np.int8)
    wanted = to_soft(truth, np.ones(len(truth), bool))
    known = {row.tobytes() for row in wanted}
    whole = {frame.tobytes() for frame in wanted.reshape(FRAMES, STREAM.blocks, -1)}
    frames = soft[: len(soft) // STREAM.blocks * STREAM.blocks].reshape(-1, STREAM.blocks, soft.shape[1])
    return {
        "blocks": len({row.tobytes() for row in soft} & known),
        "frames": len({frame.tobytes() for frame in frames} & whole),
        "ended": ended,
        "sender_ended": sender_ended,
        "seconds": round(seconds, 1),
        "said": str(failed[0]) if failed else "",
    }


def run_row(edge: str, place: int) -> dict:
    """A row in a process of its own, its files in a folder that goes with it."""
    words = [sys.executable, __file__, "--edge", edge, "--row", str(place)]
    with tempfile.TemporaryDirectory(prefix="ds2c2-edge-") as folder:
        known = {**os.environ, "TMPDIR": folder}
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, env=known)
        except subprocess.TimeoutExpired:
            return {"said": f"killed after {LIMIT:g} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        if done.returncode < 0:
            return {"said": f"the process ends by {signal.Signals(-done.returncode).name}"}
        return {"said": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}


def cells(result: dict) -> tuple[str, str, str, str]:
    if "frames" not in result:
        return "-", "-", "no", result["said"]
    sent = FRAMES * STREAM.blocks
    notes = [result["said"]] if result["said"] else []
    if not result["sender_ended"]:
        notes.append("the sending flowgraph does not end")
    return (
        f"{result['blocks']} of {sent}",
        f"{result['frames']} of {FRAMES}",
        "yes" if result["ended"] else "no",
        "; ".join(notes),
    )


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", choices=EDGES, action="append", help="one edge, else all")
    parser.add_argument("--only", default="", help="rows whose first column begins so")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    edges = arguments.edge or list(EDGES)
    if arguments.row is not None:
        result = measure(edges[0], all_rows(edges[0])[arguments.row][2])
        print("\n" + json.dumps(result), flush=True)
        os._exit(0)  # a flowgraph that does not end must not keep this process
    print(
        f"GNU Radio {gr.version()}, numpy {np.__version__}, Python {platform.python_version()}, {processor()}, "
        f"{len(os.sched_getaffinity(0))} cores; {FRAMES} frames of {STREAM.blocks} random blocks of "
        f"{STREAM.block_size} bytes, seed {SEED}, {RATE} items/s where no rate is named; "
        "`python tests/benchmarks/stock_edges.py`"
    )
    for edge in edges:
        print(f"\n{edge}: items of {EDGES[edge]} bytes\n\n| blocks | settings | items | pictures | ends by itself | |")
        print("|---|---|---|---|---|---|")
        for place, (kind, settings, _) in enumerate(all_rows(edge)):
            if kind.startswith(arguments.only):
                print("|", " | ".join((kind, settings, *cells(run_row(edge, place)))), "|", flush=True)


if __name__ == "__main__":
    main()
