# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the header parser and the demultiplexer: only packets of our length get through."""

from collections import deque
from dataclasses import dataclass

import pmt
from gnuradio import gr

from ds2c2.links.burstfinder import Burst
from ds2c2.links.linkframes import ModemCounts
from ds2c2.links.ofdm import FFT_SIZE, OfdmFormat

from ._burst_trigger import BURST
from ._failures import record
from ._lasting import Lasting

HEADER_DATA = pmt.intern("header_data")
SYMBOLS = "ds2c2_symbols"  # key of the payload's length in OFDM symbols
CARRIERS = "ds2c2_carriers"  # the same in modulated carriers
_BURST, _SYMBOLS, _CARRIERS = map(pmt.intern, (BURST, SYMBOLS, CARRIERS))
_WHOLE_CARRIERS = pmt.intern("ofdm_sync_carr_offset")


@dataclass(frozen=True)
class Reception:
    """Where in the samples a packet began, its SNR in dB and carrier offset in cycles/sample."""

    start: int
    snr_db: float
    cfo: float


class header_gate(Lasting, gr.basic_block):
    """Counts headers, and makes a failure of one that checks by accident: the length it tells
    would swallow the packets behind it.

    ``accepted`` gets the reception of each packet whose payload follows.
    """

    def __init__(self, ofdm: OfdmFormat, counts: ModemCounts, bursts: dict[int, Burst]):
        gr.basic_block.__init__(self, name="header_gate", in_sig=None, out_sig=None)
        self._expected = ofdm.payload_symbols, ofdm.payload_carriers
        self._counts, self._bursts = counts, bursts
        self.failed = None  # called for each header that fails
        self.accepted: deque[Reception] = deque()
        self.message_port_register_in(HEADER_DATA)
        self.message_port_register_out(HEADER_DATA)
        self.set_msg_handler(HEADER_DATA, self._handle)

    def _handle(self, message) -> None:
        try:
            message = self._judged(message)
        except Exception as error:
            record(self.name(), error)
            message = pmt.PMT_F
        # The demultiplexer waits for this answer for ever.
        self.message_port_pub(HEADER_DATA, message)

    def _judged(self, message):
        self._counts.detected += 1
        if pmt.is_dict(message):
            told = tuple(pmt.to_python(pmt.dict_ref(message, key, pmt.PMT_NIL)) for key in (_SYMBOLS, _CARRIERS))
            burst = self._bursts.get(pmt.to_python(pmt.dict_ref(message, _BURST, pmt.PMT_NIL)))
            if told == self._expected and burst is not None:
                whole = pmt.to_long(pmt.dict_ref(message, _WHOLE_CARRIERS, pmt.from_long(0)))
                self.accepted.append(Reception(burst.start, burst.snr_db, burst.cfo + whole / FFT_SIZE))
                return message
        self._counts.header_failed += 1
        if self.failed is not None:
            self.failed()
        return pmt.PMT_F
