# SPDX-License-Identifier: GPL-3.0-or-later
"""GMSK Modulator and Demodulator: against each other, in noise, with offsets."""

import numpy as np
import pytest
from gnuradio import ds2c2
from modem import format_of, noise, packets_of, received, samples_of, through_parts

from ds2c2.links.ofdm import ModemError
from ds2c2.traces.losstrace import CRC_FAIL, MISSED, OK
from ds2c2.traces.tracerecorder import TraceRecorder

SHORT = 100  # bytes of a packet
LONGEST = 1064


@pytest.mark.parametrize("packet_bytes, samples_per_symbol", [(41, 2), (41, 8), (SHORT, 3), (LONGEST, 4)])
def test_every_packet_arrives(packet_bytes, samples_per_symbol):
    """Without noise all of them do, the last one too, in order; and the flowgraph ends."""
    stream = format_of(packet_bytes)
    packets = packets_of(stream, 12)
    modulator = ds2c2.gmsk_modulator(stream, samples_per_symbol)
    demodulator = ds2c2.gmsk_demodulator(stream, samples_per_symbol)
    np.testing.assert_array_equal(through_parts(packets, modulator, demodulator), packets)
    assert modulator.sent == 12
    assert demodulator.counts.line() == "12 packets detected, 12 passed, 0 header failures, 0 CRC failures"


def test_a_burst_has_constant_envelope():
    modulator = ds2c2.gmsk_modulator(format_of(SHORT), gap=200)
    bursts = samples_of(packets_of(format_of(SHORT), 4), modulator).reshape(4, -1)
    length = modulator.gmsk.burst_samples
    assert bursts.shape[1] == length + 4 * 200
    assert not bursts[:, length:].any()
    np.testing.assert_allclose(np.abs(bursts[:, :length]), 1, atol=1e-3)


def test_losses_do_not_depend_on_scheduling():
    """The same samples give the same packets, however small the calls are."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 50)
    samples = samples_of(packets, ds2c2.gmsk_modulator(stream))
    samples = samples + noise(len(samples), 5.5)
    outcomes = []
    for max_items in (100_000_000, 1777, 300):
        demodulator = ds2c2.gmsk_demodulator(stream)
        outcomes.append((received(samples, demodulator, SHORT, max_items).tobytes(), demodulator.counts))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    counts = outcomes[0][1]
    assert 5 < counts.passed < 45
    assert counts.detected == counts.passed + counts.crc_failed + counts.header_failed


@pytest.mark.parametrize("snr, least, most", [(6, 0.15, 0.4), (10, 0.0, 0.02), (20, 0.0, 0.0)])
def test_packet_error_rate(snr, least, most):
    """About what docs/links.md says; without the channel filter it would be 1 at 10 dB."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 200)
    samples = samples_of(packets, ds2c2.gmsk_modulator(stream))
    got = received(samples + noise(len(samples), snr), ds2c2.gmsk_demodulator(stream), SHORT)
    assert least <= 1 - len(got) / 200 <= most
    assert {packet.tobytes() for packet in got} <= {packet.tobytes() for packet in packets}


@pytest.mark.parametrize("level", [0.0, 1e-3, 1e3])
def test_nothing_in_noise(level):
    demodulator = ds2c2.gmsk_demodulator(format_of(SHORT))
    assert len(received(level * noise(400_000, 0), demodulator, SHORT)) == 0
    assert demodulator.counts.detected == 0


@pytest.mark.parametrize("cfo", [0.0287, -0.004])
def test_offsets_are_corrected_and_measured(cfo):
    """Carrier offset and a sample clock that is wrong by 200 ppm."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 30)
    samples = samples_of(packets, ds2c2.gmsk_modulator(stream))
    clock = np.arange(len(samples)) * 1.0002
    resampled = np.interp(clock, np.arange(len(samples)), samples)
    turned = resampled * np.exp(2j * np.pi * cfo * np.arange(len(samples))) + noise(len(samples), 20)
    demodulator = ds2c2.gmsk_demodulator(stream, sample_rate=2e6)
    recorder = TraceRecorder(stream)
    demodulator.set_listener(recorder.take)
    np.testing.assert_array_equal(received(turned.astype(np.complex64), demodulator, SHORT), packets)
    trace = recorder.finish()
    assert np.all(trace.status == OK)
    assert np.median(trace.cfo) == pytest.approx(cfo, abs=4e-4)
    assert np.median(trace.snr_db) == pytest.approx(20, abs=1)
    np.testing.assert_allclose(np.diff(trace.time * 2e6), len(samples) / 30, atol=30)


def test_a_trace_tells_what_was_lost_and_how():
    """A burst that is gone is missed, a noisy payload fails its check sum, and a noisy access code
    is a packet of which nothing is known."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 10)
    bursts = samples_of(packets, ds2c2.gmsk_modulator(stream)).reshape(10, -1)
    bursts[3] = 0
    bursts[6, 1500:3000] = noise(1500, 0)
    bursts[8, 400:640] = noise(240, 0)
    demodulator = ds2c2.gmsk_demodulator(stream)
    recorder = TraceRecorder(stream)
    demodulator.set_listener(recorder.take)
    received(bursts.reshape(-1), demodulator, SHORT)
    trace = recorder.finish()
    assert trace.status.tolist() == [OK, OK, OK, MISSED, OK, OK, CRC_FAIL, OK, MISSED, OK]
    assert trace.about["unattributed"] == "1"
    counts = demodulator.counts
    assert (counts.passed, counts.crc_failed, counts.header_failed) == (7, 1, 1)


@pytest.mark.parametrize(
    ("block", "arguments", "message"),
    [
        ("gmsk_modulator", {"samples_per_symbol": 1}, "1 samples per symbol"),
        ("gmsk_modulator", {"samples_per_symbol": 2.5}, "2.5 samples per symbol"),
        ("gmsk_modulator", {"bt": 0}, "BT 0"),
        ("gmsk_modulator", {"gap": 10}, "gap 10"),
        ("gmsk_demodulator", {"threshold": 0}, "threshold 0"),
    ],
)
def test_parameters_that_are_no_modem(block, arguments, message):
    with pytest.raises(ModemError, match=message):
        getattr(ds2c2, block)(format_of(SHORT), **arguments)
