# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of a program, sent by a modem and a radio."""

import threading

import numpy as np
from gnuradio import gr

from ds2c2.links.linksettings import LinkSettings
from ds2c2.links.radiosettings import TransmitSettings
from ds2c2.stream.streamformat import StreamFormat

from .._failures import clear_errors, errors
from .._packet_feed import packet_feed
from ..gmsk_modulator import gmsk_modulator
from ..ofdm_modulator import ofdm_modulator
from ..radio_sink import radio_sink

MODULATORS = {"ofdm": ofdm_modulator, "gmsk": gmsk_modulator}


class radio_transmitter(gr.top_block):
    """A flowgraph that sends the packets it is given; a context manager.

    Raises ``UserError``s of its parts, also later: ``send`` and ``finish`` raise the first error of a block.

    Args:
        stream_format: of the packets; noted in recordings
        link: the modem and its settings
        radio: the radio and its settings
        about: noted in recordings beside both
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        link: LinkSettings,
        radio: TransmitSettings,
        about: dict[str, str] | None = None,
    ):
        gr.top_block.__init__(self, "ds2c2 radio transmitter")
        clear_errors(raised_later=True)
        self._feed = packet_feed(stream_format.packet_bytes)
        self.modulator = MODULATORS[link.link](stream_format, **link.modem)
        self.sink = radio_sink(**vars(radio), stream_format=stream_format, about=dict(link.lines()) | (about or {}))
        self.connect(self._feed, self.modulator, self.sink)
        self._ended = threading.Event()

    def __enter__(self) -> "radio_transmitter":
        self.start()
        threading.Thread(target=self._watch, name="radio-transmitter", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever left early leaves the air at once.
        self.stop()
        self._ended.wait()
        clear_errors()

    def send(self, packets: np.ndarray) -> None:
        """Send ``uint8[n, packet_bytes]``; waits while the radio has enough to do."""
        self._put(packets)

    def finish(self) -> None:
        """Wait until everything is sent."""
        self._put(None)
        self._ended.wait()
        self._raise()

    def _put(self, packets: np.ndarray | None) -> None:
        while not self._feed.put(packets):
            if self._ended.is_set():
                self._raise()
                return

    def _raise(self) -> None:
        if failed := errors():
            raise failed[0]

    def _watch(self) -> None:
        self.wait()
        self._ended.set()
