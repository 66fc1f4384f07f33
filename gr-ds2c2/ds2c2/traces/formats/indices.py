# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of the lost packets, from 0 on: what ns-3's ReceiveListErrorModel and INET's OrdinalBasedDropper take.

A list of whole numbers may mean anything, so this format is read only where it is asked for by name.
"""

import re

import numpy as np

from ds2c2.traces.formats.content import MOST_ROWS, Content, Format, Links, Reading, check_rows
from ds2c2.traces.packetfates import LossTrace, TraceError

_VECTOR = re.compile(r"dropsVector\s*=\s*\"([^\"]*)\"")


def _knows(content: Content) -> bool:
    return bool(_VECTOR.search(content.text[:4096]))


def _read(content: Content, reading: Reading) -> Links:
    vector = _VECTOR.search(content.text)
    words = re.split(r"[\s,;]+", (vector[1] if vector else content.text).strip())
    try:
        places = np.array([int(word) for word in words if word], np.int64)
    except (ValueError, OverflowError):
        raise TraceError(f"{content.path}: whole numbers of the lost packets are wanted, from 0 on") from None
    said = []
    total = reading.total
    if total is None:
        total = int(places.max(initial=-1)) + 1
        said.append(f"{total} packets: how many came after the last loss is not known; --total says it")
    if reading.total is None and not total:
        raise TraceError(f"{content.path}: no packet is lost; --total says how many there were")
    if not 0 < total <= MOST_ROWS or len(places) and not 0 <= places.min() <= places.max() < total:
        raise TraceError(f"{content.path}: numbers of lost packets, from 0 to below {total} packets, are wanted")
    check_rows(content.path, total, len(places) if reading.total is None else MOST_ROWS)
    lost = np.zeros(total, bool)
    lost[places] = True
    return Links.one(LossTrace.from_losses(lost), *said)


FORMAT = Format("indices", "numbers of the lost packets: ns-3, INET", _knows, _read)
