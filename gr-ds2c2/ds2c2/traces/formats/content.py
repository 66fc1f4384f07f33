# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readers of all formats share: a file's content, how it is to be read, and what was found in it."""

import codecs
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ds2c2.files import read_bytes
from ds2c2.traces.packetfates import LossTrace, TraceError

# Beyond so many rows a counter was misread: the table alone would take gigabytes.
MOST_ROWS = 20_000_000
# Rows that a small file can always be, and for each row or packet of a larger one: a few bytes that name far numbers
# must not cost gigabytes.
FEW_ROWS, MOST_LOSS = 1_000_000, 1000
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Reading:
    """How a file is to be read; what is empty or None is guessed where that is safe, and said.

    Args:
        form: name of a format of the table
        lost: "0" or "1", the digit that means lost; never guessed
        fate: column that says whether a packet was lost or arrived
        sequence, time, snr: columns; ``group``: columns whose values tell links apart, ("",) for none
        wrap: the counter begins anew at 0 after so many numbers; 0: it never does
        step: by how much the counter goes up a packet
        first: number of the first packet that was sent, where known
        counter: OFFSET:BYTES or OFFSET:BYTES:le, where packets of a capture have their number
        stream_format: of our own packets, its text
        within: "start" or "spread": where the losses of an interval stand, of which only totals are known
        link: which of the file's links
        total: packets in all, of a list of lost ones
    """

    form: str = ""
    lost: str = ""
    fate: str = ""
    sequence: str = ""
    time: str = ""
    snr: str = ""
    group: tuple[str, ...] = ()
    wrap: int | None = None
    step: int | None = None
    first: int | None = None
    counter: str = ""
    stream_format: str = ""
    within: str = ""
    link: str = ""
    total: int | None = None


@dataclass
class Links:
    """The links of a file or folder by their names; ``said``: what was guessed, counted or left out."""

    traces: dict[str, LossTrace]
    said: list[str] = field(default_factory=list)
    read: int = 0  # rows or packets of the file that they are made of
    _rows: int = 0  # of those that were added

    @classmethod
    def one(cls, trace: LossTrace, *said: str, read: int | None = None) -> "Links":
        """A file's only link, without a name, made of so many rows or packets; None: as many as it has."""
        return cls({"": trace}, list(said), len(trace) if read is None else read)

    def add(self, where: Any, name: str, trace: LossTrace, read: int) -> None:
        """One more link, made of so many rows or packets of the file. Raises ``TraceError`` where all of them
        together have far more rows than the file."""
        self.traces[name] = trace
        self.read += read
        self._rows += len(trace)
        check_rows(where, self._rows, self.read)


def check_rows(where: Any, rows: int, read: int = MOST_ROWS) -> None:
    """Raises ``TraceError`` for more rows than a file with so many rows or packets can stand for."""
    if rows > min(MOST_ROWS, max(FEW_ROWS, MOST_LOSS * read)):
        of = f" made of {read}" if read < MOST_ROWS else ""
        raise TraceError(
            f"{where}: {rows} packets{of}; a trace has {MOST_ROWS} at most, and {MOST_LOSS} for each that is in the "
            "file: say which column counts packets (--sequence) and where it begins anew (--wrap), or cut it"
        )


class Content:
    """A file, read once. Raises ``TraceError`` where it cannot be."""

    def __init__(self, path: str | Path):
        self.path = path
        try:
            self.data = read_bytes(path, "a loss trace")
        except OSError as error:
            raise TraceError(
                f"{path}: no readable loss trace ({error.strerror}); `ds2c2 trace record` writes one"
            ) from None

    @cached_property
    def text(self) -> str:
        """As text, in whatever of UTF-8 and UTF-16 it is; empty where it is none."""
        encoding = next((name for mark, name in _MARKS.items() if self.data.startswith(mark)), "")
        if not encoding:
            # UTF-16 without its mark: every other byte of digits and Latin letters is 0.
            start = self.data[:4096]
            zeros = [start[place::2].count(0) > len(start) / 4 for place in (0, 1)]
            encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get(tuple(zeros), "utf-8")
        try:
            return self.data.decode(encoding)
        except UnicodeDecodeError:
            return ""

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def json(self) -> Any:
        """What it holds as JSON, or as JSON a line; None where it is neither, or deeper than Python's stack."""
        if self.text.lstrip()[:1] not in ("{", "["):
            return None
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            pass
        try:
            return [json.loads(line) for line in self.lines if line.strip()]
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class Format:
    """A format of the table: its name, what it is, whether a file looks like it, and its reader, which
    raises ``TraceError``."""

    name: str
    what: str
    knows: Callable[[Content], bool]
    read: Callable[[Content, Reading], Links]
