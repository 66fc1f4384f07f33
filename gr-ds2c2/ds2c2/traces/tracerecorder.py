# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a loss trace of the packets that arrive, whatever arrives."""

import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from ds2c2.stream.numbering import REORDER_PACKETS, Dropped, Judgement, Ours, Restart, SequenceTracker
from ds2c2.stream.packets import PacketParser, ParsedPackets
from ds2c2.stream.sessions import Sessions
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.packetfates import CRC_FAIL, DUPLICATE, HOST_DROP, MISSED, OK, LossTrace, TraceError
from ds2c2.transport.packetsource import Arrivals

# What is missing this near to an under- or overrun is the host's loss and not the channel's.
HOST_WINDOW = 0.05  # seconds
EVENTS = ("underrun", "overrun", "late")
COUNTS = (
    "unattributed", "malformed", "damaged", "forged", "replayed", "foreign", "other_format", "out_of_range", "end",
)  # fmt: skip


@dataclass
class _Run:
    """The packets of one sender from its start to its end; rows in the order of arrival,
    ``float64[n, 5]``: frame * N + block, time, status, SNR, CFO.

    ``base`` is added to the sender's frame numbers, so that a later run's come after.
    """

    base: int
    total: int | None = None  # frames sent, where known
    end: int = -1  # the last frame it can have reached, once another sender is heard
    rows: list[np.ndarray] = field(default_factory=list)


class TraceRecorder:
    """Keeps what became of each packet of one stream.

    Args:
        stream_format: gives N and the digest
        stream_number: which stream
        first: sequence number of the first packet that was sent, where it is known; packets
            from there to the first one seen then count as missed
        host_window: seconds around a host event in which a loss is the host's
        about: ``# key: value`` lines of the trace beside those made here
        key: of a signed stream

    Frame numbers are continued beyond 16 bits, and a sender that restarts is noticed, by the same
    ``SequenceTracker`` as for the pictures; its packets get the sequence numbers after the last
    ones seen, the key ``resumes`` says where, ``resumed_at`` at which of the sender's own numbers,
    and what was lost in between is not known and no
    row. A silence of more than 64 frames cannot be told from a restart. ``counts`` holds what is
    no row: damaged packets of unknown number (unattributed), malformed ones, other streams
    (foreign), other stream formats, single packets far from the stream (out_of_range),
    end-of-stream packets.
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        stream_number: int = 0,
        first: int | None = None,
        host_window: float = HOST_WINDOW,
        about: dict[str, str] | None = None,
        key: bytes = b"",
    ):
        self.format = stream_format
        self._parser = PacketParser(stream_format, stream_number, key)
        self._sessions = Sessions()
        self.stream_number = stream_number
        self.first = first
        self.host_window = host_window
        self.about = {
            "run": secrets.token_hex(4),
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "format": stream_format.text,
            "stream": str(stream_number),
            **(about or {}),
        }
        self.counts = dict.fromkeys(COUNTS, 0)
        self._tracker = SequenceTracker(stream_format.blocks, signed=self.signed)
        self._runs: list[_Run] = []
        self._ours = 0
        # Damaged packets that came before it was known where the sender is.
        self._early: deque[tuple[int, np.ndarray]] = deque(maxlen=REORDER_PACKETS)
        self._events: list[tuple[str, float]] = []

    @property
    def ended(self) -> bool:
        """The sender, or the last of them, has announced its end. Of a stream that is not signed anybody can say
        that: it is so when silence follows."""
        return self._tracker.total is not None

    @property
    def signed(self) -> bool:
        """Nobody but the sender can have announced an end."""
        return bool(self.format.key)

    @property
    def taken(self) -> int:
        """Packets of the stream so far."""
        return self._ours

    def take(self, arrivals: Arrivals) -> None:
        """Take what a ``PacketSource`` brings. Raises ``TraceError``."""
        for kind, when in arrivals.events:
            self.host_event(kind, when)
        self.counts["unattributed"] += arrivals.unreadable
        columns = [arrivals.times, arrivals.snr_db, arrivals.cfo]
        if arrivals.intact is None:
            self.push(arrivals.packets, *columns)
            return
        intact = np.asarray(arrivals.intact, bool)
        self.push(arrivals.packets[intact], *(None if column is None else column[intact] for column in columns))
        for place in np.flatnonzero(~intact):
            when, snr_db, cfo = (None if column is None else float(column[place]) for column in columns)
            self.failed(arrivals.packets[place], np.nan if when is None else when, "crc_fail", snr_db, cfo)

    def push(
        self,
        packets: np.ndarray,
        times: np.ndarray | None,
        snr_db: np.ndarray | None = None,
        cfo: np.ndarray | None = None,
    ) -> None:
        """Take whole packets ``uint8[n, packet_bytes]`` with their times ``float[n]`` in
        seconds, SNR in dB and carrier offset in cycles/sample, where known."""
        parsed = self._parser.parse(packets)
        for name in ("malformed", "damaged", "forged", "foreign", "other_format"):
            self.counts[name] += getattr(parsed, name)
        for begins, piece in self._sessions.sort(parsed):
            if begins:
                self._begin_anew(int(piece.frames[0]) if len(piece.frames) else 0)
            self.counts["end"] += len(piece.ends)
            for judged in self._tracker.judge(piece, self._rows(piece, times, snr_db, cfo, OK)):
                self._take(judged)
        self.counts["replayed"] = self._sessions.replayed

    def failed(
        self,
        packets: np.ndarray | None,
        time: float,
        kind: str = "crc_fail",
        snr_db: float | None = None,
        cfo: float | None = None,
    ) -> None:
        """Take a packet that was detected and did not check, ``uint8[packet_bytes]`` (or one a
        row), None where its bytes are not known. Where our header still checks it is that
        packet's crc_fail; otherwise, and for ``kind`` header_fail, it is counted as unattributed."""
        if packets is None or kind != "crc_fail":
            self.counts["unattributed"] += 1 if packets is None else len(np.atleast_2d(packets))
            return
        packets = np.atleast_2d(packets)
        times = np.full(len(packets), time)
        # Damaged bytes say nothing of other streams, formats and ends.
        parsed = self._parser.parse(packets, damaged=True)
        rows = self._rows(parsed, times, _full(snr_db, times), _full(cfo, times), CRC_FAIL)
        self.counts["unattributed"] += len(packets) - len(rows)
        for place, number in enumerate(parsed.frames):
            damaged = int(number), rows[place : place + 1]
            if self._tracker.newest is not None:
                self._place_damaged(*damaged)
            else:
                self.counts["unattributed"] += len(self._early) == self._early.maxlen
                self._early.append(damaged)

    def host_event(self, kind: str, time: float) -> None:
        """An ``underrun``, ``overrun`` or ``late`` (counted with the underruns) at a time in
        seconds. Raises ``TraceError`` for another kind."""
        if kind not in EVENTS:
            raise TraceError(f"host event {kind!r} is unknown; choose one of {', '.join(EVENTS)}")
        self._events.append((kind, time))

    def finish(self, total_frames: int | None = None) -> LossTrace:
        """The trace of all that came; ``total_frames`` as the last sender counted them, where known
        and not announced by its end-of-stream packets. Raises ``TraceError`` when nothing came and
        nothing is known of what was sent."""
        self.settle(final=True)
        self.counts["unattributed"] += len(self._early)
        self._early.clear()
        total = self._tracker.total if total_frames is None else total_frames
        if self._runs:
            self._runs[-1].total = total
        else:
            if not total or total * self.format.blocks <= (self.first or 0):
                forged = self.counts["forged"]
                unsigned = f", but {forged} that this key did not sign" if forged else ""
                check = "key, stream and format" if forged else "stream and format"
                raise TraceError(f"no packet of this stream came{unsigned}: no loss trace can be made; check {check}")
            self._runs.append(_Run(0, total_frames))
            self.first = self.first or 0
        filled = [(run, self._fill(run, self.first if place == 0 else None)) for place, run in enumerate(self._runs)]
        # Of a sender that began anew nothing may have been followed.
        filled = filled[:1] + [(run, piece) for run, piece in filled[1:] if len(piece)]
        pieces = [piece for _, piece in filled]
        sequence, time, status, snr_db, cfo = np.concatenate(pieces).T
        sequence = sequence.astype(np.int64)
        frame, block = np.divmod(sequence, self.format.blocks)
        underruns, overruns = (self._attributed(kinds, time) for kinds in (("underrun", "late"), ("overrun",)))
        status = self._host_drops(status.astype(np.uint8), time)
        about = self.about | {key: str(value) for key, value in self.counts.items()}
        if len(pieces) > 1:
            about["resumes"] = " ".join(str(int(piece[0, 0])) for piece in pieces[1:])
            about["resumed_at"] = " ".join(
                str(int(piece[0, 0]) - run.base * self.format.blocks) for run, piece in filled[1:]
            )
        return LossTrace(sequence, frame, block, time, status, snr_db, cfo, underruns, overruns, about)

    @staticmethod
    def _rows(parsed: ParsedPackets, times, snr_db, cfo, status: int) -> np.ndarray:
        """A row of each packet that is ours, the block's place in its frame for the sequence."""
        ours = parsed.places
        rows = np.empty((len(ours), 5))
        rows[:, 0], rows[:, 2] = parsed.indices, status
        for column, values in ((1, times), (3, snr_db), (4, cfo)):
            rows[:, column] = np.nan if values is None else np.asarray(values, float)[ours]
        return rows

    def _take(self, judged: Judgement) -> None:
        match judged:
            case Ours(frame, packets):
                if not self._runs:
                    self._runs.append(_Run(0))
                self._ours += len(packets)
                while self._early:
                    self._place_damaged(*self._early.popleft())
                self._keep(frame, packets.payload)
            case Restart(_, frame):
                self._end_run(frame)
            case Dropped(stray) if stray.frame is None:
                self.counts["out_of_range"] += 1
            case Dropped(stray):
                self._keep(stray.frame, stray.packets.payload)

    def settle(self, final: bool = False) -> None:
        """Silence, or (``final``) the end of what comes: a few packets that agree are followed now."""
        for judged in self._tracker.settle(final):
            self._take(judged)

    def _end_run(self, frame: int) -> None:
        """The sender begins anew at this frame of its own numbering."""
        run = self._runs[-1]
        if self._tracker.newest is None:  # nothing was followed since the last one began: that one was no run
            self._runs.pop()
            run = self._runs[-1]
        else:
            run.total = self._tracker.total
            # Above every number of the run before, which may lie ahead of where the tracker stands, and room for a
            # reordered start.
            whole = max((int(rows[rows[:, 2] == OK, 0].max(initial=-1)) for rows in run.rows), default=-1)
            run.end = max(self._tracker.newest + run.base, whole // self.format.blocks, (run.total or 0) + run.base - 1)
        self._runs.append(_Run(run.end + 1 + self._tracker.reach - frame))

    def _begin_anew(self, frame: int) -> None:
        """A newer sender is heard from now on, wherever its numbers are."""
        self.settle(final=True)
        if self._runs:
            self._end_run(frame)
        self._tracker = SequenceTracker(self.format.blocks, signed=self.signed)

    def _keep(self, frame: int, rows: np.ndarray) -> None:
        run, kept = self._runs[-1], rows.copy()
        kept[:, 0] += (frame + run.base) * self.format.blocks
        run.rows.append(kept)

    def _place_damaged(self, number: int, rows: np.ndarray) -> None:
        """A damaged packet is placed where the stream is and never moves it."""
        frame = self._tracker.near(number)
        if frame is None:
            self.counts["unattributed"] += len(rows)
        else:
            self._keep(frame, rows)

    def _fill(self, run: _Run, first: int | None) -> np.ndarray:
        """A run's rows in order, what did not come between them."""
        blocks = self.format.blocks
        rows = np.concatenate([np.empty((0, 5)), *run.rows])
        whole = rows[rows[:, 2] == OK, 0]
        stop = int(whole.max()) + 1 if len(whole) else 0
        # A damaged header may check by accident: it does not lengthen the trace by much.
        limit = stop + REORDER_PACKETS
        if run.total is not None:
            limit = stop = max(stop, (run.total + run.base) * blocks)
        beyond = rows[:, 0] >= limit
        self.counts["unattributed"] += int(beyond.sum())
        rows = rows[~beyond]
        stop = max(stop, int(rows[:, 0].max(initial=-1)) + 1)
        start = int(rows[:, 0].min(initial=stop)) if first is None else first
        missing = np.setdiff1d(np.arange(start, stop), rows[:, 0])
        absent = np.full((len(missing), 5), np.nan)
        absent[:, 0], absent[:, 2] = missing, MISSED
        rows = np.concatenate([rows[rows[:, 0] >= start], absent])
        # Of several copies the first whole one counts.
        rows = rows[np.lexsort((np.arange(len(rows)), rows[:, 2], rows[:, 0]))]
        rows[1:, 2][np.diff(rows[:, 0]) == 0] = DUPLICATE
        return rows

    def _host_drops(self, status: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Losses between packets that lie around a host event become the host's."""
        events = np.sort([when for _, when in self._events])
        seen = np.flatnonzero(~np.isnan(time))
        if not len(events) or not len(seen):
            return status
        rows = np.arange(len(time))
        before = np.searchsorted(seen, rows, side="right") - 1
        after = np.searchsorted(seen, rows)
        earliest = np.where(before >= 0, time[seen[before]], -np.inf) - self.host_window
        latest = np.where(after < len(seen), time[seen[np.minimum(after, len(seen) - 1)]], np.inf) + self.host_window
        near = np.searchsorted(events, latest, side="right") > np.searchsorted(events, earliest)
        return np.where(near & np.isin(status, (MISSED, CRC_FAIL)), HOST_DROP, status)

    def _attributed(self, kinds: tuple[str, ...], time: np.ndarray) -> np.ndarray:
        """Events of these kinds at the last packet seen before each, ``int[n]``."""
        found = np.zeros(len(time), np.int64)
        seen = np.flatnonzero(~np.isnan(time))
        order = seen[np.argsort(time[seen], kind="stable")] if len(seen) else np.zeros(1, int)
        for kind, when in self._events:
            if kind in kinds:
                found[order[max(0, int(np.searchsorted(time[order], when, side="right")) - 1)]] += 1
        return found


def _full(value: float | None, like: np.ndarray) -> np.ndarray | None:
    return None if value is None else np.full(len(like), value)
