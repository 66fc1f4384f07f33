# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces: what became of every packet of a run, in a file that anyone can read.

CSV after lines that begin with ``#``; docs/traces.md has every column and key.

    # ds2c2 loss trace 1
    # format: ds2c2/1 768x512 bpp=0.26 ...
    sequence,frame,block,time,status,snr_db,cfo,underruns,overruns
    0,0,0,0.0012,ok,21.5,0.0003,0,0
    1,0,1,,missed,,,0,0
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ds2c2.errors import ExitCode, FormatError, UserError
from ds2c2.files import make_folder, part_of, unwritable, write_text
from ds2c2.stream.streamformat import StreamFormat

VERSION = 1
MAGIC = "# ds2c2 loss trace "
COLUMNS = ("sequence", "frame", "block", "time", "status", "snr_db", "cfo", "underruns", "overruns")
REALS = ("time", "snr_db", "cfo")
STATUSES = ("ok", "missed", "crc_fail", "host_drop", "duplicate")
OK, MISSED, CRC_FAIL, HOST_DROP, DUPLICATE = range(len(STATUSES))
KEY = re.compile(r"[a-z][a-z0-9_]*")


class TraceError(UserError):
    """A file that is no loss trace, one too short for what is asked, one that cannot be written."""

    exit_code = ExitCode.LOSSES


@dataclass(eq=False)
class LossTrace:
    """One row a packet that was sent or seen, in the order of the sequence numbers.

    ``sequence`` is frame * N + block, ``int64[n]``; frame numbers are continued beyond 16 bits.
    ``time`` in seconds since the run began, ``snr_db`` in dB and ``cfo`` in cycles/sample,
    ``float64[n]``, NaN where unknown; ``status`` ``uint8[n]``, places in ``STATUSES``;
    ``underruns`` and ``overruns`` count the host's events there, ``int64[n]``. A ``duplicate``
    follows the row that it repeats. ``about`` holds the file's ``# key: value`` lines.
    """

    sequence: np.ndarray
    frame: np.ndarray
    block: np.ndarray
    time: np.ndarray
    status: np.ndarray
    snr_db: np.ndarray
    cfo: np.ndarray
    underruns: np.ndarray
    overruns: np.ndarray
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in COLUMNS:
            kind = np.uint8 if name == "status" else np.float64 if name in REALS else np.int64
            setattr(self, name, np.asarray(getattr(self, name), kind))
        # One line each, so that a file gives back what was put in.
        self.about = {key: " ".join(str(value).split()) for key, value in self.about.items()}

    def __len__(self) -> int:
        return len(self.sequence)

    @classmethod
    def from_losses(
        cls, lost: np.ndarray, stream_format: StreamFormat | None = None, about: dict[str, str] | None = None
    ) -> "LossTrace":
        """A trace of ``bool[n]``, True = missed, that begins with frame 0. Without a stream
        format every packet is a frame."""
        lost = np.asarray(lost, bool)
        sequence, unknown, none = np.arange(len(lost)), np.full((3, len(lost)), np.nan), np.zeros((2, len(lost)))
        frame, block = np.divmod(sequence, stream_format.blocks if stream_format else 1)
        known = {"format": stream_format.text} if stream_format else {}
        status = np.where(lost, MISSED, OK)
        time, *estimates = unknown
        return cls(sequence, frame, block, time, status, *estimates, *none, known | (about or {}))

    def lost(self, host_drops: bool = False) -> np.ndarray:
        """What the channel did, ``bool[m]``, one a sequence number in their order: missed and
        crc_fail are lost. Duplicates are left out, and what the host dropped too, for nobody
        knows what the channel would have done; ``host_drops`` counts it as lost."""
        counted = self.status != DUPLICATE
        if not host_drops:
            counted &= self.status != HOST_DROP
        return self.status[counted] != OK

    def counts(self) -> dict[str, int]:
        """Rows of each status."""
        return dict(zip(STATUSES, np.bincount(self.status, minlength=len(STATUSES)).tolist(), strict=True))

    @property
    def stream_format(self) -> StreamFormat | None:
        """The run's stream format, None where the file names none."""
        return StreamFormat.parse(self.about["format"]) if self.about.get("format") else None

    @property
    def resumes(self) -> list[int]:
        """Sequence numbers at which the trace goes on after a gap of unknown length."""
        return [int(word) for word in self.about.get("resumes", "").split()]


def check_place(path: str | Path) -> None:
    """Raises ``FileError`` before a run, and not after it, where its trace could not be written."""
    path, part = Path(path), part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()
        if path.is_dir():
            raise IsADirectoryError(0, "a folder is there")
    except OSError as error:
        raise unwritable(path, error) from None


def write_trace(path: str | Path, trace: LossTrace) -> Path:
    """Write a trace, whole or not at all. Raises ``TraceError`` for keys, ``FileError`` for the place."""
    path = Path(path)
    for key in trace.about:
        if not KEY.fullmatch(key):
            raise TraceError(f"{path}: key {key!r} of a loss trace: small letters, digits and _ are wanted")
    columns = {name: map(str, getattr(trace, name).tolist()) for name in COLUMNS}
    columns["status"] = (STATUSES[status] for status in trace.status)
    for name in REALS:
        columns[name] = ("" if math.isnan(value) else repr(value) for value in getattr(trace, name).tolist())
    lines = [f"{MAGIC}{VERSION}", *(f"# {key}: {value}".rstrip() for key, value in trace.about.items())]
    lines += [",".join(COLUMNS), *map(",".join, zip(*columns.values(), strict=True))]
    make_folder(path.parent)
    return write_text(path, "\n".join(lines) + "\n")


def read_trace_file(path: str | Path) -> LossTrace:
    """Read a trace, or a plain text of 0 (arrived) and 1 (lost), one a line.

    Raises ``TraceError`` that names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise TraceError(f"{path}: no readable loss trace ({reason}); `ds2c2 trace record` writes one") from None
    if not lines or not lines[0].startswith("#"):
        return _read_plain(path, lines)
    if lines[0].rstrip() != f"{MAGIC}{VERSION}":
        what = "another version of" if lines[0].startswith(MAGIC) else "not the first line of"
        raise TraceError(f"{path}: line 1 is {what} a loss trace; this program reads {f'{MAGIC}{VERSION}'!r}")
    return _Reader(path).read(lines)


def _read_plain(path: str | Path, lines: list[str]) -> LossTrace:
    words = " ".join(lines).split()
    if not words or set(words) - {"0", "1"}:
        raise TraceError(
            f"{path}: a loss trace holds 0 (arrived) and 1 (lost), one a line, or begins with {f'{MAGIC}{VERSION}'!r}"
        )
    return LossTrace.from_losses(np.array(words) == "1")


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
