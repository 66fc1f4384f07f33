# SPDX-License-Identifier: GPL-3.0-or-later
"""Flowgraphs and commands understand each other over UDP, through GNU Radio's own UDP blocks, either way."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from gnuradio import blocks, ds2c2, gr, network
from PIL import Image

from checkout import CHECKOUT
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.streamformat import StreamFormat
from freeport import free_port

pytestmark = pytest.mark.usefixtures("models")

DEADLINE = 120  # seconds: far above what any of this takes
SIZE = (192, 128)
STREAM = StreamFormat(*SIZE, bpp=0.6, survive=0.5)
HEADER_NONE = 0  # of the UDP blocks
TOGETHER = 13  # packets in a datagram, as many as an Ethernet frame has room for


@pytest.fixture
def pictures(tmp_path):
    """A folder of two pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(2):
        noise = rng.integers(0, 256, (SIZE[1] // 16, SIZE[0] // 16, 3), np.uint8)
        Image.fromarray(noise).resize(SIZE, Image.BICUBIC).save(folder / f"{number}.png")
    return folder


def command(folder, *words):
    path = os.pathsep.join([str(CHECKOUT / "gr-ds2c2"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "ds2c2", *words], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def to_udp(stream, pictures, port, payload):
    """Encoder Source to UDP Sink."""
    graph = gr.top_block()
    udp = network.udp_sink(1, 1, "127.0.0.1", port, HEADER_NONE, payload, False)
    parts = (ds2c2.encoder_source(stream, str(pictures)), ds2c2.interleaver(stream), ds2c2.packetizer(stream))
    graph.connect(*parts, blocks.vector_to_stream(1, stream.packet_bytes), udp)
    return graph


def test_a_flowgraph_sends_and_the_command_receives(tmp_path, pictures):
    """As many packets in a datagram as fit."""
    port = free_port()
    sending = to_udp(STREAM, pictures, port, TOGETHER * STREAM.packet_bytes)
    where = f"udp://127.0.0.1:{port}"
    process = command(tmp_path, "receive", "--from", where, "--format", pinned(STREAM).text, "--out", "received")
    try:
        line = process.stdout.readline()
        assert line.startswith("listening"), line + process.stdout.read()
        sending.run()
        said, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    assert process.returncode == 0 and "wrote 2 pictures" in said and "0 of them concealed" in said, said


def test_the_command_sends_and_a_flowgraph_receives(tmp_path, pictures):
    stream, port = STREAM, free_port()
    graph = gr.top_block()
    udp = network.udp_source(1, 1, port, HEADER_NONE, stream.packet_bytes, False, False, False)
    depacketizer = ds2c2.depacketizer(stream, timeout=20)  # what a busy machine holds up is not lost
    sink = ds2c2.decoder_sink(stream, originals=str(pictures))
    graph.connect(udp, blocks.stream_to_vector(1, stream.packet_bytes), depacketizer)
    graph.connect(depacketizer, ds2c2.deinterleaver(stream), sink)
    graph.msg_connect(depacketizer, "ended", udp, "system")
    graph.start()
    waiter = threading.Thread(target=graph.wait, daemon=True)
    waiter.start()
    words = ("send", str(pictures), "--to", f"udp://127.0.0.1:{port}", "--rate", "500", "--format", stream.text)
    process = command(tmp_path, *words)
    try:
        said, _ = process.communicate(timeout=DEADLINE)
        waiter.join(DEADLINE)
    finally:
        process.kill()
        hung = waiter.is_alive()
        graph.stop()
    assert process.returncode == 0 and not hung, said
    assert [result.lost for result in sink.results] == [0, 0] and ds2c2.errors() == []
