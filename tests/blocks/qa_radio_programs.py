# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets from program to program by modem and radio: the same however they travel, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from flowgraph import DEADLINE, random_frames, row_sink, run, wait_for
from gnuradio import blocks, ds2c2, gr

from ds2c2.errors import LinkError
from ds2c2.links.air import AirSettings
from ds2c2.links.iqrecording import IqReader, IqWriter
from ds2c2.links.linksettings import LinkSettings
from ds2c2.links.radiosettings import ReceiveSettings, TransmitSettings
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.numbering import REORDER_PACKETS
from ds2c2.stream.packets import Packetizer
from ds2c2.traces.losstrace import HOST_DROP, MISSED, OK, LossTrace
from ds2c2.traces.tracerecorder import TraceRecorder
from ds2c2.transport.packetsource import Listener

RATE = 1e6
# Each modem at an SNR at which it loses some packets.
AIRS = {
    link: AirSettings(snr=snr, cfo=0.004, fading="rician", doppler=1e-5, k=30.0, seed=7)
    for link, snr in (("ofdm", 14.5), ("gmsk", 7.0))
}
LINKS = {"ofdm": LinkSettings("ofdm"), "gmsk": LinkSettings("gmsk")}
FRAMES = 6


@pytest.fixture
def packets(stream_format) -> np.ndarray:
    packetizer = Packetizer(stream_format)
    return np.concatenate([packetizer.pack(random_frames(stream_format, FRAMES)), packetizer.end()])


class Reception:
    """What a receiver makes of a radio: ``trace``, ``counts`` and the packets that came."""

    def __init__(self, stream_format, link=LINKS["ofdm"], wait=5.0, **radio):
        self.format, self.wait = stream_format, wait
        self.recorder = TraceRecorder(stream_format, first=0)
        self.assembler = FrameAssembler(stream_format)
        self.frames, self.packets = [], []
        self.receiver = ds2c2.radio_receiver(stream_format, link, ReceiveSettings(**radio, rate=RATE, timeout=0))
        self.source = self.receiver.listen()

    def run(self) -> "Reception":
        with self.source:
            listener = Listener(self.source, 0.2, self.wait, lambda: self.assembler.ended)
            for arrivals in listener:
                self.recorder.take(arrivals)
                self.packets.append(arrivals.good)
                self.frames += self.assembler.push(arrivals.good)
            self.frames += self.assembler.flush()
        self.counts, self.gave_up = self.assembler.counts, listener.gave_up
        self.trace = self.recorder.finish()
        return self


def transmit(packets, stream_format, link=LINKS["ofdm"], **radio):
    settings = TransmitSettings(**radio, rate=RATE, timeout=20)
    with ds2c2.radio_transmitter(stream_format, link, settings) as transmitter:
        transmitter.send(packets[: len(packets) // 2])
        transmitter.send(packets[len(packets) // 2 :])
        transmitter.finish()
    return transmitter


def in_one_process(packets, stream_format, link) -> LossTrace:
    """The flowgraph with the link in one block."""
    settings = {name: getattr(AIRS[link.link], name) for name in ("snr", "cfo", "fading", "doppler", "k", "seed")}
    whole = {"ofdm": ds2c2.ofdm_link, "gmsk": ds2c2.gmsk_link}[link.link](stream_format, **link.modem, **settings)
    recorder = TraceRecorder(stream_format, first=0)
    whole.set_listener(recorder.take)
    graph, sink = gr.top_block(), row_sink(packets.shape[1])
    graph.connect(blocks.vector_source_b(packets.reshape(-1).tolist(), False, packets.shape[1]), whole, sink)
    run(graph)
    return recorder.finish()


def same(first: LossTrace, second: LossTrace) -> None:
    for name in ("sequence", "status", "time", "snr_db", "cfo"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_two_programs_and_a_recording_give_the_trace_of_one_flowgraph(packets, stream_format, tmp_path, endpoint, link):
    """Bit for bit: statuses, times, SNR and carrier offsets, some packets lost."""
    air, alone = AIRS[link.link], in_one_process(packets, stream_format, link)
    assert 0 < alone.lost().sum() < len(alone) // 2

    transmit(packets, stream_format, link, backend="file", address=str(tmp_path / "run"))
    replayed = Reception(stream_format, link, backend="file", address=str(tmp_path / "run"), air=air).run()
    same(replayed.trace, alone)

    heard = Reception(stream_format, link, backend="zmq", address=endpoint, air=air)
    sender = threading.Thread(
        target=transmit, args=(packets, stream_format, link), kwargs={"backend": "zmq", "address": endpoint}
    )
    sender.start()
    same(heard.run().trace, alone)
    sender.join(DEADLINE)
    assert not sender.is_alive() and not heard.gave_up
    np.testing.assert_array_equal(np.concatenate(heard.packets), np.concatenate(replayed.packets))


@pytest.fixture
def recorded(packets, stream_format, tmp_path):
    """Samples of a transmission, and a way to receive what became of them."""
    transmit(packets, stream_format, backend="file", address=str(tmp_path / "sent"))
    reader = IqReader(tmp_path / "sent")
    samples = reader.read(0, reader.samples)

    def receive(changed: np.ndarray, overrun: int = 0) -> Reception:
        rng = np.random.default_rng(3)
        noise = rng.normal(0, 0.05, (2, len(changed)))  # 23 dB below the bursts
        writer = IqWriter(tmp_path / "changed", RATE)
        changed = (changed + noise[0] + 1j * noise[1]).astype(np.complex64)
        writer.write(changed[:overrun])
        if overrun:
            writer.event("overrun")
        writer.write(changed[overrun:])
        writer.close()
        # It ends with the recording; a busy machine may take seconds for the zeros of two.
        return Reception(stream_format, wait=120.0, backend="file", address=str(tmp_path / "changed")).run()

    return samples, receive


def test_a_receiver_that_starts_late_hears_the_rest(recorded, packets, stream_format):
    """From the middle of a burst on; the count says what was not there to be heard."""
    samples, receive = recorded
    got = receive(samples[len(samples) // 3 + 137 :])
    first = int(np.argmax(got.trace.status == OK))
    assert abs(first - len(packets) / 3) < 3
    assert np.all(got.trace.status[:first] == MISSED) and np.all(got.trace.status[first:] == OK)
    assert got.counts.used == FRAMES * stream_format.blocks - first
    assert got.frames[-1].number == FRAMES - 1 and got.frames[-1].arrived.all()


def test_two_seconds_of_silence_lose_nothing(recorded, stream_format):
    samples, receive = recorded
    # Between two bursts: the gap behind the one that ends in the middle.
    quiet = np.flatnonzero(samples[len(samples) // 2 :] == 0)[0] + len(samples) // 2 + 10
    got = receive(np.concatenate([samples[:quiet], np.zeros(int(2 * RATE), np.complex64), samples[quiet:]]))
    assert not got.trace.lost().any()
    assert got.counts.used == FRAMES * stream_format.blocks and got.counts.missing == 0
    assert np.diff(got.trace.time).max() > 2


def test_the_constellation_of_what_is_heard(packets, stream_format, tmp_path):
    """QPSK with little noise: points near the four, before they are decided, and packets as ever. GMSK has none."""
    transmit(packets, stream_format, backend="file", address=str(tmp_path / "sent"))
    air = AirSettings(snr=30.0, seed=1)
    radio = ReceiveSettings("file", str(tmp_path / "sent"), rate=RATE, timeout=0, air=air)
    heard, points = [], []
    with ds2c2.radio_receiver(stream_format, LINKS["ofdm"], radio, constellation=True).listen() as source:
        for arrivals in Listener(source, 0.2, DEADLINE, lambda: False):
            heard.append(arrivals.good)
            points.append(arrivals.points)
    np.testing.assert_array_equal(np.concatenate(heard), packets)
    seen = np.concatenate([one for one in points if one is not None])
    off = np.abs(seen - (np.sign(seen.real) + 1j * np.sign(seen.imag)) / np.sqrt(2))
    assert len(seen) > 256 and 0.001 < off.mean() < 0.2
    assert ds2c2.gmsk_demodulator(stream_format).watch_symbols() is None


def test_what_the_host_lost_is_no_loss_of_the_channel(recorded):
    """20 ms that a radio's host dropped, as the radio's time tags told: those packets say so in the trace."""
    samples, receive = recorded
    cut = len(samples) // 2
    got = receive(np.concatenate([samples[:cut], samples[cut + 20_000 :]]), overrun=cut)
    dropped = np.flatnonzero(got.trace.status == HOST_DROP)
    assert 16 <= len(dropped) <= 19 and np.all(np.diff(dropped) == 1)
    assert not got.trace.lost().any() and got.trace.overruns.sum() == 1
    assert got.counts.missing == len(dropped)


@pytest.mark.parametrize("kind", ["noise", "carrier"])
def test_a_jammer_costs_what_it_covers(recorded, stream_format, kind):
    """20 dB above the packets for a tenth of the time: those are lost and counted, no others."""
    samples, receive = recorded
    start, length = len(samples) // 2, len(samples) // 10
    rng = np.random.default_rng(4)
    places = np.arange(length)
    jam = (
        10 * (rng.normal(size=length) + 1j * rng.normal(size=length)) if kind == "noise" else 14 * np.exp(0.3j * places)
    )
    jammed = samples.copy()
    jammed[start : start + length] += jam.astype(np.complex64)
    got = receive(jammed)
    lost = np.flatnonzero(got.trace.lost())
    step = LINKS["ofdm"].packet_samples(stream_format.packet_bytes)
    covered = np.arange(start // step, (start + length) // step + 1)
    assert set(lost) <= set(covered) and len(lost) >= len(covered) - 2
    assert got.counts.missing == len(lost) and got.counts.resyncs == 0
    assert got.frames[-1].number == FRAMES - 1 and got.frames[-1].arrived.all()


SENDER = """
import sys, time, numpy as np
from gnuradio import ds2c2
from ds2c2.links.linksettings import LinkSettings
from ds2c2.stream.packets import Packetizer
from ds2c2.links.radiosettings import TransmitSettings
from ds2c2.stream.streamformat import StreamFormat
stream_format = StreamFormat.parse(sys.argv[1])
packetizer = Packetizer(stream_format)
rows = np.random.default_rng(1).integers(0, 256, (stream_format.blocks, stream_format.block_size), np.uint8)
settings = TransmitSettings("zmq", sys.argv[2], timeout=20)
with ds2c2.radio_transmitter(stream_format, LinkSettings(), settings) as transmitter:
    for frame in range(int(sys.argv[3])):
        transmitter.send(packetizer.pack(rows))
        time.sleep(0.02)
    transmitter.send(packetizer.end())
    transmitter.finish()
"""


def test_a_transmitter_that_is_killed_and_started_again_is_followed(stream_format, endpoint):
    """The receiver stays, notices that the numbering begins anew, and ends with the second sender."""

    def start(frames: int) -> subprocess.Popen:
        command = [sys.executable, "-c", SENDER, stream_format.text, endpoint, str(frames)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)

    heard = Reception(stream_format, wait=DEADLINE, backend="zmq", address=endpoint)
    worker = threading.Thread(target=heard.run)
    worker.start()
    first = start(1000)
    # Further than packets are reordered: until then they would be late ones.
    wait_for(lambda: heard.assembler.counts.used > REORDER_PACKETS + 5 * stream_format.blocks)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(FRAMES)
    assert second.wait(DEADLINE) == 0
    worker.join(DEADLINE)
    assert not worker.is_alive() and not heard.gave_up
    assert heard.counts.resyncs == 1
    assert len(heard.trace.resumes) == 1
    before, after = heard.frames[:-FRAMES], heard.frames[-FRAMES:]
    assert [frame.number for frame in after] == list(range(FRAMES))
    assert all(frame.arrived.all() for frame in (*before[:9], *after[1:]))
    # The burst that was torn may have taken the first one behind it along.
    assert after[0].arrived.sum() >= stream_format.blocks - 1


def test_errors_of_the_radio_come_out(packets, stream_format, tmp_path, endpoint):
    """Of the sender where it sends, of the receiver where it reads; nothing hangs."""
    settings = TransmitSettings("zmq", endpoint, timeout=0.2)
    with (
        pytest.raises(LinkError, match="nobody takes samples"),
        ds2c2.radio_transmitter(stream_format, LINKS["ofdm"], settings) as transmitter,
    ):
        for _ in range(1000):
            transmitter.send(packets)
        transmitter.finish()
    with pytest.raises(LinkError, match="no such file"):
        Reception(stream_format, backend="file", address=str(tmp_path / "nowhere"))
    receiver = ds2c2.radio_receiver(stream_format, LINKS["ofdm"], ReceiveSettings("zmq", endpoint, timeout=0.2))
    with receiver.listen() as source, pytest.raises(LinkError, match="no samples come"):
        while source.read(1.0) is not None:
            pass
