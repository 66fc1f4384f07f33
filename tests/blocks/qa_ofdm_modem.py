# SPDX-License-Identifier: GPL-3.0-or-later
"""OFDM Modulator and Demodulator: against each other, against GNU Radio's own, in noise."""

import numpy as np
import pytest
from flowgraph import run
from gnuradio import blocks, digital, ds2c2, gr
from modem import format_of, noise, packets_of, received, samples_of, through_parts

from ds2c2.links.ofdm import ModemError
from ds2c2.traces.losstrace import CRC_FAIL, MISSED, OK
from ds2c2.traces.tracerecorder import TraceRecorder

SHORT = 100  # bytes of a packet, as in the tables of docs/links.md
LONGEST = 1064


@pytest.mark.parametrize("fec", ["none", "cc"])
@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "8psk", "16qam"])
@pytest.mark.parametrize("packet_bytes", [41, LONGEST])
def test_every_packet_arrives(modulation, fec, packet_bytes):
    """Without noise all of them do, the last one too, in order; and the flowgraph ends."""
    stream = format_of(packet_bytes)
    packets = packets_of(stream, 12)
    modulator = ds2c2.ofdm_modulator(stream, modulation, fec)
    demodulator = ds2c2.ofdm_demodulator(stream, modulation, fec)
    np.testing.assert_array_equal(through_parts(packets, modulator, demodulator), packets)
    assert modulator.sent == 12
    assert demodulator.counts.line() == "12 packets detected, 12 passed, 0 header failures, 0 CRC failures"


def test_a_burst_has_power_one():
    stream = format_of(SHORT)
    for modulation in ("qpsk", "16qam"):
        modulator = ds2c2.ofdm_modulator(stream, modulation, gap=600, payload_level=1.5)
        bursts = samples_of(packets_of(stream, 50), modulator).reshape(50, -1)
        length = modulator.ofdm.burst_samples
        assert bursts.shape[1] == length + 600
        assert not bursts[:, length:].any()
        assert np.mean(np.abs(bursts[:, :length]) ** 2) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("modulation, bits", [("bpsk", 1), ("qpsk", 2)])
def test_gnu_radios_receiver_understands_us(modulation, bits):
    """digital.ofdm_rx, whose framing and preamble ours are."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 20)
    samples = samples_of(packets, ds2c2.ofdm_modulator(stream, modulation))
    sink = blocks.vector_sink_b()
    graph = gr.top_block()
    receiver = digital.ofdm_rx(packet_length_tag_key="theirs", bps_payload=bits, scramble_bits=True)
    graph.connect(blocks.vector_source_c(samples.tolist()), receiver, sink)
    run(graph)
    np.testing.assert_array_equal(np.array(sink.data(), np.uint8).reshape(-1, SHORT), packets)


def test_we_understand_gnu_radios_transmitter():
    """digital.ofdm_tx, whose QPSK payload has twice the preamble's amplitude."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 20)
    sink = blocks.vector_sink_c()
    graph = gr.top_block()
    graph.connect(
        blocks.vector_source_b(packets.reshape(-1).tolist()),
        blocks.stream_to_tagged_stream(1, 1, SHORT, "theirs"),
        digital.ofdm_tx(packet_length_tag_key="theirs", bps_payload=2, scramble_bits=True),
        sink,
    )
    run(graph)
    bursts = np.array(sink.data(), np.complex64).reshape(20, -1)
    samples = np.concatenate([bursts, np.zeros((20, 500), np.complex64)], axis=1).reshape(-1)
    demodulator = ds2c2.ofdm_demodulator(stream, payload_level=2)
    np.testing.assert_array_equal(received(samples, demodulator, SHORT), packets)


@pytest.mark.parametrize("fec, snr", [("none", 12), ("cc", 10)])
def test_losses_do_not_depend_on_scheduling(fec, snr):
    """The same samples give the same packets, however small the calls are."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 60)
    samples = samples_of(packets, ds2c2.ofdm_modulator(stream, fec=fec))
    samples = samples + noise(len(samples), snr)
    outcomes = []
    for max_items in (100_000_000, 1777, 300):
        demodulator = ds2c2.ofdm_demodulator(stream, fec=fec)
        outcomes.append((received(samples, demodulator, SHORT, max_items).tobytes(), demodulator.counts))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert 5 < outcomes[0][1].passed < 55


@pytest.mark.parametrize("snr, expected", [(12, 0.76), (14, 0.25)])
def test_packet_error_rate(snr, expected):
    """About what docs/links.md says for GNU Radio's levels; each loss has its reason."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 300)
    samples = samples_of(packets, ds2c2.ofdm_modulator(stream, payload_level=2))
    demodulator = ds2c2.ofdm_demodulator(stream, payload_level=2)
    got = received(samples + noise(len(samples), snr), demodulator, SHORT)
    counts = demodulator.counts
    assert expected / 1.4 < 1 - len(got) / 300 < expected * 1.2
    assert counts.passed == len(got)
    assert counts.detected == counts.passed + counts.crc_failed + counts.header_failed
    assert counts.crc_failed > 0
    # What passes is right.
    assert {packet.tobytes() for packet in got} <= {packet.tobytes() for packet in packets}


@pytest.mark.parametrize("level", [0.0, 1e-3, 1.0, 1e3])
def test_nothing_in_noise(level):
    """No packet, not even one that is noticed; silence neither."""
    demodulator = ds2c2.ofdm_demodulator(format_of(SHORT))
    assert len(received(level * noise(400_000, 0), demodulator, SHORT)) == 0
    assert demodulator.counts.detected == 0


def test_offsets_are_corrected_and_measured():
    """A carrier offset of more than a carrier, and of a part: packets arrive, a trace tells both."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 30)
    samples = samples_of(packets, ds2c2.ofdm_modulator(stream))
    for cfo in (0.0391, -0.0043):
        turned = samples * np.exp(2j * np.pi * cfo * np.arange(len(samples))) + noise(len(samples), 20)
        demodulator = ds2c2.ofdm_demodulator(stream, sample_rate=2e6)
        recorder = TraceRecorder(stream)
        demodulator.set_listener(recorder.take)
        np.testing.assert_array_equal(received(turned.astype(np.complex64), demodulator, SHORT), packets)
        trace = recorder.finish()
        assert np.all(trace.status == OK)
        assert np.median(trace.cfo) == pytest.approx(cfo, abs=1e-4)
        assert np.median(trace.snr_db) == pytest.approx(20, abs=1)
        # The receiver begins within the prefix; bursts are 1460 samples apart.
        np.testing.assert_allclose(trace.time * 2e6, np.arange(30) * 1460, atol=16)


def test_echoes_within_the_prefix():
    stream = format_of(SHORT)
    packets = packets_of(stream, 30)
    samples = samples_of(packets, ds2c2.ofdm_modulator(stream))
    echoed = np.convolve(samples, [1, 0, 0.5, 0.3j])[: len(samples)].astype(np.complex64)
    got = received(echoed + noise(len(samples), 30), ds2c2.ofdm_demodulator(stream), SHORT)
    np.testing.assert_array_equal(got, packets)


def test_a_trace_tells_what_was_lost_and_how():
    """A burst that is gone is missed, one with a noisy payload fails its check sum."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 10)
    modulator = ds2c2.ofdm_modulator(stream)
    bursts = samples_of(packets, modulator).reshape(10, -1)
    bursts[3] = 0
    # Ours is the first symbols' header; what fails is behind it.
    bursts[6, 640:] += noise(bursts.shape[1] - 640, 0)
    # A damaged header: the burst is noticed and nothing of it is known.
    bursts[8, 160:240] = noise(80, 0)
    demodulator = ds2c2.ofdm_demodulator(stream)
    recorder = TraceRecorder(stream)
    demodulator.set_listener(recorder.take)
    received(bursts.reshape(-1), demodulator, SHORT)
    trace = recorder.finish()
    assert trace.status.tolist() == [OK, OK, OK, MISSED, OK, OK, CRC_FAIL, OK, MISSED, OK]
    assert trace.about["unattributed"] == "1"
    counts = demodulator.counts
    assert (counts.passed, counts.crc_failed, counts.header_failed) == (7, 1, 1)


def test_packets_of_another_length_are_refused():
    """Their headers check, and would have the receiver wait for a payload of their length."""
    theirs, ours = format_of(LONGEST), format_of(SHORT)
    packets = packets_of(ours, 5)
    foreign = samples_of(packets_of(theirs, 3), ds2c2.ofdm_modulator(theirs))
    samples = np.concatenate([foreign, samples_of(packets, ds2c2.ofdm_modulator(ours))])
    demodulator = ds2c2.ofdm_demodulator(ours)
    np.testing.assert_array_equal(received(samples, demodulator, SHORT), packets)
    assert demodulator.counts.header_failed >= 3


def test_two_links_in_one_flowgraph():
    """Length tags of one modem mean nothing to another."""
    stream = format_of(SHORT)
    packets = packets_of(stream, 8)
    chain = [block(stream) for _ in range(2) for block in (ds2c2.ofdm_modulator, ds2c2.ofdm_demodulator)]
    np.testing.assert_array_equal(through_parts(packets, *chain), packets)


@pytest.mark.parametrize(
    ("block", "arguments", "message"),
    [
        ("ofdm_modulator", {"modulation": "64qam"}, "64qam"),
        ("ofdm_modulator", {"fec": "turbo"}, "turbo"),
        ("ofdm_modulator", {"gap": 100}, "gap 100"),
        ("ofdm_modulator", {"payload_level": 0}, "payload level 0"),
        ("ofdm_demodulator", {"threshold": 1}, "threshold 1"),
        ("ofdm_demodulator", {"modulation": "am"}, "am"),
    ],
)
def test_parameters_that_are_no_modem(block, arguments, message):
    with pytest.raises(ModemError, match=message):
        getattr(ds2c2, block)(format_of(SHORT), **arguments)
