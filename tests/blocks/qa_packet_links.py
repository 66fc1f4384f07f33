# SPDX-License-Identifier: GPL-3.0-or-later
"""OFDM Link and GMSK Link: packets in, packets out, like a Block Erasure Channel."""

import numpy as np
import pytest
from gnuradio import ds2c2
from modem import format_of, packets_of, through_parts

from ds2c2.links.air import AirError
from ds2c2.links.ofdm import ModemError
from ds2c2.traces.losstrace import CRC_FAIL
from ds2c2.traces.tracerecorder import TraceRecorder

STREAM = format_of(100)
LINKS = [ds2c2.ofdm_link, ds2c2.gmsk_link]
# Loses some packets of each kind.
FADING = {"snr": 18, "fading": "rayleigh", "doppler": 3e-5, "cfo": 0.002}


@pytest.mark.parametrize("link", LINKS)
def test_a_good_link_loses_nothing(link):
    """With offsets of carrier and clock and an echo, the last packet arrives too."""
    packets = packets_of(STREAM, 15)
    block = link(STREAM, snr=30, cfo=0.01, clock=5e-5, taps=[1, 0, 0.3j])
    np.testing.assert_array_equal(through_parts(packets, block), packets)
    assert (block.passed, block.hit) == (15, 0)
    assert block.counts.line() == "15 packets sent, 15 passed, 0 missed, 0 header failures, 0 CRC failures"


@pytest.mark.parametrize("link", LINKS)
def test_the_seed_tells_what_is_lost(link):
    """The same twice, whatever the scheduler does; others with another seed. A trace agrees."""
    packets = packets_of(STREAM, 200)

    def outcome(seed, max_items=100_000_000):
        block, recorder = link(STREAM, **FADING, seed=seed), TraceRecorder(STREAM, first=0)
        block.set_listener(recorder.take)
        out = through_parts(packets, block, max_items=max_items)
        return out.tobytes(), block.counts, recorder.finish(total_frames=-(-200 // STREAM.blocks))

    first, counts, trace = outcome(3)
    again, counts_again, trace_again = outcome(3, 999)
    assert (first, counts) == (again, counts_again)
    np.testing.assert_array_equal(trace.snr_db, trace_again.snr_db)
    assert outcome(4)[0] != first
    lost = trace.lost()[:200]
    assert lost.sum() == counts.sent - counts.passed > 5
    assert first == packets[~lost].tobytes()
    assert counts.missed + counts.header_failed + counts.crc_failed == lost.sum()
    # Whose packet header is intact is known; others are unattributed.
    assert (trace.status == CRC_FAIL).sum() <= counts.crc_failed
    # Fading: the estimates follow.
    assert np.nanmax(trace.snr_db) - np.nanmin(trace.snr_db) > 6


def test_snr_can_change():
    """A link that is opened with nothing but noise, and then with hardly any."""
    packets = packets_of(STREAM, 10)
    block = ds2c2.ofdm_link(STREAM, snr=-20)
    block.set_snr(40)
    np.testing.assert_array_equal(through_parts(packets, block), packets)


def test_it_takes_the_place_of_the_emulated_channel():
    """Between Packetizer and Depacketizer; what comes out has the losses of the link."""
    frames = packets_of(STREAM, STREAM.blocks)
    out = through_parts(frames, ds2c2.ofdm_link(STREAM, snr=11.5))
    sent = {packet.tobytes() for packet in frames}
    assert 0 < len(out) < len(frames)
    assert all(packet.tobytes() in sent for packet in out)


@pytest.mark.parametrize(
    ("link", "arguments", "error", "message"),
    [
        (ds2c2.ofdm_link, {"modulation": "morse"}, ModemError, "morse"),
        (ds2c2.ofdm_link, {"fading": "some"}, AirError, "some"),
        (ds2c2.gmsk_link, {"samples_per_symbol": 0}, ModemError, "0 samples"),
        (ds2c2.gmsk_link, {"cfo": 2}, AirError, "cfo 2"),
    ],
)
def test_parameters_that_are_no_link(link, arguments, error, message):
    with pytest.raises(error, match=message):
        link(STREAM, **arguments)


@pytest.mark.usefixtures("models")
def test_a_sweeps_point(picture_folder):
    """Pictures over a link at two SNRs: the counts add up, the better one shows better pictures."""
    from ds2c2.evaluation.sweep import SweepStream
    from ds2c2.stream.streamformat import StreamFormat

    stream = StreamFormat(192, 128, bpp=0.6, block_size=40, interleave="block", depth=2)
    sweep = SweepStream(stream, [str(picture_folder)], packets=150, measured=3)
    assert len(sweep.packets) == 4 * stream.blocks and sweep.measured == 4
    points, ticks = [], []
    for snr in (5.5, 20):
        trial = ds2c2.link_trial(sweep.stream, sweep.packets, "gmsk", f"snr={snr} seed=2", samples_per_symbol=3)
        trial.run_to_end(lambda: ticks.append(1))
        point, trace = sweep.measure(snr, trial.arrivals, trial.counts)
        assert point.passed + point.missed + point.header + point.crc == point.packets == len(sweep.packets)
        assert trace.lost().sum() == point.packets - point.passed
        points.append(point)
    assert ticks
    assert 0.1 < points[0].per < 1 and points[1].per == 0
    assert points[0].psnr < points[1].psnr and points[1].concealed == 0


def test_a_trial_can_be_left():
    """What the caller raises while it runs ends it."""

    def enough():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ds2c2.link_trial(STREAM, packets_of(STREAM, 20_000), "ofdm", "snr=20").run_to_end(enough)
    with pytest.raises(ModemError, match="smoke"):
        ds2c2.link_trial(STREAM, packets_of(STREAM, 2), "smoke")
