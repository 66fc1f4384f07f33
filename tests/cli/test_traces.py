# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces as a user has them: recorded, shown, fitted, compared."""

import os
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from ds2c2.losstrace import read_trace_file

OPTIONS = ("--bpp", "0.6", "--block-size", "48")
BURSTY = (*OPTIONS, "--loss", "0.2", "--channel", "gilbert-elliott", "--channel-seed", "5")


@pytest.fixture
def recorder(tmp_path, models):
    """Starts ``ds2c2`` on a free UDP port and waits until it listens; gives the process and where."""
    started = []

    def start(*arguments: str) -> tuple[subprocess.Popen, str]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            where = f"udp://127.0.0.1:{probe.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "ds2c2", *arguments, "--from", where],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        )
        started.append(process)
        assert "listening" in process.stdout.readline()
        return process, where

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_record_finds_the_losses_of_the_channel(ds2c2, photographs, tmp_path, recorder):
    """Over a recording, beside the pictures, and over UDP: the same losses, those that were drawn."""
    from ds2c2.channel import BlockChannel

    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *BURSTY)
    count, hit = map(int, re.search(r"(\d+) blocks, (\d+) of them hit", sent.stdout).groups())
    text = re.search(r"stream format: (.*)", sent.stdout)[1]
    recorded = ds2c2(
        "trace", "record", "--from", "packets.ds2c2", "--out", "r/trace.csv", "--first", "0", "--run", "7",
        "--note", "on the roof",
    )  # fmt: skip
    assert recorded.returncode == 0, recorded.stderr
    assert f"{count - hit} ok, {hit} missed" in recorded.stdout and f"r/trace.csv: {count} packets" in recorded.stdout
    trace = read_trace_file(tmp_path / "r" / "trace.csv")
    assert np.array_equal(trace.lost(), BlockChannel(0.2, "gilbert-elliott", seed=5).draw(count))
    assert (trace.about["run"], trace.about["note"], trace.about["format"]) == ("7", "on the roof", text)
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", "--trace", "beside.csv")
    assert "wrote loss trace beside.csv" in got.stdout and "wrote 3 pictures" in got.stdout
    beside = read_trace_file(tmp_path / "beside.csv")
    first = int(beside.sequence[0])
    assert beside.status.tolist() == trace.status[first:].tolist() and np.isnan(beside.time).all()

    process, where = recorder("trace", "record", "--out", "udp.csv", "--format", text, "--first", "0", "--wait", "60")
    assert ds2c2("send", photographs, "--to", where, *BURSTY).returncode == 0
    assert "wrote udp.csv" in process.communicate(timeout=100)[0] and process.returncode == 0
    over_udp = read_trace_file(tmp_path / "udp.csv")
    assert over_udp.status.tolist() == trace.status.tolist()
    assert np.all(np.diff(over_udp.time[~np.isnan(over_udp.time)]) >= 0) and over_udp.about["link"] == "udp"


def test_an_interrupted_recording_is_written(ds2c2, photographs, tmp_path, recorder):
    text = re.search(r"ds2c2/1 .*", ds2c2("info", "160x128", *OPTIONS).stdout)[0]
    process, where = recorder("trace", "record", "--out", "t.csv", "--format", text, "--stream", "3")
    from ds2c2.packets import Packetizer
    from ds2c2.streamformat import StreamFormat
    from ds2c2.udp import UdpSender, parse_address

    stream = StreamFormat.parse(text)
    sender = UdpSender(*parse_address(where))
    sender.send(Packetizer(stream, 3).pack(np.zeros((10, stream.block_size), np.uint8)))
    sender.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "wrote t.csv: 10 packets" in output
    assert read_trace_file(tmp_path / "t.csv").counts()["ok"] == 10


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--from", "none.ds2c2", "--out", "t.csv"), 7, "no recording to read"),
        (("--from", "udp://127.0.0.1:5005", "--out", "t.csv"), 4, "--format is needed"),
        (("--from", "none.ds2c2", "--out", "file/t.csv"), 8, "file/t.csv: cannot be written"),
    ],
)
def test_wrong_input_of_record_is_one_line(ds2c2, tmp_path, arguments, code, words):
    (tmp_path / "file").write_text("")
    done = ds2c2("trace", "record", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
