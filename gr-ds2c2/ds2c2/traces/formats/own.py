# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own loss trace, version 1: CSV after lines that begin with ``#``; docs/traces.md has every column and key.

# ds2c2 loss trace 1
# format: ds2c2/1 768x512 bpp=0.26 ...
sequence,frame,block,time,status,snr_db,cfo,underruns,overruns
0,0,0,0.0012,ok,21.5,0.0003,0,0
1,0,1,,missed,,,0,0
"""

import math
import re
from pathlib import Path

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.traces.formats.content import Content, Format, Links, Reading
from ds2c2.traces.packetfates import COLUMNS, DUPLICATE, REALS, STATUSES, LossTrace, TraceError

VERSION = 1
MAGIC = "# ds2c2 loss trace "
KEY = re.compile(r"[a-z][a-z0-9_]*")


def as_text(path: str | Path, trace: LossTrace) -> str:
    """The file's text. Raises ``TraceError`` for keys that cannot stand in it."""
    for key in trace.about:
        if not KEY.fullmatch(key):
            raise TraceError(f"{path}: key {key!r} of a loss trace: small letters, digits and _ are wanted")
    columns = {name: map(str, getattr(trace, name).tolist()) for name in COLUMNS}
    columns["status"] = (STATUSES[status] for status in trace.status)
    for name in REALS:
        columns[name] = ("" if math.isnan(value) else repr(value) for value in getattr(trace, name).tolist())
    lines = [f"{MAGIC}{VERSION}", *(f"# {key}: {value}".rstrip() for key, value in trace.about.items())]
    lines += [",".join(COLUMNS), *map(",".join, zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


def _knows(content: Content) -> bool:
    return content.lines[:1] != [] and (content.lines[0].startswith(MAGIC) or ",".join(COLUMNS) in content.lines[:99])


def _read(content: Content, reading: Reading) -> Links:
    lines = content.lines
    if lines[0].rstrip() != f"{MAGIC}{VERSION}":
        what = "another version of" if lines[0].startswith(MAGIC) else "not the first line of"
        raise TraceError(f"{content.path}: line 1 is {what} a loss trace; this program reads {f'{MAGIC}{VERSION}'!r}")
    return Links.one(_Reader(content.path).read(lines))


FORMAT = Format("trace", "loss trace of `ds2c2 trace record`", _knows, _read)


class _Reader:
    """Reads the lines of one file; ``fail`` names the file and the line."""

    def __init__(self, path: str | Path):
        self.path = path
        self.about: dict[str, str] = {}
        self.numbers: list[int] = []  # of the lines that are rows, from 1

    def fail(self, line: int, what: str) -> TraceError:
        return TraceError(f"{self.path}: line {line}: {what}")

    def read(self, lines: list[str]) -> LossTrace:
        place = 1
        while place < len(lines) and lines[place].startswith("#"):
            key, colon, value = lines[place][1:].partition(":")
            if not colon or not KEY.fullmatch(key.strip()):
                raise self.fail(place + 1, f"{lines[place]!r} is not understood; '# key: value' is wanted")
            self.about[key.strip()] = value.strip()
            place += 1
        if place == len(lines) or lines[place].strip() != ",".join(COLUMNS):
            raise self.fail(place + 1, f"the columns {','.join(COLUMNS)} are wanted here")
        rows = []
        for number, line in enumerate(lines[place + 1 :], place + 2):
            if line and not line.startswith("#"):
                rows.append(line.split(","))
                self.numbers.append(number)
                if len(rows[-1]) != len(COLUMNS):
                    raise self.fail(number, f"{len(rows[-1])} fields; {len(COLUMNS)} are wanted")
        if not rows:
            raise TraceError(f"{self.path}: a loss trace without a packet; record one that has some")
        columns = {
            name: self._column(name, cells) for name, cells in zip(COLUMNS, zip(*rows, strict=True), strict=True)
        }
        trace = LossTrace(**columns, about=self.about)
        self._check(trace)
        return trace

    def _column(self, name: str, cells: tuple[str, ...]) -> list:
        if name == "status":
            places = {status: place for place, status in enumerate(STATUSES)}
            wanted = f"one of {', '.join(STATUSES)} is wanted"
            convert = places.__getitem__
        elif name in REALS:
            wanted = "a number or nothing is wanted"
            convert = _real
        else:
            wanted = "a whole number, 0 or more, is wanted"
            convert = _count
        try:
            return list(map(convert, cells))
        except (ValueError, KeyError):
            pass
        for number, cell in zip(self.numbers, cells, strict=True):
            try:
                convert(cell)
            except (ValueError, KeyError):
                raise self.fail(number, f"{name} {cell!r}: {wanted}") from None
        raise AssertionError("a cell that fails only once")

    def _check(self, trace: LossTrace) -> None:
        steps = np.diff(trace.sequence)
        repeats = trace.status == DUPLICATE
        try:
            resumed = np.isin(trace.sequence[1:], trace.resumes) & (steps > 0)
            _ = trace.resumed_at  # raises where it is none
            stream = trace.stream_format
        except (ValueError, FormatError) as error:
            raise TraceError(f"{self.path}: a '# key: value' line is not understood: {error}") from None
        wrong = np.flatnonzero(np.where(repeats[1:], steps != 0, (steps != 1) & ~resumed))
        if repeats[0]:
            raise self.fail(self.numbers[0], "a duplicate of nothing; it follows the row that it repeats")
        if len(wrong):
            row = int(wrong[0]) + 1
            before, here = trace.sequence[row - 1 : row + 1]
            raise self.fail(
                self.numbers[row],
                f"sequence {here} after {before}; every packet is a row, in order, those that did not come as 'missed'",
            )
        if stream is not None:
            told = trace.frame * stream.blocks + trace.block
            wrong = np.flatnonzero((told != trace.sequence) | (trace.block >= stream.blocks))
            if len(wrong):
                row = int(wrong[0])
                raise self.fail(
                    self.numbers[row],
                    f"frame {trace.frame[row]} and block {trace.block[row]} are not sequence {trace.sequence[row]}: "
                    f"the stream format has {stream.blocks} blocks a frame",
                )


def _real(cell: str) -> float:
    value = float(cell) if cell.strip() else math.nan
    if math.isinf(value):
        raise ValueError
    return value


def _count(cell: str) -> int:
    value = int(cell)
    if not 0 <= value < 1 << 62:
        raise ValueError
    return value
