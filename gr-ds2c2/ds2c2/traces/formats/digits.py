# SPDX-License-Identifier: GPL-3.0-or-later
"""0 and 1 in any layout: a line each, all in one line, with commas, spaces, brackets and comments between.

Which digit means lost is never guessed, for tools disagree: ``Reading.lost`` says it, or a line ``# lost: 0``
in the file. One digit a line without either is our own plain text, in which 1 was lost from the beginning.
"""

import re

import numpy as np

from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.packetfates import LossTrace, TraceError

_COMMENT = re.compile(r"(?:#|//|%).*")
_POLARITY = re.compile(r"(?:#|//|%)\s*lost\s*[:=]\s*([01])\s*$", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;|\[\](){}\"']+")


def _rows(content: Content) -> list[str]:
    return [_BETWEEN.sub(" ", _COMMENT.sub("", line)).strip() for line in content.lines]


def _digits(words: list[str]) -> np.ndarray | None:
    """``bool[n]``, True for 1; None where other words are among them."""
    joined = "".join(words)
    if joined and not joined.strip("01"):
        return np.frombuffer(joined.encode(), np.uint8) == ord("1")
    # As numpy.savetxt and MATLAB write them: 1.000000e+00.
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        return None
    return values == 1 if len(values) and np.isin(values, (0, 1)).all() else None


def _knows(content: Content) -> bool:
    return bool(content.text) and _digits(" ".join(_rows(content)).split()) is not None


def _read(content: Content, reading: Reading) -> Links:
    rows = [row for row in _rows(content) if row]
    ones = _digits(" ".join(rows).split())
    if ones is None:
        raise TraceError(f"{content.path}: something else than 0 and 1 is in it, outside of comments")
    declared = [found[1] for line in content.lines if (found := _POLARITY.search(line))]
    lost = reading.lost or (declared[0] if declared else "")
    said = [f"{lost} is lost"]
    if not lost:
        if any(len(row.split()) > 1 or row.isdigit() and len(row) > 1 for row in rows):
            raise TraceError(
                f"{content.path}: whether 0 or 1 means lost is not said, and tools disagree: --lost 1 or --lost 0 "
                "says it, so does a line `# lost: 1` in the file, and `ds2c2 trace convert` makes a loss trace of it"
            )
        lost, said = "1", ["1 is lost (our plain text, a digit a line; --lost 0 for the other way round)"]
    return Links.one(LossTrace.from_losses(ones == (lost == "1")), *said)


FORMAT = Format("digits", "0 and 1 in any layout", _knows, _read)
