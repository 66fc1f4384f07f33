# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong between a radio and this host: underruns and overruns, counted and timed."""

from collections import Counter

import numpy as np
import pmt
from gnuradio import gr

from ._failures import guarded, say
from ._lasting import Lasting

RX_TIME = pmt.intern("rx_time")
EVENTS_PORT, MESSAGE = pmt.intern("async_msgs"), pmt.intern("uhd_async_msg")
# gr-uhd's names for what a device reports, and ours; the rest (burst_ack) is no trouble.
KINDS = {
    "underflow": "underrun", "underflow_in_packet": "underrun",
    "seq_error": "late", "seq_error_in_burst": "late", "time_error": "late",
}  # fmt: skip


def time_of(value) -> float:
    """Seconds of a time as gr-uhd writes it, whole seconds and fraction."""
    if pmt.is_tuple(value):
        whole, fraction = pmt.tuple_ref(value, 0), pmt.tuple_ref(value, 1)
    else:
        whole, fraction = pmt.car(value), pmt.cdr(value)
    # The whole seconds are a long here and a uint64 there.
    return pmt.to_python(whole) + pmt.to_python(fraction)


def codes_of(value) -> list[str]:
    """The symbols in a list or pair of them."""
    found = []
    while pmt.is_pair(value):
        found += codes_of(pmt.car(value))
        value = pmt.cdr(value)
    return found + [pmt.symbol_to_string(value)] if pmt.is_symbol(value) else found


class transmit_events(Lasting, gr.basic_block):
    """Listens to a USRP Sink's port ``async_msgs``.

    ``events`` holds kind (underrun or late) and seconds on the device's clock.
    """

    def __init__(self):
        gr.basic_block.__init__(self, name="radio_sink", in_sig=None, out_sig=None)
        self.events: list[tuple[str, float]] = []
        self.message_port_register_in(EVENTS_PORT)
        self.set_msg_handler(EVENTS_PORT, self.take)

    @guarded
    def take(self, message) -> None:
        if not pmt.is_pair(message) or not pmt.eq(pmt.car(message), MESSAGE):
            return
        content = pmt.cdr(message)
        when = pmt.dict_ref(content, pmt.intern("time_spec"), pmt.PMT_NIL)
        seconds = time_of(when) if pmt.is_pair(when) else float("nan")
        for code in codes_of(pmt.dict_ref(content, pmt.intern("event_code"), pmt.PMT_NIL)):
            if code in KINDS:
                self.events.append((KINDS[code], seconds))

    def stop(self) -> bool:
        counts = Counter(kind for kind, _ in self.events)
        say("radio_sink", f"{counts['underrun']} underruns, {counts['late']} packets late or out of order")
        return True


class TimeTags:
    """Finds out from a radio's time tags how many samples this host lost: one comes at the start, after
    each overrun, and when the device was tuned."""

    def __init__(self, rate: float):
        self._rate = rate
        self._place: int | None = None
        self._time = 0.0

    def lost(self, place: int, seconds: float) -> int:
        """Samples lost before the one with this number and time."""
        first, before = self._place, self._time
        self._place, self._time = place, seconds
        return 0 if first is None else max(0, round((seconds - before) * self._rate) - (place - first))


class receive_events(Lasting, gr.sync_block):
    """Looks at the time tags of a radio's samples.

    ``events`` holds overrun and seconds since the first sample; ``lost`` counts samples.
    """

    def __init__(self, rate: float):
        gr.sync_block.__init__(self, name="radio_source", in_sig=[np.complex64], out_sig=None)
        self.events: list[tuple[str, float]] = []
        self.lost = 0
        self._rate = rate
        self._tags = TimeTags(rate)
        self._origin = (0, 0.0)  # sample and seconds from which the rate has been what it is

    def set_rate(self, rate: float) -> None:
        """The radio has another rate from now on, samples/s."""
        now = self.nitems_read(0)
        self._origin, self._rate, self._tags = (now, self._seconds(now)), rate, TimeTags(rate)

    def _seconds(self, place: int) -> float:
        sample, seconds = self._origin
        return seconds + (place - sample) / self._rate

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        count = len(input_items[0])
        for tag in self.get_tags_in_window(0, 0, count):
            if pmt.eq(tag.key, RX_TIME) and (lost := self._tags.lost(tag.offset, time_of(tag.value))):
                self.lost += lost
                self.events.append(("overrun", self._seconds(tag.offset)))
        return count

    def stop(self) -> bool:
        say("radio_source", f"{self.nitems_read(0)} samples, {len(self.events)} overruns, {self.lost} samples lost")
        return True
