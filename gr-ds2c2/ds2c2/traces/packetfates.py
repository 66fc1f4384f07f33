# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of every packet of a run: the rows of a loss trace, whatever file they came from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ds2c2.errors import ExitCode, UserError
from ds2c2.stream.streamformat import StreamFormat

COLUMNS = ("sequence", "frame", "block", "time", "status", "snr_db", "cfo", "underruns", "overruns")
REALS = ("time", "snr_db", "cfo")
STATUSES = ("ok", "missed", "crc_fail", "host_drop", "duplicate")
END = 1 << 62  # sequence numbers are below
MOST_SIGNS = 40  # of what stands in a file, in an error
OK, MISSED, CRC_FAIL, HOST_DROP, DUPLICATE = range(len(STATUSES))


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
        return self._numbers("resumes")

    @property
    def resumed_at(self) -> list[int]:
        """Which of the sender's own sequence numbers these are, where that is known."""
        return self._numbers("resumed_at")

    def _numbers(self, key: str) -> list[int]:
        words = self.about.get(key, "").split()
        wrong = next((word for word in words if not _is_number(word)), None)
        if wrong is not None:
            raise ValueError(f"{key} {shown(wrong)}: sequence numbers, with spaces between them, are wanted")
        return list(map(int, words))


def shown(cell: Any) -> str:
    """What stands in a file, as an error repeats it: of what is long only the beginning."""
    text = repr(cell)
    return text if len(text) <= MOST_SIGNS else f"{text[:MOST_SIGNS]}..."


def _is_number(word: str) -> bool:
    """Of a packet: int() takes other digits, too, and its own words for too many of them are no error of ours."""
    return word.isascii() and word.isdecimal() and len(word) <= len(str(END)) and int(word) < END
