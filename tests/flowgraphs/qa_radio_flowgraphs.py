# SPDX-License-Identifier: GPL-3.0-or-later
"""The radio flowgraphs to their end, as grcc makes them: two processes, recordings, and those for USRPs with
a recording in place of the radio."""

import importlib.util
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from qa_flowgraphs import DEADLINE, compiled

from checkout import CHECKOUT
from ds2c2.errors import ExitCode
from ds2c2.links.iqrecording import IqReader
from ds2c2.links.radiosettings import RadioError

pytestmark = pytest.mark.usefixtures("models")

# Small pictures in place of the flowgraphs' own.
SIZE = (192, 128)
EDITS = {
    r"(self\.pictures = pictures = ).*": r"\1['pictures']",
    r"StreamFormat\(\s*480,\s*320,": f"StreamFormat({SIZE[0]}, {SIZE[1]},",
    r"bpp=0\.26": "bpp=0.6",
}
USRP_IS_A_FILE = {r"(?s)backend='uhd',\s*address=''": "backend='file', address='on-air'"}


@pytest.fixture
def made(tmp_path):
    """Compiles a flowgraph for small pictures, with further edits of its Python."""
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(5)
    for number in range(2):
        noise = rng.integers(0, 256, (SIZE[1] // 16, SIZE[0] // 16, 3), np.uint8)
        Image.fromarray(noise).resize(SIZE, Image.BICUBIC).save(tmp_path / "pictures" / f"{number}.png")

    def make(name: str, edits: dict[str, str] = {}):  # noqa: B006
        script = compiled(CHECKOUT / "flowgraphs" / f"{name}.grc", tmp_path)
        text = script.read_text()
        for pattern, new in (EDITS | edits).items():
            text, changes = re.subn(pattern, new, text)
            assert changes or pattern in EDITS, pattern
        script.write_text(text)
        return script

    return make


def run_here(*scripts) -> list:
    """Run the classes of scripts side by side, in this process, until all have ended by themselves."""
    from gnuradio import ds2c2

    graphs = []
    for script in scripts:
        spec = importlib.util.spec_from_file_location(script.stem, script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        graphs.append(getattr(module, script.stem)())
    for graph in graphs:
        graph.start()
    waiters = [threading.Thread(target=graph.wait, daemon=True) for graph in graphs]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        waiter.join(DEADLINE)
    hung = any(waiter.is_alive() for waiter in waiters)
    for graph in graphs:
        graph.stop()
    failed = ds2c2.errors()
    ds2c2.clear_errors()
    assert not hung and failed == []
    return graphs


def test_virtual_radio_runs_in_two_processes_to_the_end(made, tmp_path, endpoint):
    """The receiver is started first; both end by themselves, with the quality of each picture."""
    there = {r"tcp://127\.0\.0\.1:5557": endpoint}
    processes = [
        subprocess.Popen(
            [sys.executable, str(made(name, there))], cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ,
        )
        for name in ("rx_zmq", "tx_zmq")
    ]  # fmt: skip
    try:
        (received, said), (_, sent) = [process.communicate(timeout=DEADLINE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said + sent
    assert re.findall(r"\(frame \. (\d+)\)", received) == ["0", "1"]
    assert "decoder_sink: 2 frames" in said and "samples sent to" in sent
    # The air has its seed: some packets do not pass.
    passed = int(re.search(r"packets detected, (\d+) passed", said)[1])
    assert 20 < passed < int(re.search(r"ofdm_demodulator: (\d+) packets detected", said)[1])


# What the flowgraphs' Stream Format says.
SETTINGS = ("--size", f"{SIZE[0]}x{SIZE[1]}", "--bpp", "0.6")


def command(*words) -> list[str]:
    return [sys.executable, "-m", "ds2c2", *words]


def together(tmp_path, *lines) -> list[tuple[int, str]]:
    """Run programs side by side to their ends: exit code and all they said, of each."""
    path = os.pathsep.join([str(CHECKOUT / "gr-ds2c2"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    running = [
        subprocess.Popen(
            line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        for line in lines
    ]
    try:
        said = [process.communicate(timeout=DEADLINE)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def stream_text(tmp_path) -> str:
    """The stream format of these flowgraphs as a command prints it, weights and all."""
    ((code, said),) = together(tmp_path, command("info", SETTINGS[1], *SETTINGS[2:]))
    assert code == 0, said
    return said.splitlines()[0]


def test_a_flowgraph_sends_and_the_command_receives(made, tmp_path, endpoint):
    sender = [sys.executable, str(made("tx_zmq", {r"tcp://127\.0\.0\.1:5557": endpoint}))]
    words = ("receive", "--radio", "zmq", "--address", endpoint, "--format", stream_text(tmp_path), "--out", "received")
    (code, said), (sent, _) = together(tmp_path, command(*words), sender)
    assert (code, sent) == (0, 0), said
    assert "wrote 2 pictures" in said and "0 of them concealed" in said


def test_the_command_sends_and_a_flowgraph_receives(made, tmp_path, endpoint):
    receiver = [sys.executable, str(made("rx_zmq", {r"tcp://127\.0\.0\.1:5557": endpoint}))]
    words = ("send", "pictures", "--radio", "zmq", "--address", endpoint, *SETTINGS)
    (code, said), (sent, told) = together(tmp_path, receiver, command(*words))
    assert (code, sent) == (0, 0), said + told
    assert "decoder_sink: 2 frames" in said


def test_a_receiving_flowgraph_that_gets_another_stream_does_not_end_well(made, tmp_path, endpoint):
    receiver = [sys.executable, str(made("rx_zmq", {r"tcp://127\.0\.0\.1:5557": endpoint}))]
    words = ("send", "pictures", "--radio", "zmq", "--address", endpoint, *SETTINGS[:-1], "0.8")
    (code, said), (sent, told) = together(tmp_path, receiver, command(*words))
    assert (code, sent) == (ExitCode.NOTHING_RECEIVED, 0), said + told
    assert "what comes has another stream format" in said and "Traceback" not in said


def test_recordings_are_understood_both_ways(made, tmp_path):
    """SigMF of the sending flowgraph by the command, of the command by the replaying flowgraph."""
    ((code, said),) = together(tmp_path, [sys.executable, str(made("ofdm_tx_uhd", USRP_IS_A_FILE))])
    assert code == 0, said
    text = stream_text(tmp_path)
    words = ("receive", "--radio", "file", "--address", "on-air", "--format", text, "--out", "received")
    ((code, said),) = together(tmp_path, command(*words))
    assert code == 0 and "wrote 2 pictures" in said, said

    words = ("send", "pictures", "--radio", "file", "--address", "recording", *SETTINGS)
    ((code, said),) = together(tmp_path, command(*words))
    assert code == 0, said
    ((code, said),) = together(tmp_path, [sys.executable, str(made("replay_sigmf"))])
    assert code == 0 and "decoder_sink: 2 frames" in said, said


def test_usrp_flowgraphs_and_recordings_run_without_a_usrp(made, tmp_path, monkeypatch):
    """What the sender would send is recorded, received as from a USRP, recorded again and replayed."""
    monkeypatch.chdir(tmp_path)
    (sender,) = run_here(made("ofdm_tx_uhd", USRP_IS_A_FILE))
    sent = IqReader("on-air")
    assert sent.samples == 44 * 1540 and sent.captures[0].frequency == 2.45e9

    (receiver,) = run_here(made("ofdm_rx_uhd", USRP_IS_A_FILE))
    assert [result.lost for result in receiver.decoder_sink.results] == [0, 0]
    before = [path.read_bytes() for path in sorted((tmp_path / "received").glob("*.png"))]

    run_here(made("record_sigmf", USRP_IS_A_FILE))
    recording = IqReader("recording")
    assert recording.stream_format == sender.variable_ds2c2_stream_format_0.text and recording.about["gain"] == "30 dB"
    np.testing.assert_array_equal(recording.read(0, 10**7), sent.read(0, 10**7))

    (replayer,) = run_here(made("replay_sigmf"))
    assert all(result.psnr > 5 for result in replayer.decoder_sink.results)
    replayed = [result.path.read_bytes() for result in replayer.decoder_sink.results]
    assert replayed == before and len(before) == 2


def test_without_consent_the_sender_ends_with_one_line(made, tmp_path):
    done = subprocess.run(
        [sys.executable, str(made("ofdm_tx_uhd"))], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == RadioError.exit_code, done.stderr
    assert "Traceback" not in done.stderr and "set transmit" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["pdu_gmsk_headless", "pdu_ofdm_headless"])
def test_pdus_go_through_modems_of_stock_parts_and_end_by_themselves(made, tmp_path, monkeypatch, name):
    """The noise spoils some packets; what is left are pictures."""
    monkeypatch.chdir(tmp_path)
    (graph,) = run_here(made(name))
    counts = graph.depacketizer.counts
    assert [result.frame for result in graph.decoder_sink.results] == [0, 1]
    assert all(not result.concealed and result.psnr > 5 for result in graph.decoder_sink.results)
    assert counts.used + counts.missing == 2 * graph.variable_ds2c2_stream_format_0.blocks
    assert counts.end > 0 and graph.pdus_to_packets.other_sizes.total() == 0
