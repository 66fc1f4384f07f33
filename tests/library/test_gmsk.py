# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames cut out of soft symbols."""

import numpy as np
import pytest

from ds2c2.links.gmsk import ACCESS_CODE, PREAMBLE, TAIL, GmskFormat, GmskSlicer

FRAME = bytes(range(30))
DELAY = 7  # symbols that the receiver's filters take


def symbols_of(*frames, gap=200, offset=0.0, sigma=0.1):
    """Bursts with these frames, ``gap`` noisy symbols around each, and where they begin."""
    rng = np.random.default_rng(1)
    stream, begun = [rng.normal(0, 0.8, gap)], []
    for key, frame in enumerate(frames):
        begun.append((sum(map(len, stream)) - DELAY, key))
        bits = np.unpackbits(np.frombuffer(PREAMBLE + ACCESS_CODE + frame + TAIL, np.uint8))
        stream += [2.0 * bits - 1 + offset + rng.normal(0, sigma, len(bits)), rng.normal(0, 0.8, gap)]
    return np.concatenate(stream).astype(np.float32), begun


@pytest.mark.parametrize("size", [1, 17, 100_000])
@pytest.mark.parametrize("offset", [0.0, 0.5, -0.5])
def test_frames_come_out(size, offset):
    """In pieces of any size, with a carrier offset left; the offset is measured."""
    symbols, begun = symbols_of(FRAME, FRAME[::-1], offset=offset)
    slicer, found = GmskSlicer(30), []
    for place in range(0, len(symbols), size):
        here = [one for one in begun if place <= one[0] < place + size]
        frames, codeless = slicer.push(symbols[place : place + size], here)
        found += frames
        assert codeless == 0
    assert [(frame.key, frame.frame.tobytes()) for frame in found] == [(0, FRAME), (1, FRAME[::-1])]
    assert [frame.offset for frame in found] == pytest.approx([offset] * 2, abs=0.05)


def test_a_burst_without_code_is_counted_and_a_false_alarm_in_a_packet_is_not():
    symbols, begun = symbols_of(FRAME, FRAME)
    second = begun[1][0]
    symbols[second + 96 : second + 96 + 80] = 0
    frames, codeless = GmskSlicer(30).push(symbols, [begun[0], (begun[0][0] + 60, 7), begun[1]])
    assert [frame.key for frame in frames] == [0]
    assert codeless == 1


def test_two_alarms_of_one_packet_give_it_once():
    symbols, begun = symbols_of(FRAME)
    frames, codeless = GmskSlicer(30).push(symbols, [begun[0], (begun[0][0] + 5, 1)])
    assert [frame.key for frame in frames] == [0] and codeless == 0


def test_air_time():
    """12 bytes of preamble, 8 of access code, packet and check sum, 2 of tail; a bit is a symbol."""
    assert GmskFormat(100).burst_samples == 8 * (12 + 8 + 104 + 2) * 4
    assert GmskFormat(100, 2).min_gap == 320
