# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces for other tools: each format is a function of the losses, and one table has them all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2c2.files import make_folder, write_text
from ds2c2.traces.losstrace import LossTrace, TraceError, write_trace


@dataclass(frozen=True)
class Export:
    """A format: what it is, and the text of losses ``bool[n]``."""

    what: str
    text: Callable[[np.ndarray], str]


def _digits(lost: np.ndarray) -> str:
    return "".join("1\n" if one else "0\n" for one in lost.tolist())


def _received(lost: np.ndarray) -> str:
    # Without that line the file would be read as the opposite of what it says.
    return f"# lost: 0\n{_digits(~lost)}"


def _columns(lost: np.ndarray) -> str:
    return "sequence,lost\n" + "".join(f"{place},{int(one)}\n" for place, one in enumerate(lost.tolist()))


def _indices(lost: np.ndarray) -> str:
    return "".join(f"{place}\n" for place in np.flatnonzero(lost).tolist())


def _inet(lost: np.ndarray) -> str:
    return '**.dropsVector = "' + "; ".join(map(str, np.flatnonzero(lost).tolist())) + '"\n'


TRACE = "trace"
EXPORTS = {
    "digits": Export("0 and 1, one a line, 1 is lost", _digits),
    "digits-received": Export("0 and 1, one a line, 1 arrived", _received),
    "columns": Export("CSV with the columns sequence and lost", _columns),
    "indices": Export("numbers of the lost packets from 0 on, one a line: ns-3's ReceiveListErrorModel", _indices),
    "inet": Export("the same as a line of omnetpp.ini for INET's OrdinalBasedDropper", _inet),
}


def write_as(path: str | Path, trace: LossTrace, form: str = TRACE) -> Path:
    """Write a trace in one of ``EXPORTS`` or as our own (``TRACE``), whole or not at all; the others hold no more
    than what was lost. Raises ``TraceError`` for an unknown format, ``FileError`` for the place."""
    if form == TRACE:
        return write_trace(path, trace)
    if form not in EXPORTS:
        raise TraceError(f"format {form!r} to write is unknown; choose one of {', '.join((TRACE, *EXPORTS))}")
    lost = trace.lost()
    if not len(lost):
        raise TraceError(f"{path}: of no packet the link's own fate is known, and a trace of none is no trace")
    make_folder(Path(path).parent)
    return write_text(path, EXPORTS[form].text(lost))
