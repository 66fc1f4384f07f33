# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 receive`` while others send what they like, and what it writes of frames of which nothing came."""

import os
import subprocess
import sys
import time

import numpy as np

from ds2c2.stream.packets import TYPE_BLOCK, TYPE_END, build_packets
from ds2c2.transport.recording import RecordingReader, RecordingWriter
from ds2c2.transport.udp import UdpSender
from freeport import free_port

# Wire format 1, named, since what is sent by default may change.
OPTIONS = ("--bpp", "0.6", "--block-size", "48", "--redundancy", "1")


def pictures_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("frame-*.png"))}


def forged(stream, frame: int, kind: int = TYPE_BLOCK, index: int = 0, copies: int = 1) -> np.ndarray:
    blocks = np.full((copies, stream.block_size), 0xEE, np.uint8)
    return build_packets(kind, 0, np.full(copies, frame), np.full(copies, index), blocks, stream)


def test_forged_ends_and_jumps_cost_a_live_receiver_no_picture(ds2c2, photographs, tmp_path):
    """An end before the first packet was exit code 9, one in the middle 2 of 6 pictures, a block 64 frames ahead 62
    concealed ones."""
    assert ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS).returncode == 0
    assert ds2c2("receive", "--from", "packets.ds2c2", "--out", "recorded").returncode == 0
    reader = RecordingReader(tmp_path / "packets.ds2c2")
    packets, stream = np.concatenate(list(reader)), reader.stream
    port = free_port()
    words = (
        "receive",
        "--from",
        f"udp://127.0.0.1:{port}",
        "--out",
        "live",
        "--format",
        stream.text,
        "--timeout",
        "0.4",
    )
    receiver = subprocess.Popen(
        [sys.executable, "-m", "ds2c2", *words, "--wait", "100"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    sender = UdpSender("127.0.0.1", port, rate=5000)
    try:
        assert "listening" in receiver.stdout.readline()
        sender.send(forged(stream, 0, TYPE_END, 0, copies=8))
        time.sleep(0.6)
        half = stream.blocks + 5
        sender.send(packets[:half])
        for hostile in (forged(stream, 0, TYPE_END, 1, copies=8), forged(stream, 65), forged(stream, 30_000)):
            sender.send(hostile)
        sender.send(packets[half:])
        output, _ = receiver.communicate(timeout=120)
    finally:
        receiver.kill()
        sender.close()
    assert receiver.returncode == 0, output
    assert "wrote 3 pictures to live, 0 of them concealed\n" in output and "2 out of range" in output
    assert pictures_of(tmp_path / "live") == pictures_of(tmp_path / "recorded")


def test_frames_of_which_nothing_came_are_counted_and_not_written(ds2c2, photographs, tmp_path):
    assert ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS).returncode == 0
    reader = RecordingReader(tmp_path / "packets.ds2c2")
    packets, stream = np.concatenate(list(reader)), reader.stream
    with RecordingWriter(tmp_path / "lost.ds2c2", stream) as recording:
        recording.write(np.delete(packets, np.arange(stream.blocks, 2 * stream.blocks), axis=0))
    got = ds2c2("receive", "--from", "lost.ds2c2", "--out", "received", "--originals", photographs)
    assert got.returncode == 0, got.stderr
    assert "frame 1: nothing came, PSNR" in got.stdout
    assert "wrote 2 pictures to received, 0 of them concealed; nothing came of 1 frame\n" in got.stdout
    assert list(pictures_of(tmp_path / "received")) == ["frame-000000.png", "frame-000002.png"]
    few = ds2c2("receive", "--from", "lost.ds2c2", "--out", "few", "--max-pictures", "1")
    assert few.returncode == 0 and "--max-pictures allows: stopping" in few.stdout
    assert list(pictures_of(tmp_path / "few")) == ["frame-000000.png"]


def test_what_cannot_be_sent_of_a_folder_is_said(ds2c2, photographs, tmp_path):
    (photographs / "aa.png").write_bytes((photographs / "coffee.png").read_bytes()[:1000])
    (photographs / "._coffee.png").write_bytes(b"\0\5\x16\7")
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS)
    assert sent.returncode == 0 and "sent 3 pictures" in sent.stdout
    skipped, total = sent.stderr.splitlines()
    assert "skipped" in skipped and "aa.png: damaged" in skipped and total == "1 file of 4 skipped"
    strict = ds2c2("send", photographs, "--to", "strict.ds2c2", *OPTIONS, "--strict")
    assert strict.returncode == 3 and strict.stderr.count("\n") == 1 and "aa.png" in strict.stderr
    assert not (tmp_path / "strict.ds2c2").exists()
