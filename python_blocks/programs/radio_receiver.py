# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets from a radio and a modem to a program."""

import threading
from dataclasses import replace

import numpy as np
from gnuradio import blocks, gr

from ds2c2.links.linksettings import LinkSettings
from ds2c2.links.radiosettings import ReceiveSettings
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Arrivals, QueuedSource

from .._failures import clear_errors, errors
from ..gmsk_demodulator import gmsk_demodulator
from ..ofdm_demodulator import ofdm_demodulator
from ..radio_source import radio_source

DEMODULATORS = {"ofdm": ofdm_demodulator, "gmsk": gmsk_demodulator}


class radio_receiver(gr.top_block):
    """A flowgraph that puts all that is heard into ``packets``, a ``QueuedSource``.

    Raises ``UserError``s of its parts; those of running blocks come out of ``packets``.

    Args:
        stream_format: of the packets
        link: the modem and its settings
        radio: the radio and its settings
        constellation: what is heard has ``points`` too, where the modem has any
    """

    def __init__(
        self, stream_format: StreamFormat, link: LinkSettings, radio: ReceiveSettings, constellation: bool = False
    ):
        gr.top_block.__init__(self, "ds2c2 radio receiver")
        clear_errors(raised_later=True)
        about = dict(link.lines()) | {name.replace("backend", "radio"): value for name, value in radio.lines()}
        self.packets = QueuedSource(stream_format, about, self._leave, unheard=lambda: self.demodulator.counts.unheard)
        # Everything else ends by itself, and whoever leaves early lets its sender wait.
        self.packets.live = radio.on_air
        self.packets.ordered = True  # bursts are heard as they were sent
        self.source = radio_source(**vars(radio))
        self.demodulator = DEMODULATORS[link.link](stream_format, **link.receiver, sample_rate=radio.rate)
        self.demodulator.set_listener(self._hear)
        self._points = self.demodulator.watch_symbols() if constellation else None
        self._told = 0  # events of the radio that went on
        self._ended = threading.Event()
        packet_bytes = stream_format.packet_bytes
        self.connect(self.source, self.demodulator, blocks.null_sink(packet_bytes))

    def listen(self) -> QueuedSource:
        """Start, and give what is heard; closing it ends this flowgraph."""
        self.start()
        threading.Thread(target=self._watch, name="radio-receiver", daemon=True).start()
        return self.packets

    def _hear(self, arrivals: Arrivals) -> None:
        self._tell_events()
        self.packets.put(replace(arrivals, points=self._points()) if self._points else arrivals)

    def _tell_events(self) -> None:
        events = self.source.events
        if len(events) > self._told:
            new, self._told = tuple(events[self._told :]), len(events)
            self.packets.put(Arrivals(self.packets.nothing(), np.zeros(0), events=new))

    def _watch(self) -> None:
        self.wait()
        self._tell_events()
        failed = errors()
        clear_errors()
        self.packets.finish(failed[0] if failed else None)
        self._ended.set()

    def _leave(self) -> None:
        self.stop()
        self._ended.wait()
