# SPDX-License-Identifier: GPL-3.0-or-later
"""send and receive over the air: two processes and a recording against one flowgraph, and what no radio may do."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from ds2c2.cli.program import app
from ds2c2.errors import DeviceError, FormatError, LinkError, NothingReceived, UserError
from ds2c2.links.iqrecording import IqWriter
from ds2c2.links.radiosettings import RadioError
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import read_trace_file

OPTIONS = ("--bpp", "0.6", "--block-size", "48")
AIR = "snr=13.5 cfo=0.002 seed=4"
USRP = ("--radio", "uhd", "--frequency", "868e6")
SECONDS = 150


def pictures_of(folder):
    return [path.read_bytes() for path in sorted(folder.glob("frame-*.png"))]


def in_one_flowgraph(photographs, text, folder) -> list[bytes]:
    """The same pictures through the same blocks and the same air, in one process."""
    from gnuradio import ds2c2, gr

    stream = StreamFormat.parse(text)
    parts = [
        ds2c2.encoder_source(stream, str(photographs)), ds2c2.interleaver(stream), ds2c2.packetizer(stream),
        ds2c2.ofdm_link(stream, snr=13.5, cfo=0.002, seed=4), ds2c2.depacketizer(stream, timeout=20.0),
        ds2c2.deinterleaver(stream), ds2c2.decoder_sink(stream, str(folder)),
    ]  # fmt: skip
    graph = gr.top_block()
    graph.connect(*parts)
    graph.run()
    assert ds2c2.errors() == []
    return pictures_of(folder)


def test_two_processes_and_a_recording_give_the_pictures_of_one_flowgraph(ds2c2, photographs, tmp_path, endpoint):
    """And the same loss trace, some packets lost; both processes end by themselves. That samples come
    slowly is this host's doing: no time-out gives a frame up. One of them tells it as JSON, with nothing between."""
    sent = ds2c2("send", photographs, "--radio", "file", "--address", "sent", *OPTIONS)
    assert sent.returncode == 0, sent.stderr
    assert "sent 3 pictures" in sent.stdout and "to file sent" in sent.stdout
    got = ds2c2(
        "receive", "--radio", "file", "--address", "sent", "--air", AIR, "--out", "replayed", "--trace", "replayed.csv"
    )
    assert got.returncode == 0, got.stderr
    assert "wrote 3 pictures to replayed" in got.stdout
    assert re.search(r"[1-9]\d* failed the link's CRC", got.stdout)

    text = re.search(r"stream format: (.*)", sent.stdout)[1]
    radio = ("--radio", "zmq", "--address", endpoint)
    receiver = subprocess.Popen(
        [sys.executable, "-m", "ds2c2", "receive", *radio, "--air", AIR, "--out", "heard", "--trace", "heard.csv",
         "--format", text, "--wait", "120", "--timeout", "0.01", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    try:
        assert ds2c2("send", photographs, *radio, "--format", text, "--wait", "120").returncode == 0
        output, _ = receiver.communicate(timeout=SECONDS)
    finally:
        receiver.kill()
    *frames, end = map(json.loads, output.splitlines())
    assert receiver.returncode == 0 and len(frames) == end["frames"]["written"] == 3 and end["out"] == "heard"

    assert pictures_of(tmp_path / "heard") == pictures_of(tmp_path / "replayed") != []
    assert pictures_of(tmp_path / "heard") == in_one_flowgraph(photographs, text, tmp_path / "alone")
    heard, replayed = (read_trace_file(tmp_path / f"{name}.csv") for name in ("heard", "replayed"))
    for column in ("sequence", "status", "time", "snr_db", "cfo"):
        np.testing.assert_array_equal(getattr(heard, column), getattr(replayed, column))
    assert heard.lost().any()
    assert (heard.about["link"], heard.about["radio"], heard.about["air"]) == (
        "ofdm",
        "zmq",
        "cfo=0.002 snr=13.5 seed=4",
    )


def test_a_missing_device_is_one_line(ds2c2):
    """And its own exit code."""
    text = StreamFormat(160, 128, bpp=0.6, block_size=48).text
    done = ds2c2("receive", "--out", "received", "--format", text, *USRP, "--address", "addr=127.0.0.9")
    assert done.returncode == DeviceError.exit_code
    assert done.stderr.count("\n") == 1 and "no device for 'addr=127.0.0.9'" in done.stderr, done.stderr


@pytest.fixture
def command(models, monkeypatch, tmp_path):
    """Run ``ds2c2`` in this process; the output, or the error it ends with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments) -> tuple[str, UserError | None]:
        done = CliRunner().invoke(app, [str(word) for word in arguments])
        if done.exception is not None and not isinstance(done.exception, UserError | SystemExit):
            raise done.exception
        assert isinstance(done.exception, UserError) or done.exit_code == 0, done.output
        return done.output, done.exception

    return run


def test_dry_run_says_what_would_be_set_and_opens_nothing(command, photographs, monkeypatch, tmp_path):
    from ds2c2.cli import radio

    monkeypatch.setattr(radio, "flowgraphs", lambda: pytest.fail("a flowgraph was made"))
    usrp = (*USRP, "--address", "type=b200", "--gain", "20", "--lo-offset", "2e6", "--antenna", "TX/RX", "--dry-run")
    output, error = command("send", photographs, *OPTIONS, *usrp, "--max-duration", "5")
    assert error is None
    for shown in ("type=b200", "868000000 Hz", "20 dB", "2000000 Hz", "TX/RX", "0.2", "5 s", "ofdm", "qpsk"):
        assert shown in output
    # 96 blocks of 3 pictures and 8 end packets, each (3 + 5) * 80 + 500 samples long.
    assert "104, 0.13 s on the air" in output
    output, error = command("receive", "--out", "received", *usrp)
    assert error is None and "868000000 Hz" in output and "Nothing is opened" in output
    assert not (tmp_path / "received").exists()


def test_a_recording_says_itself_what_it_is_of(command, tmp_path):
    recorded, other = (StreamFormat(160, 128, bpp=0.6, block_size=size) for size in (48, 50))
    IqWriter(tmp_path / "run", 1e6, stream_format=recorded.text).close()
    words = ("receive", "--radio", "file", "--address", str(tmp_path / "run"), "--out", "r")
    _, error = command(*words, "--format", other.text)
    assert isinstance(error, FormatError)
    assert f"recorded as {recorded.text}, not as {other.text}; leave --format out" in str(error)


def test_a_silent_recording_is_told_from_one_with_energy(command, tmp_path):
    text = StreamFormat(160, 128, bpp=0.6, block_size=48).text
    samples = 0.1 * np.random.default_rng(1).standard_normal((20_000, 2), np.float32).view(np.complex64)[:, 0]
    for name, heard, said in (("silent", 0 * samples, "all samples are zeros"), ("noisy", samples, "there is energy")):
        writer = IqWriter(tmp_path / name, 1e6)
        writer.write(heard)
        writer.close()
        _, error = command("receive", "--radio", "file", "--address", name, "--format", text, "--out", "r")
        assert isinstance(error, NothingReceived) and said in str(error), error


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        (("send", "{}", *OPTIONS, *USRP), RadioError, "868 MHz for up to 60 s"),
        (("send", "{}", *OPTIONS, *USRP, "--transmit", "--max-duration", "0.1"), RadioError, "take 0.1 s on the air"),
        (("send", "{}", *OPTIONS, "--radio", "uhd", "--transmit"), RadioError, "no centre frequency"),
        (("send", "{}", *OPTIONS, "--radio", "zmq", "--address", "tcp://0.0.0.0:99"), RadioError, "others can reach"),
        (("send", "{}", *OPTIONS), LinkError, "neither --to nor --radio is given"),
        (("send", "{}", *OPTIONS, "--to", "x", "--radio", "zmq"), LinkError, "--to x and --radio zmq are two places"),
        (
            ("send", "{}", *OPTIONS, "--radio", "zmq", "--gain", "20"),
            RadioError,
            "--gain: nothing that radio zmq heeds",
        ),
        (
            ("send", "{}", *OPTIONS, "--radio", "file", "--address", "s", "--wait", "9"),
            RadioError,
            "--wait: nothing that",
        ),
        (("send", "{}", *OPTIONS, "--radio", "zmq", "--samples-per-symbol", "8"), RadioError, "that link ofdm heeds"),
        (
            ("send", "{}", *OPTIONS, "--radio", "zmq", "--link", "gmsk", "--fec", "cc"),
            RadioError,
            "that link gmsk heeds",
        ),
        (
            ("receive", "--out", "r", "--radio", "zmq", "--gain", "20", "--format", "F"),
            RadioError,
            "--gain: nothing that radio zmq heeds",
        ),
        (
            ("receive", "--out", "r", "--radio", "file", "--address", "s", "--frequency", "1e9"),
            RadioError,
            "--frequency: nothing that radio file heeds",
        ),
        (
            ("trace", "record", "--out", "t.csv", "--radio", "zmq", "--samples-per-symbol", "8", "--format", "F"),
            RadioError,
            "that link ofdm heeds",
        ),
        (("receive", "--out", "r"), LinkError, "neither --from nor --radio is given"),
        (("receive", "--out", "r", "--radio", "zmq"), FormatError, "--format is needed"),
        (("receive", "--out", "r", "--radio", "file", "--address", "nowhere"), LinkError, "nowhere.sigmf-meta"),
        (("receive", "--out", "r", "--radio", "zmq", "--air", "snr"), UserError, "'snr' is not understood"),
        (("receive", "--out", "r", "--radio", "zmq", "--threshold", "2", "--format", "F"), UserError, "threshold 2"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_opened(command, photographs, arguments, kind, named):
    text = StreamFormat(160, 128, bpp=0.6, block_size=48).text
    words = {"{}": photographs, "F": text}
    _, error = command(*(words.get(word, word) for word in arguments))
    assert isinstance(error, kind) and named in str(error), error
