# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of radiosonde_auto_rx: a row for every frame of a radiosonde that was decoded, with frame counter and SNR."""

from dataclasses import replace

from ds2c2.traces.formats.columns import links_of, table
from ds2c2.traces.formats.content import Content, Format, Links, Reading

HEADER = "timestamp,serial,frame,lat,lon,alt"
NO_SNR = "-99.0"  # what auto_rx writes where it has none


def _knows(content: Content) -> bool:
    return content.data[: len(HEADER)] == HEADER.encode()


def _read(content: Content, reading: Reading) -> Links:
    columns = table(content) or {}
    if "snr" in columns:
        columns["snr"] = ["" if cell == NO_SNR else cell for cell in columns["snr"]]
    asked = replace(
        reading,
        sequence=reading.sequence or "frame",
        time=reading.time or "timestamp",
        group=reading.group or ("serial",),
    )
    links = links_of(content.path, columns, asked)
    if len(links.traces) == 1 and not reading.group:
        links.traces = {"": next(iter(links.traces.values()))}
    return links


FORMAT = Format("auto-rx", "log of radiosonde_auto_rx", _knows, _read)
