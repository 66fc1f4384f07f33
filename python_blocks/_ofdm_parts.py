# SPDX-License-Identifier: GPL-3.0-or-later
"""What OFDM modulator and demodulator have in common."""

import math

from gnuradio import digital

from ds2c2.links.ofdm import DATA_CARRIERS, HEADER_SYMBOLS, PILOT_CARRIERS, OfdmFormat

HEADER_CONSTELLATION = digital.constellation_bpsk


def payload_constellation(modulation: str):
    """GNU Radio's constellation, and the root of its points' mean power: 2 for QPSK."""
    makers = {
        "bpsk": digital.constellation_bpsk,
        "qpsk": digital.constellation_qpsk,
        "8psk": digital.constellation_8psk,
        "16qam": lambda: digital.qam_constellation(16, differential=False, mod_code="gray"),
    }
    constellation = makers[modulation]()
    points = constellation.points()
    return constellation, math.sqrt(sum(abs(point) ** 2 for point in points) / len(points))


def carriers() -> tuple[list[list[int]], list[list[int]]]:
    """Data and pilot carriers as GNU Radio wants them: one set, used in every symbol."""
    return [list(DATA_CARRIERS)], [list(PILOT_CARRIERS)]


def header_format(ofdm: OfdmFormat, length_tag: str, symbols_tag: str):
    """The header: 12 bits of length, 12 of number, CRC-8."""
    return digital.packet_header_ofdm(
        carriers()[0],
        HEADER_SYMBOLS,
        length_tag,
        symbols_tag,
        "ds2c2_number",
        1,
        ofdm.bits_per_carrier,
        scramble_header=True,
    )


def roomy(parts: list, items: int) -> None:
    """Let each part's output buffer hold so many items: packets beyond 500 bytes would not fit,
    and a block that waits for a whole one would wait for ever."""
    for part in parts:
        part.set_log_level("error")  # it tells of every buffer
        # Port by port: blocks with any number of outputs ignore the call for all of them.
        for port in range(2 if part.name() == "header_payload_demux" else 1):
            part.set_min_output_buffer(port, items)
