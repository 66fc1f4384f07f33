# SPDX-License-Identifier: GPL-3.0-or-later
"""Block Erasure Channel: loses or damages packets."""

import numpy as np

from ds2c2.channels.channel import DEFAULT_BURST, ChannelError
from ds2c2.channels.packetchannel import PacketChannel
from ds2c2.stream.streamformat import StreamFormat

from ._failures import say
from ._stage import Stage, as_format


class block_erasure_channel(Stage):
    """Hits some of the packets; end-of-stream packets pass and are not counted.

    Input:
        u8[packet_bytes], one item a packet

    Output:
        u8[packet_bytes], the packets that arrive

    Args:
        stream_format: a StreamFormat or its text form
        loss: share of the code blocks (bits) that are hit, 0 to 1
        model: iid, exact (a fixed number in every frame), gilbert-elliott (bursts), trace, or what is
            fitted to the trace and drawn from: gilbert-elliott-general, hidden-markov, semi-markov, drift
        effect: erase (the packet does not arrive), zero (every 1 of the code block becomes 0)
            or flip (every bit flips); the receiver does not know of zero and flip, which are
            for models of profile binary
        burst: mean length of a burst in blocks, for gilbert-elliott
        seed: of the draws
        trace: file with a loss trace, for trace and for what is fitted to it
        protect_base: base blocks are never hit
        unit: block, or bit: each bit of the code blocks is hit by itself, with model iid and
            effect zero or flip
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        loss: float = 0.16,
        model: str = "iid",
        effect: str = "erase",
        burst: float = DEFAULT_BURST,
        seed: int = 1,
        trace: str = "",
        protect_base: bool = False,
        unit: str = "block",
    ):
        stream_format = as_format(stream_format)
        item = (np.uint8, stream_format.packet_bytes)
        Stage.__init__(self, "block_erasure_channel", stream_format, item, item)
        self._channel = PacketChannel(stream_format, loss, model, effect, burst, seed, trace, protect_base, unit)

    @property
    def passed(self) -> int:
        """Code blocks that were not hit so far."""
        return self._channel.passed

    @property
    def hit(self) -> int:
        """Code blocks that were hit so far, in one bit or more."""
        return self._channel.hit

    @property
    def bits_hit(self) -> int:
        """Bits that were hit so far, with unit bit."""
        return self._channel.bits_hit

    def set_loss(self, loss: float) -> None:
        """Change the loss rate while running; one that cannot be is refused with a line."""
        try:
            self._channel.set_loss(loss)
        except ChannelError as error:
            say(self.name(), str(error))

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        self.put(self._channel.through(rows))
