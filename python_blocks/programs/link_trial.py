# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets over a simulated link, as fast as it goes, to see what arrives."""

import threading
from collections.abc import Callable
from dataclasses import fields

import numpy as np
from gnuradio import blocks, gr

from ds2c2.links.air import AirSettings, as_air
from ds2c2.links.linkframes import ModemCounts
from ds2c2.links.ofdm import ModemError
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import Arrivals

from .._failures import clear_errors, errors
from .._packet_feed import packet_feed
from .._stage import as_format
from ..gmsk_link import gmsk_link
from ..ofdm_link import ofdm_link

LINKS = {"ofdm": ofdm_link, "gmsk": gmsk_link}
TICK = 0.2  # seconds between two calls of who wants to know how far it is


class link_trial(gr.top_block):
    """Sends packets through a link and keeps what is noticed at its other end, in order.

    Args:
        stream_format: a StreamFormat or its text form
        packets: ``uint8[n, packet_bytes]``
        link: ofdm or gmsk
        air: an AirSettings or its text form, ``snr=12 fading=rayleigh seed=3``
        modem: parameters of the link's modems
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        packets: np.ndarray,
        link: str = "ofdm",
        air: AirSettings | str = "",
        **modem,
    ):
        gr.top_block.__init__(self, "ds2c2 link trial")
        stream_format, air = as_format(stream_format), as_air(air)
        if link not in LINKS:
            raise ModemError(f"link {link!r} is unknown; choose one of {', '.join(LINKS)}")
        # The modems' bursts have power 1.
        simulated = {field.name: getattr(air, field.name) for field in fields(air) if field.name != "signal_power"}
        self.link = LINKS[link](stream_format, **simulated, **modem)
        self.link.demodulator.speak_for("")
        self.arrivals: list[Arrivals] = []
        self.link.set_listener(self.arrivals.append)
        self._feed = packet_feed(packets.shape[1])
        for group in (packets, None):
            self._feed.put(group)
        self.connect(self._feed, self.link, blocks.null_sink(packets.shape[1]))

    @property
    def counts(self) -> ModemCounts:
        """What became of the packets."""
        return self.link.counts

    def run_to_end(self, tick: Callable[[], None] = lambda: None) -> None:
        """Run until everything is through; raise the first error of a block. ``tick`` is called
        now and then meanwhile, and what it raises ends the run."""
        clear_errors(raised_later=True)
        self.start()
        waiter = threading.Thread(target=self.wait, daemon=True)
        waiter.start()
        try:
            while waiter.is_alive():
                waiter.join(TICK)
                tick()
        except BaseException:
            self.stop()
            waiter.join()
            raise
        failed = errors()
        clear_errors()
        if failed:
            raise failed[0]
