# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive`` with several addresses: what any station heard has come."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from ds2c2 import errors
from ds2c2.transport.recording import RecordingReader
from ds2c2.transport.udp import UdpSender
from freeport import free_port

OPTIONS = ("--size", "128x96", "--bpp", "0.8", "--block-size", "48", "--survive", "0.3")


@pytest.fixture
def sent(ds2c2, photographs, tmp_path):
    assert ds2c2("send", photographs, "--to", "packets", *OPTIONS).returncode == 0
    return RecordingReader(tmp_path / "packets")


def test_two_stations_hear_what_neither_hears_alone(ds2c2, sent, tmp_path):
    """Each lost every third packet, not the same ones; the rest come twice, in turn."""
    assert ds2c2("receive", "--from", "packets", "--out", "all").returncode == 0
    packets, blocks = np.concatenate(list(sent)), 3 * sent.stream.blocks
    ports = [free_port(), free_port()]
    places = [f"udp://127.0.0.1:{port}" for port in ports]
    command = [sys.executable, "-m", "ds2c2", "receive", "--out", "live", "--format", sent.stream.text, "--json"]
    receiver = subprocess.Popen(
        [*command, *(word for place in places for word in ("--from", place)), "--wait", "100"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    try:
        assert receiver.stderr.readline().split()[-2:] == places
        hill, valley = (UdpSender("127.0.0.1", port, 2000.0) for port in ports)
        for number, packet in enumerate(packets):
            for lost, station in enumerate((hill, valley)):
                if number >= blocks or number % 3 != lost:
                    station.send(packet[None])
        told, words = receiver.communicate(timeout=120)
    finally:
        receiver.kill()
    assert receiver.returncode == 0, words
    *frames, end = map(json.loads, told.splitlines())
    assert [(frame["frame"], frame["enhancement_lost"]) for frame in frames] == [(0, 0), (1, 0), (2, 0)]
    for name in ("frame-000000.png", "frame-000001.png", "frame-000002.png"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    heard = end["stations"]
    assert [heard[place]["received"] for place in places] == [len(packets) - blocks // 3] * 2
    assert sum(heard[place]["first"] for place in places) == end["packets"]["used"] == blocks
    assert min(heard[place]["first"] for place in places) >= blocks // 3
    assert f"{places[1]}: {len(packets) - blocks // 3} packets, " in words


def test_a_sender_that_was_killed_and_began_anew_is_two_live_and_in_the_recording(ds2c2, sent, tmp_path):
    """Its second beginning lies within what a link may turn round, and the end of the first never came."""
    packets, port = np.concatenate(list(sent)), free_port()
    command = ["receive", "--json", "--from", f"udp://127.0.0.1:{port}", "--format", sent.stream.text, "--out", "live"]
    receiver = subprocess.Popen(
        [sys.executable, "-m", "ds2c2", *command, "--record", "record", "--stay", "--timeout", "0.5"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    try:
        assert receiver.stderr.readline()
        sender = UdpSender("127.0.0.1", port, 2000.0)
        sender.send(packets[: 2 * sent.stream.blocks - 1])
        # The second picture lacks a block and comes when nothing has come for a while.
        told = [receiver.stdout.readline() for _ in range(2)]
        sender.send(packets)
        told += [receiver.stdout.readline() for _ in range(3)]
        receiver.send_signal(signal.SIGSTOP)
        sender.send(packets[-2:])  # the stream's end once more: there when it is told to stop, and not yet read
        receiver.send_signal(signal.SIGTERM)
        receiver.send_signal(signal.SIGCONT)
        rest, words = receiver.communicate(timeout=120)
    finally:
        receiver.kill()
    assert receiver.returncode == 0, words
    *frames, end = map(json.loads, [*told, *rest.splitlines()])
    assert [(frame["frame"], frame["enhancement_lost"]) for frame in frames] == [(0, 0), (1, 1), (0, 0), (1, 0), (2, 0)]
    assert (end["packets"]["resyncs"], end["packets"]["used"]) == (1, 5 * sent.stream.blocks - 1)
    again = ds2c2("receive", "--from", "record", "--out", "again", "--json")
    *replayed, second = map(json.loads, again.stdout.splitlines())
    for one, other in zip(frames, replayed, strict=True):
        assert (one["frame"], one["enhancement_lost"]) == (other["frame"], other["enhancement_lost"])
    # What it does not look at any more is counted by itself, and recorded like the rest.
    live = end["packets"]
    assert second["packets"] == live | {"end": live["end"] + live["unread"], "unread": 0}


def test_stations_are_addresses_of_their_own(ds2c2, sent):
    twice = ds2c2("receive", "--from", "packets", "--from", "packets", "--out", "got")
    assert twice.returncode == errors.ExitCode.PLACE and "`ds2c2 merge` puts recordings together" in twice.stderr
    place = f"udp://127.0.0.1:{free_port()}"
    same = ds2c2("receive", "--from", place, "--from", place, "--format", sent.stream.text, "--out", "got")
    assert same.returncode == errors.ExitCode.PLACE and f"{place} is given twice" in same.stderr
