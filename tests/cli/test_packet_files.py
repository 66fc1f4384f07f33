# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that others hand over: files of packets alone, datagrams of another size, places that are none."""

import contextlib
import json
import re
import socket
import threading
import urllib.request

import numpy as np
import pytest

from ds2c2 import errors
from ds2c2.cli.options import ChannelOptions
from ds2c2.cli.radio import ReceivingOptions, SendingOptions
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.fates import FATES
from freeport import free_port

# Packets of 56 and of 58 bytes.
VERSIONS = {1: ("--redundancy", "1"), 2: ("--survive", "0.5")}
OPTIONS = ("--bpp", "0.6", "--block-size", "48")


@pytest.mark.parametrize("version", VERSIONS)
def test_packets_alone_are_received(ds2c2, photographs, tmp_path, version):
    """As a File Sink writes them, with the sender's format without its digest of weights; a torn last one is said."""
    sent = ds2c2("send", photographs / "coffee.png", "--to", "recording", *OPTIONS, *VERSIONS[version])
    assert sent.returncode == 0, sent.stderr
    _, text, packets = (tmp_path / "recording").read_bytes().split(b"\n", 2)
    (tmp_path / "alone").write_bytes(packets + b"\x10\0\0")
    got = ds2c2("receive", "--from", "alone", "--format", text.decode().partition("@")[0], "--out", "received")
    assert got.returncode == 0, got.stderr
    assert "wrote 1 picture to received, 0 of them concealed" in got.stdout
    assert "3 bytes of a torn last packet" in got.stdout


def test_a_file_that_does_not_match_is_named(ds2c2, tmp_path):
    text = "ds2c2/1 160x128 bpp=0.6 block=50 redundancy=1 model=coded"
    packets = Packetizer(StreamFormat.parse(text.replace("50", "48"))).pack(np.zeros((40, 48), np.uint8))
    (tmp_path / "alone").write_bytes(packets.tobytes())
    done = ds2c2("receive", "--out", "received", "--from", "alone", "--format", text)
    assert done.returncode == errors.ExitCode.FORMAT and done.stderr.count("\n") == 1
    assert "alone: packets of 56 bytes came where 58 are wanted" in done.stderr
    assert not (tmp_path / "received").exists()


def test_datagrams_of_another_size_are_named(ds2c2):
    """While it waits and at its end, with the remedy; the null datagram of a UDP Sink is none of them."""
    text = "ds2c2/1 160x128 bpp=0.6 block=48 redundancy=1 model=coded"
    where, port = "udp://127.0.0.1", free_port()
    ended = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ended.wait(0.02):
                for size in (100, 0):
                    sender.sendto(bytes(size), ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        words = ("receive", "--from", f"{where}:{port}", "--format", text, "--out", "received")
        got = ds2c2(*words, "--timeout", "0.2", "--wait", "0.5")
    finally:
        ended.set()
        thread.join()
    assert got.returncode == errors.ExitCode.NOTHING_RECEIVED
    assert len(re.findall(r"\d+ datagrams? of 100 bytes where 56 are wanted: ", got.stdout)) == 1
    assert re.search(r"\d+ datagrams of 100 bytes where 56 are wanted; .*--format.* payload size 56\n$", got.stderr)


def test_what_is_no_packet_is_counted_while_it_comes_and_at_the_end(ds2c2):
    """Datagrams of other sizes and empty ones, before any packet of the stream: on the page, then at the end."""
    stream = pinned(StreamFormat.parse("ds2c2/1 160x128 bpp=0.6 block=48 redundancy=1 model=coded"))
    packetizer = Packetizer(stream)
    packets = [*packetizer.pack(np.zeros((stream.blocks, stream.block_size), np.uint8)), *packetizer.end()]
    where, page, ended = ("127.0.0.1", free_port()), free_port(), threading.Event()
    counted = re.compile(r'ds2c2_packets_total{fate="(wrong_size|empty)"} [1-9]')

    def shown() -> str:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{page}/metrics") as answer:
            return answer.read().decode()
        return ""

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ended.wait(0.02) and set(counted.findall(shown())) != {"wrong_size", "empty"}:
                for size in (100, 9000, 0):
                    sender.sendto(bytes(size), where)
            for packet in packets:
                sender.sendto(packet.tobytes(), where)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        words = ("receive", "--from", f"udp://127.0.0.1:{where[1]}", "--format", stream.text, "--json")
        got = ds2c2(*words, "--timeout", "0.2", "--http", f"127.0.0.1:{page}")
    finally:
        ended.set()
        thread.join()
    assert got.returncode == 0, got.stderr
    end = json.loads(got.stdout.splitlines()[-1])
    counts = end["packets"]
    assert counts["wrong_size"] == 2 * counts["empty"] > 0 and counts["used"] == stream.blocks
    assert counts["received"] == sum(counts[fate] for fate in FATES)
    assert re.search(
        r"\d+ datagrams of 2 sizes, \d+ of them of .* where 56 are wanted, \d+ empty datagram", end["trouble"]
    )


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (ChannelOptions, {"trace": "loss.txt"}, "--trace loss.txt: only --channel trace"),
        (ChannelOptions, {"burst": 9.0}, "--burst 9: only --channel gilbert-elliott"),
        (ChannelOptions, {"trace": "a", "channel": "trace", "loss": 0.1}, "--loss 0.1: --channel trace"),
        (SendingOptions, {"gain": 9.0, "transmit": True}, "--gain, --transmit: nothing without a radio"),
        (ReceivingOptions, {"dry_run": True}, "--dry-run: nothing without a radio"),
    ],
)
def test_options_that_nothing_would_heed(kind, given, said):
    options = kind(**given)
    with pytest.raises(errors.UserError, match=re.escape(said)):
        options.settings() if kind is ChannelOptions else options.check_used()


def test_what_nothing_would_heed_is_refused(ds2c2, photographs, tmp_path):
    """One line, and nothing is written."""
    for code, words in (
        (errors.ExitCode.LOSSES, ("--to", "a", "--trace", "loss.txt")),
        (errors.ExitCode.PLACE, ("--to", "127.0.0.1:4000")),
    ):
        done = ds2c2("send", photographs, *words)
        assert done.returncode == code and done.stderr.count("\n") == 1, done.stderr
        assert words[-2] in done.stderr or words[-1] in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photographs"]


def test_nobody_listens(ds2c2, photographs):
    """What every packet was lost to is no success."""
    done = ds2c2("send", photographs, "--to", f"udp://127.0.0.1:{free_port()}", *OPTIONS, *VERSIONS[1])
    assert done.returncode == errors.ExitCode.PLACE
    assert re.search(r"nobody listens there, \d+ of \d+ packets were refused", done.stderr)
