# SPDX-License-Identifier: GPL-3.0-or-later
"""Demodulated GMSK symbols to frames."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pmt

from ds2c2.links.burstfinder import Burst
from ds2c2.links.gmsk import GmskFormat, GmskSlicer
from ds2c2.links.linkframes import ModemCounts
from ds2c2.stream.streamformat import StreamFormat

from ._burst_trigger import BURST
from ._header_gate import Reception
from ._stage import Stage

_BURST = pmt.intern(BURST)


class gmsk_slicer(Stage):
    """Soft symbols in, frames ``u8[packet + 4]`` out, by ``GmskSlicer``; counts bursts without
    an access code as failed headers. ``accepted`` gets the reception of each frame."""

    def __init__(self, stream_format: StreamFormat, gmsk: GmskFormat, counts: ModemCounts, bursts: dict[int, Burst]):
        Stage.__init__(self, "gmsk_slicer", stream_format, np.float32, (np.uint8, gmsk.frame_bytes))
        self._slicer = GmskSlicer(gmsk.frame_bytes)
        # A symbol of 1 is a quarter of the symbol rate.
        self._hertz = 0.25 / gmsk.samples_per_symbol
        self._counts, self._bursts = counts, bursts
        self.accepted: deque[Reception] = deque()
        self.failed: Callable[[], None] | None = None  # called for each burst without an access code

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        first = self.nitems_read(0)
        begun = [(first + offset, pmt.to_uint64(value)) for offset, key, value in tags if pmt.eq(key, _BURST)]
        frames, codeless = self._slicer.push(rows, begun)
        self._counts.detected += len(frames) + codeless
        self._counts.header_failed += codeless
        for _ in range(codeless if self.failed is not None else 0):
            self.failed()
        for frame in frames:
            burst = self._bursts[frame.key]
            self.accepted.append(Reception(burst.start, burst.snr_db, burst.cfo + frame.offset * self._hertz))
        if frames:
            self.put(np.stack([frame.frame for frame in frames]))
