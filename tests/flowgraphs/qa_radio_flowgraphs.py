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
    assert recording.stream_format == sender.stream_format.text and recording.about["gain"] == "30 dB"
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
