# SPDX-License-Identifier: GPL-3.0-or-later
"""Packetizer: code blocks to numbered packets."""

import numpy as np
import pmt

from ds2c2.errors import FormatError
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import MAX_STREAM, Packetizer
from ds2c2.stream.streamformat import StreamFormat

from ._stage import END_TAG, ENDED_PORT, Stage, as_format, as_packet_format, refuse_tag_header


class packetizer(Stage):
    """Puts a header before each code block: type, stream, frame, index, check; of a signed stream the session too.

    Behind the tag ``ds2c2_end`` it sends end-of-stream packets, several, since some may be lost.

    Input:
        u8[block_size], one item a code block, whole frames from the start

    Output:
        u8[packet_bytes], one item a packet; message port ``ended``: to be connected to the port
        ``system`` of a source that never ends (ZMQ), which GNU Radio then finishes with this block

    Args:
        stream_format: a StreamFormat or its text form
        stream: number of this stream among others on the same link, 0 to 255
        key: file with the key of a signed stream, which the stream format names
    """

    def __init__(self, stream_format: StreamFormat | str, stream: int = 0, key: str = ""):
        stream_format = as_format(stream_format)
        if not 0 <= stream <= MAX_STREAM:
            raise FormatError(f"stream {stream} is out of range: 0 to {MAX_STREAM}")
        size = stream_format.block_size
        Stage.__init__(self, "packetizer", stream_format, (np.uint8, size), (np.uint8, stream_format.packet_bytes))
        self.message_port_register_out(ENDED_PORT)
        self._make = lambda known: Packetizer(known, stream, read_key(key))
        self._packetizer = self._make(as_packet_format(stream_format))

    def _agree(self, value) -> None:
        super()._agree(value)
        # What a stream from another host says of its weights goes before those of this host.
        known = StreamFormat.parse(pmt.symbol_to_string(value))
        if known.model_digest and not self.nitems_read(0):
            self._packetizer = self._make(known)

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        if self.nitems_read(0) == 0:
            refuse_tag_header(rows)
        ended = [offset for offset, key, _ in tags if key == END_TAG]
        count = ended[0] + 1 if ended else len(rows)
        self.put(self._packetizer.pack(rows[:count]))
        if ended:
            self.put(self._packetizer.end())
            self.end()
