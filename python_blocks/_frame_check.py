# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demodulator received to packets: the check sum decides."""

from collections import deque
from collections.abc import Callable

import numpy as np

from ds2c2.links.linkframes import LinkFrames, ModemCounts
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Arrivals

from ._failures import say
from ._stage import Stage


class frame_check(Stage):
    """Frames ``u8[packet + 4]`` to the packets ``u8[packet]`` whose check sum is right.

    Says the counts at its end in the name of ``owner``, if that is not empty. ``receptions`` has one for each frame,
    in order; a ``listener`` hears of all that is noticed.
    """

    def __init__(
        self,
        owner: str,
        stream_format: StreamFormat,
        counts: ModemCounts,
        receptions: deque,
        sample_rate: float,
    ):
        self._frames = LinkFrames(stream_format.packet_bytes)
        ends = (np.uint8, self._frames.frame_bytes), (np.uint8, self._frames.packet_bytes)
        Stage.__init__(self, "frame_check", stream_format, *ends)
        self.owner, self._counts, self._receptions = owner, counts, receptions
        self._sample_rate = sample_rate
        self.listener: Callable[[Arrivals], None] | None = None

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        packets, intact = self._frames.check(rows)
        receptions = [self._receptions.popleft() for _ in rows]
        self._counts.passed += int(intact.sum())
        self._counts.crc_failed += int((~intact).sum())
        if self.listener is not None:
            start, snr_db, cfo = np.array([(one.start, one.snr_db, one.cfo) for one in receptions]).T
            self.listener(Arrivals(packets, np.maximum(start, 0) / self._sample_rate, snr_db, cfo, intact))
        self.put(packets[intact])

    def header_failed(self) -> None:
        """A packet was noticed and its header did not check; nothing more is known of it."""
        if self.listener is not None:
            nothing = np.zeros((0, self._frames.packet_bytes), np.uint8)
            self.listener(Arrivals(nothing, unreadable=1))

    def stop(self) -> bool:
        if self.owner:
            unheard = self._counts.unheard
            say(self.owner, f"{self._counts.line()}{f'; {unheard}' if unheard else ''}")
        return True
