# SPDX-License-Identifier: GPL-3.0-or-later
"""Packetizer against the library's."""

import numpy as np
import pytest
from flowgraph import frame_tags, random_frames, through
from gnuradio import ds2c2

from ds2c2.errors import FormatError
from ds2c2.stream.packets import END_COPIES, Packetizer, parse_packets


def test_packets_and_the_end(stream_format):
    """Numbered packets, then the end-of-stream packets behind the end tag."""
    rows = random_frames(stream_format, 3)
    out, _ = through(rows, ds2c2.packetizer(stream_format, 7), tags=frame_tags(stream_format, range(3)))
    library = Packetizer(stream_format, 7)
    np.testing.assert_array_equal(out, np.concatenate([library.pack(rows), library.end()]))
    parsed = parse_packets(out, stream_format, 7)
    assert parsed.ends == [3] * END_COPIES
    np.testing.assert_array_equal(parsed.frames, np.repeat(range(3), stream_format.blocks))
    np.testing.assert_array_equal(parsed.indices, np.tile(range(stream_format.blocks), 3))


def test_no_end_without_the_tag(stream_format):
    """An input that merely stops is not announced as ended."""
    rows = random_frames(stream_format, 1)
    out, _ = through(rows, ds2c2.packetizer(stream_format), tags=frame_tags(stream_format, [0], ended=False))
    assert out.shape == (stream_format.blocks, stream_format.packet_bytes)


@pytest.mark.parametrize("stream", [-1, 256])
def test_stream_out_of_range(stream_format, stream):
    with pytest.raises(FormatError, match="0 to 255"):
        ds2c2.packetizer(stream_format, stream)


def test_text_form_is_taken(stream_format):
    """A block takes the text form of a stream format as well."""
    rows = random_frames(stream_format, 1)
    out, _ = through(rows, ds2c2.packetizer(stream_format.text))
    np.testing.assert_array_equal(out, Packetizer(stream_format).pack(rows))


def test_nonsense_is_no_format():
    with pytest.raises(FormatError, match="not understood"):
        ds2c2.packetizer("768x512")
    with pytest.raises(FormatError, match="no stream format"):
        ds2c2.packetizer(42)
