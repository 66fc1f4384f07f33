# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed streams: what a key changes for send, receive and info."""

import re

import numpy as np
import pytest

from ds2c2 import errors
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import END_COPIES, Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingWriter

OPTIONS = ("--bpp", "0.6", "--block-size", "48")


@pytest.mark.parametrize("model", ["coded", "binary"])
def test_signed_stream_of_version_2(ds2c2, photographs, tmp_path, model):
    """Made for 50 %, hit by 30 %, signed; read with its key, refused without one and with another."""
    options = (*OPTIONS, "--model", model, "--survive", "0.5", "--loss", "0.3", "--channel", "exact")
    for name in ("key.txt", "other.txt"):
        assert ds2c2("key", name).returncode == 0
    assert ds2c2("key", "key.txt").returncode == errors.ExitCode.PLACE
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *options, "--key", "key.txt")
    assert sent.returncode == 0, sent.stderr
    blocks, hit = map(int, re.search(r"(\d+) blocks, (\d+) of them hit", sent.stdout).groups())
    text = (tmp_path / "packets.ds2c2").read_bytes().split(b"\n")[1].decode()
    assert text.startswith("ds2c2/2 160x128 ") and re.search(r" survive=0\.5 .* key=[0-9a-f]{8}$", text)
    for key in ((), ("--key", "other.txt")):
        refused = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", *key)
        assert refused.returncode == errors.ExitCode.FORMAT and refused.stderr.count("\n") == 1
        assert "signed with key" in refused.stderr and not (tmp_path / "received").exists()
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", "--key", "key.txt")
    assert got.returncode == 0, got.stderr
    assert "wrote 3 pictures to received, 0 of them concealed" in got.stdout
    assert f"{blocks - hit} used" in got.stdout and f"{hit} missing" in got.stdout


def test_packets_of_another_key_are_told_as_such(here, tmp_path):
    """And not as an address that might be wrong."""
    assert here("key", "mine.key").returncode == here("key", "theirs.key").returncode == 0
    mine, theirs = (here("info", "160x128", *OPTIONS, "--key", f"{name}.key").stdout.splitlines()[0]
                    for name in ("mine", "theirs"))  # fmt: skip
    stream = StreamFormat.parse(theirs)
    packets = Packetizer(stream, key=read_key(tmp_path / "theirs.key")).pack(
        np.zeros((stream.blocks, stream.block_size), np.uint8)
    )
    (tmp_path / "packets").write_bytes(packets.tobytes())
    got = here("receive", "--from", "packets", "--format", mine, "--key", "mine.key", "--out", "got")
    assert got.returncode == errors.ExitCode.NOTHING_RECEIVED
    key = StreamFormat.parse(mine).key
    assert f"{stream.blocks} packets came that the key {key} did not sign; if the sender sent them" in got.stderr


def test_what_goes_with_a_key_is_said(ds2c2, tmp_path):
    """The stream format that its packets come with, and what a recording has of them."""
    assert ds2c2("key", "key.txt").returncode == 0
    options = ("--key", "key.txt")
    text = ds2c2("info", "160x128", *OPTIONS, *options).stdout.splitlines()[0]
    stream, secret = StreamFormat.parse(text), read_key(tmp_path / "key.txt")
    packetizer = Packetizer(stream, key=secret)
    packets = packetizer.pack(np.zeros((stream.blocks, stream.block_size), np.uint8))
    packets[0, -1] ^= 1
    with RecordingWriter(tmp_path / "packets", stream) as recording:
        recording.write(np.concatenate([packets, packetizer.end()]))
    said = ds2c2("info", "--from", "packets", *options).stdout
    assert said.startswith(f"{text}\n") and re.search(f"signed with key +{stream.key} ", said)
    assert f"{stream.blocks + END_COPIES} packets, 1 of them forged" in said
