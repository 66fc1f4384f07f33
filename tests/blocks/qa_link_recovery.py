# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls a receiver on the air: it goes on by itself, and the counts say what happened."""

import numpy as np
import pytest
from gnuradio import ds2c2
from modem import format_of, noise, packets_of, received, samples_of

from ds2c2.traces.losstrace import CRC_FAIL, MISSED, OK
from ds2c2.traces.tracerecorder import TraceRecorder

STREAM = format_of(100)
RATE = 500_000  # samples/s
PACKETS = 40
SNR = 18  # dB
MODEMS = ["ofdm", "gmsk"]


def bursts_of(modem, packets):
    """Samples ``complex64[n, burst and gap]``."""
    modulator = getattr(ds2c2, f"{modem}_modulator")(STREAM)
    return samples_of(packets, modulator).reshape(len(packets), -1)


def heard(modem, samples):
    """The packets, counts and loss trace of samples, noise added to them."""
    demodulator = getattr(ds2c2, f"{modem}_demodulator")(STREAM, sample_rate=RATE)
    recorder = TraceRecorder(STREAM)
    demodulator.set_listener(recorder.take)
    packets = received((samples + noise(len(samples), SNR)).astype(np.complex64), demodulator, 100)
    return packets, demodulator.counts, recorder.finish()


@pytest.mark.parametrize("modem", MODEMS)
@pytest.mark.parametrize("late", [0.2, 0.5, 0.9])
def test_a_receiver_that_starts_late(modem, late):
    """In the middle of a packet: that one is lost, every later one arrives."""
    packets = packets_of(STREAM, PACKETS)
    bursts = bursts_of(modem, packets)
    begin = int((10 + late) * bursts.shape[1])
    got, counts, trace = heard(modem, bursts.reshape(-1)[begin:])
    np.testing.assert_array_equal(got, packets[11:])
    assert counts.passed == PACKETS - 11
    assert counts.header_failed + counts.crc_failed <= 1
    assert trace.sequence[0] >= 10 and np.all(trace.status[-29:] == OK)


@pytest.mark.parametrize("modem", MODEMS)
def test_two_seconds_of_silence(modem):
    """Nothing is heard in them, nothing is lost before and after, and the trace has the time."""
    packets = packets_of(STREAM, PACKETS)
    bursts = bursts_of(modem, packets).reshape(2, -1)
    silence = np.zeros(2 * RATE, np.complex64)
    got, counts, trace = heard(modem, np.concatenate([bursts[0], silence, bursts[1]]))
    np.testing.assert_array_equal(got, packets)
    assert counts.line() == f"{PACKETS} packets detected, {PACKETS} passed, 0 header failures, 0 CRC failures"
    assert np.diff(trace.time).max() == pytest.approx(2 + bursts.shape[1] / (PACKETS // 2) / RATE, abs=1e-3)


@pytest.mark.parametrize("modem", MODEMS)
@pytest.mark.parametrize("kind", ["noise", "carrier"])
def test_a_jammer(modem, kind):
    """10 dB above the packets for 10 of them: these are lost, and no other."""
    packets = packets_of(STREAM, PACKETS)
    bursts = bursts_of(modem, packets)
    jammed = np.zeros(bursts.shape, np.complex64)
    if kind == "noise":
        jammed[15:25] = noise(jammed[15:25].size, -10, seed=9).reshape(10, -1)
    else:
        jammed[15:25] = np.sqrt(10) * np.exp(0.3j * np.arange(jammed[15:25].size)).reshape(10, -1)
    got, counts, trace = heard(modem, (bursts + jammed).reshape(-1))
    np.testing.assert_array_equal(got, np.delete(packets, np.s_[15:25], axis=0))
    assert counts.passed == PACKETS - 10
    assert trace.lost().tolist() == [15 <= place < 25 for place in range(PACKETS)]
    assert set(trace.status[15:25]) <= {MISSED, CRC_FAIL}


@pytest.mark.parametrize("modem", MODEMS)
def test_a_transmitter_that_is_killed_and_restarted(modem):
    """Killed in the middle of a packet; it starts over with frame 0 and the trace goes on behind."""
    packets = packets_of(STREAM, STREAM.blocks + PACKETS)
    bursts = bursts_of(modem, packets)
    torn = bursts[:50].reshape(-1)[: int(49.4 * bursts.shape[1])]
    samples = np.concatenate([torn, np.zeros(3000, np.complex64), bursts[:PACKETS].reshape(-1)])
    got, counts, trace = heard(modem, samples)
    np.testing.assert_array_equal(got, np.concatenate([packets[:49], packets[:PACKETS]]))
    assert counts.passed == 49 + PACKETS
    assert counts.header_failed + counts.crc_failed <= 1
    assert (trace.status == OK).sum() + trace.counts()["duplicate"] == 49 + PACKETS


@pytest.mark.parametrize("modem", MODEMS)
@pytest.mark.parametrize("offset", [0.5, 3j])
def test_a_dc_offset_loses_nothing_once_it_is_known(modem, offset):
    """Of a radio without intermediate frequency; without the blocker none passed at 6 dB below the bursts."""
    packets = packets_of(STREAM, PACKETS)
    silence = np.zeros(10_000, np.complex64)
    samples = np.concatenate([silence, bursts_of(modem, packets).reshape(-1)]) + np.complex64(offset)
    got, counts, _ = heard(modem, samples)
    np.testing.assert_array_equal(got, packets)
    assert counts.unheard == ""


def test_energy_without_packets_is_told_from_nothing():
    """A burst of the other modem, and zeros."""
    samples = bursts_of("gmsk", packets_of(STREAM, 3)).reshape(-1)
    demodulator = ds2c2.ofdm_demodulator(STREAM)
    assert not len(received(np.concatenate([samples, 0 * samples]), demodulator, 100))
    assert "there is energy that comes and goes, up to 0" in demodulator.counts.unheard.replace("-0", "0")
    demodulator = ds2c2.ofdm_demodulator(STREAM)
    assert not len(received(0 * samples, demodulator, 100))
    assert demodulator.counts.unheard == "all samples are zeros: the radio or the recording is silent"
