# SPDX-License-Identifier: GPL-3.0-or-later
"""Bursts for a radio that must not run dry: with zeros between them, or each by itself."""

import math
import time

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.links.bursts import BurstCutter, bursts_in
from ds2c2.links.radiosettings import RadioError

from ._failures import WORK_DONE, guarded, say
from ._lasting import Lasting

BURST_TAG = "ds2c2_burst"  # length of a burst in samples, on its first sample
LEAD_SECONDS = 0.1  # of zeros before the first burst: the radio's buffers fill
TAIL_SECONDS = 0.05  # of zeros behind the last one: it is out when the device is switched off
NAP = 0.001  # seconds
LARGEST = 1 + 1e-6  # of a radio, and what rounding adds
ROOM = 1 << 16  # samples that the output holds at least
FILL = 1 << 12  # zeros put at once


class transmit_guard(Lasting, gr.sync_block):
    """Scales samples to what a radio takes; those beyond 1 are cut off and counted.

    ``ended`` becomes true when the input has ended and everything is out: blocks that come after
    and are never done by themselves look at it.
    """

    def __init__(self, scale: float, clip: bool):
        gr.sync_block.__init__(self, name="transmit_guard", in_sig=[np.complex64], out_sig=[np.complex64])
        self.scale, self.clip = np.float32(scale), clip
        self.ended = False
        self.peak = 0.0
        self.clipped = 0

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        out[:] = input_items[0] * self.scale
        if self.clip:
            level = np.abs(out)
            over = level > LARGEST
            if np.any(over):
                self._note(float(level.max()), int(over.sum()))
                out[over] /= level[over]
            self.peak = max(self.peak, float(level.max(initial=0)))
        return len(out)

    def _note(self, peak: float, count: int) -> None:
        if not self.clipped:
            say(
                "radio_sink",
                f"samples reach {peak:.2f}, a radio's largest is 1: they are cut off; "
                f"set scale to {self.scale / peak * 0.9:.2g} or less",
            )
        self.clipped += count

    def stop(self) -> bool:
        self.ended = True
        return True


class _Bursts(Lasting, gr.basic_block):
    """Gathers whole bursts; a subclass puts them out. Ends after ``limit`` samples at the latest."""

    def __init__(self, guard: transmit_guard, limit: int | None):
        gr.basic_block.__init__(self, name="radio_sink", in_sig=[np.complex64], out_sig=[np.complex64])
        self.set_tag_propagation_policy(gr.TPP_DONT)
        self.set_min_output_buffer(0, ROOM)
        self.cutter = BurstCutter()
        self._guard, self._limit = guard, limit
        self._seen_end = self._flushed = False

    def forecast(self, noutput_items: int, ninputs: int) -> list[int]:
        # An input that has ended would end this block with what it holds.
        return [0]

    def gather(self, samples: np.ndarray) -> np.ndarray:
        """Whole bursts that came, ``complex64[n]``; at the end all there is."""
        if self._guard.ended and not len(samples) and not self._flushed:
            # The scheduler looked for samples before the end was seen: only the next look is the last.
            self._flushed, self._seen_end = self._seen_end, True
            return self.cutter.flush() if self._flushed else samples
        self.consume(0, len(samples))
        return self.cutter.push(samples)

    def set_rate(self, before: float, after: float) -> None:
        """The radio has another rate from now on, samples/s: the time on the air that is left stays."""
        if self._limit is not None:
            written = self.nitems_written(0)
            self._limit = written + math.ceil((self._limit - written) * after / before)

    def left(self) -> int:
        """Samples that may still be written."""
        return (1 << 62) if self._limit is None else self._limit - self.nitems_written(0)

    def cut_off(self) -> RadioError:
        """The end that nobody asked for."""
        return RadioError(f"cut off after {self._limit} samples, the longest time on the air; set max_duration")


class burst_filler(_Bursts):
    """Bursts to a stream that never pauses: zeros come where there is no burst.

    Args:
        guard: the block before this one
        rate: samples/s
        limit: samples after which it ends with an error
    """

    def __init__(self, guard: transmit_guard, rate: float, limit: int | None):
        _Bursts.__init__(self, guard, limit)
        self.filled = 0  # zeros that were put in
        self._tail = int(TAIL_SECONDS * rate)
        self._ready = [np.zeros(int(LEAD_SECONDS * rate), np.complex64)]
        self._capacity = 1

    def set_rate(self, before: float, after: float) -> None:
        super().set_rate(before, after)
        self._tail = int(TAIL_SECONDS * after)

    @guarded
    def general_work(self, input_items: list, output_items: list) -> int:
        self._capacity = max(self._capacity, len(output_items[0]))
        out = output_items[0][: self.left()]
        if not len(out):
            raise self.cut_off()
        if sum(map(len, self._ready)) < len(out):
            was_flushed = self._flushed
            came = self.gather(input_items[0])
            if len(came):
                self._ready.append(came)
            if self._flushed and not was_flushed:
                self._ready.append(np.zeros(self._tail, np.complex64))
        done = 0
        while self._ready and done < len(out):
            piece = self._ready.pop(0)
            count = min(len(piece), len(out) - done)
            out[done : done + count] = piece[:count]
            done += count
            if count < len(piece):
                self._ready.insert(0, piece[count:])
        if done:
            return done
        if self._flushed:
            return WORK_DONE
        # Only when what lies before the radio runs low: a burst may come any moment.
        if len(output_items[0]) > self._capacity // 2:
            count = min(FILL, len(out))
            out[:count] = 0
            self.filled += count
            return count
        time.sleep(NAP)
        return 0


class burst_sender(_Bursts):
    """Each burst by itself, without the zeros between them, its length in a tag ``ds2c2_burst``."""

    def __init__(self, guard: transmit_guard, limit: int | None):
        _Bursts.__init__(self, guard, limit)
        self.bursts = 0
        self._ready: list[np.ndarray] = []

    @guarded
    def general_work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        if not self._ready:
            self._ready = bursts_in(self.gather(input_items[0]))
        if self._ready and len(self._ready[0]) > self.left():
            raise self.cut_off()
        # A burst goes out as a whole or waits for room.
        if self._ready and len(self._ready[0]) <= len(out):
            burst = self._ready.pop(0)
            out[: len(burst)] = burst
            self.add_item_tag(0, self.nitems_written(0), pmt.intern(BURST_TAG), pmt.from_long(len(burst)))
            self.bursts += 1
            return len(burst)
        if self._ready and len(self._ready[0]) > ROOM // 2:
            raise RadioError(
                f"a burst of {len(self._ready[0])} samples does not fit the buffers; send continuously instead"
            )
        if self._flushed and not self._ready:
            return WORK_DONE
        time.sleep(NAP)
        return 0
