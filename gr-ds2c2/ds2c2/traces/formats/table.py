# SPDX-License-Identifier: GPL-3.0-or-later
"""All formats that a loss trace is read from, in the order in which a file is tried."""

from ds2c2.traces.formats import autorx, columns, digits, indices, iperf3, kiss, own, pcap, ssdv, totals
from ds2c2.traces.formats.content import Format

_MODULES = (own, pcap, kiss, ssdv, iperf3, autorx, digits, indices, totals, columns)
FORMATS: dict[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
