# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a loss trace of the packets that arrive, whatever arrives."""

import secrets
from datetime import UTC, datetime

import numpy as np

from ds2c2.stream.assembler import HISTORY_FRAMES, MAX_GAP_FRAMES, REORDER_PACKETS, RESYNC_PACKETS
from ds2c2.stream.packets import FRAME_MODULUS, HEADER_BYTES, parse_packets
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import CRC_FAIL, DUPLICATE, HOST_DROP, MISSED, OK, LossTrace, TraceError
from ds2c2.transport.packetsource import Arrivals

# What is missing this near to an under- or overrun is the host's loss and not the channel's.
HOST_WINDOW = 0.05  # seconds
EVENTS = ("underrun", "overrun", "late")
COUNTS = ("unattributed", "malformed", "foreign", "other_format", "out_of_range", "end")


class _Run:
    """The packets of one sender from its start to its end; rows in the order of arrival.

    ``base`` is added to the sender's frame numbers, so that a later run's come after.
    """

    def __init__(self, newest: int, base: int):
        self.newest = newest  # highest frame seen, the sender's number continued beyond 16 bits
        self.newest_sequence = newest
        self.base = base
        self.total: int | None = None  # frames sent, where known
        self.rows: list[np.ndarray] = []  # float64[n, 5]: frame * N + block, time, status, SNR, CFO

    def continued(self, number: int) -> int:
        """The 16-bit number continued from the newest, the shorter way (RFC 1982)."""
        return self.newest + (number - self.newest + FRAME_MODULUS // 2) % FRAME_MODULUS - FRAME_MODULUS // 2


class TraceRecorder:
    """Keeps what became of each packet of one stream.

    Args:
        stream_format: gives N and the digest
        stream: number of the stream
        first: sequence number of the first packet that was sent, where it is known; packets
            from there to the first one seen then count as missed
        host_window: seconds around a host event in which a loss is the host's
        about: ``# key: value`` lines of the trace beside those made here

    Frame numbers are continued beyond 16 bits. A sender that restarts is noticed like
    ``FrameAssembler`` does, by 32 packets in a row from one elsewhere in the numbering; its
    packets get the sequence numbers after the last ones seen, the key ``resumes`` says where, and
    what was lost in between is not known and no row. A silence of more than 64 frames cannot be
    told from a restart. ``counts`` holds what is no row: damaged packets of unknown number
    (unattributed), malformed ones, other streams (foreign), other stream formats, single packets
    far from the stream (out_of_range), end-of-stream packets.
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        stream: int = 0,
        first: int | None = None,
        host_window: float = HOST_WINDOW,
        about: dict[str, str] | None = None,
    ):
        self.format = stream_format
        self.stream = stream
        self.first = first
        self.host_window = host_window
        self.about = {
            "run": secrets.token_hex(4),
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "format": stream_format.text,
            "stream": str(stream),
            **(about or {}),
        }
        self.counts = dict.fromkeys(COUNTS, 0)
        self._reach = -(-REORDER_PACKETS // stream_format.blocks)
        self._history = max(HISTORY_FRAMES, self._reach)
        self._gap = max(MAX_GAP_FRAMES, self._reach)
        self._runs: list[_Run] = []
        self._strays: list[np.ndarray] = []  # packets in a row far from the stream, as 16-bit rows
        self._early: list[np.ndarray] = []  # damaged packets before the first whole one
        self._announced: int | None = None  # an end before the first packet
        self._events: list[tuple[str, float]] = []

    @property
    def ended(self) -> bool:
        """The sender, or the last of them, has announced its end."""
        return (self._runs[-1].total if self._runs else self._announced) is not None

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
        """Take whole packets ``uint8[n, 8 + block_size]`` with their times ``float[n]`` in
        seconds, SNR in dB and carrier offset in cycles/sample, where known."""
        for frame, rows in self._parsed(packets, times, snr_db, cfo, OK):
            self._take(frame, rows)

    def failed(
        self,
        packets: np.ndarray | None,
        time: float,
        kind: str = "crc_fail",
        snr_db: float | None = None,
        cfo: float | None = None,
    ) -> None:
        """Take a packet that was detected and did not check, ``uint8[8 + block_size]`` (or one a
        row), None where its bytes are not known. Where our header still checks it is that
        packet's crc_fail; otherwise, and for ``kind`` header_fail, it is counted as unattributed."""
        if packets is None or kind != "crc_fail":
            self.counts["unattributed"] += 1 if packets is None else len(np.atleast_2d(packets))
            return
        packets = np.atleast_2d(packets)
        times = np.full(len(packets), time)
        before = dict(self.counts)
        known = self._parsed(packets, times, _full(snr_db, times), _full(cfo, times), CRC_FAIL)
        # Damaged bytes say nothing of other streams, formats and ends.
        self.counts = before
        self.counts["unattributed"] += len(packets) - sum(len(rows) for _, rows in known)
        for _, rows in known:
            if self._runs:
                self._place_damaged(rows)
            else:
                self._early.append(rows)

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
        self._settle()
        if not self._runs:
            total = self._announced if total_frames is None else total_frames
            if not total or total * self.format.blocks <= (self.first or 0):
                raise TraceError("no packet of this stream came: no loss trace can be made; check stream and format")
            self._runs.append(_Run(0, 0))
            self.first = self.first or 0
        if total_frames is not None:
            self._runs[-1].total = total_frames
        pieces = [self._fill(run, self.first if place == 0 else None) for place, run in enumerate(self._runs)]
        sequence, time, status, snr_db, cfo = np.concatenate(pieces).T
        sequence = sequence.astype(np.int64)
        frame, block = np.divmod(sequence, self.format.blocks)
        underruns, overruns = (self._attributed(kinds, time) for kinds in (("underrun", "late"), ("overrun",)))
        status = self._host_drops(status.astype(np.uint8), time)
        about = self.about | {key: str(value) for key, value in self.counts.items()}
        if len(pieces) > 1:
            about["resumes"] = " ".join(str(int(piece[0, 0])) for piece in pieces[1:])
        return LossTrace(sequence, frame, block, time, status, snr_db, cfo, underruns, overruns, about)

    def _parsed(self, packets, times, snr_db, cfo, status: int) -> list[tuple[int, np.ndarray]]:
        """Runs of packets of one frame: its 16-bit number and their rows, block for sequence."""
        # In place of the code block each packet carries its place through the parser.
        places = np.arange(len(packets), dtype=np.uint32).view(np.uint8).reshape(-1, 4)
        parsed = parse_packets(np.concatenate([packets[:, :HEADER_BYTES], places], axis=1), self.format, self.stream)
        for name in ("malformed", "foreign", "other_format"):
            self.counts[name] += getattr(parsed, name)
        if status == OK:
            self.counts["end"] += len(parsed.ends)
            for total in parsed.ends:
                self._end(total)
        ours = np.ascontiguousarray(parsed.blocks).view(np.uint32)[:, 0]
        rows = np.empty((len(ours), 5))
        rows[:, 0], rows[:, 2] = parsed.indices, status
        for column, values in ((1, times), (3, snr_db), (4, cfo)):
            rows[:, column] = np.nan if values is None else np.asarray(values, float)[ours]
        # The sender's number goes along, for those that wait.
        rows = np.column_stack([rows, parsed.frames])
        cuts = np.flatnonzero(np.diff(parsed.frames)) + 1
        return [(int(piece[0, 5]), piece) for piece in np.split(rows, cuts) if len(piece)]

    def _take(self, number: int, rows: np.ndarray) -> None:
        if not self._runs:
            self._begin(number)
        run = self._runs[-1]
        frame = run.continued(number)
        late = run.newest_sequence - (frame + 1) * self.format.blocks > REORDER_PACKETS
        if late or frame > run.newest + self._gap or frame + run.base < 0:
            for place in range(len(rows)):
                self._strays.append(rows[place : place + 1])
                if self._restarted():
                    self._restart()
                    if place + 1 < len(rows):
                        self._take(number, rows[place + 1 :])
                    return
                if len(self._strays) == RESYNC_PACKETS:
                    self._settle(1)
            return
        self._settle()
        self._keep(run, frame, rows)
        run.newest = max(run.newest, frame)
        run.newest_sequence = max(run.newest_sequence, frame * self.format.blocks + int(rows[:, 0].max()) + 1)

    def _begin(self, number: int) -> None:
        # Room for a reordered start, and below the numbers of every run before.
        last = max((run.newest + run.base for run in self._runs), default=None)
        self._runs.append(_Run(number, 0 if last is None else last + 1 + self._reach - number))
        self._runs[-1].newest_sequence = number * self.format.blocks
        early, self._early = self._early, []
        for rows in early:
            self._place_damaged(rows)
        if self._announced is not None and len(self._runs) == 1:
            self._end(self._announced)

    def _keep(self, run: _Run, frame: int, rows: np.ndarray) -> None:
        kept = rows[:, :5].copy()
        kept[:, 0] += (frame + run.base) * self.format.blocks
        run.rows.append(kept)

    def _place_damaged(self, rows: np.ndarray) -> None:
        """A damaged packet is placed where the stream is and never moves it."""
        run = self._runs[-1]
        frame = run.continued(int(rows[0, 5]))
        if run.newest - self._history <= frame <= run.newest + self._gap and frame + run.base >= 0:
            self._keep(run, frame, rows)
        else:
            self.counts["unattributed"] += len(rows)

    def _restarted(self) -> bool:
        if len(self._strays) < RESYNC_PACKETS:
            return False
        origin = int(self._strays[0][0, 5])
        half = FRAME_MODULUS // 2
        steps = [(int(stray[0, 5]) - origin + half) % FRAME_MODULUS - half for stray in self._strays]
        return max(steps) - min(steps) <= 1 + self._reach

    def _restart(self) -> None:
        strays, self._strays = self._strays, []
        self._begin(int(strays[0][0, 5]))
        for stray in strays:
            self._take(int(stray[0, 5]), stray)

    def _settle(self, count: int = RESYNC_PACKETS) -> None:
        """The first so many strays were no restart: late packets, or far from the stream."""
        settled, self._strays = self._strays[:count], self._strays[count:]
        for stray in settled:
            run = self._runs[-1]
            frame = run.continued(int(stray[0, 5]))
            if frame + run.base >= 0 and run.newest - self._history <= frame <= run.newest:
                self._keep(run, frame, stray)
            else:
                self.counts["out_of_range"] += 1

    def _end(self, total: int) -> None:
        if not self._runs:
            self._announced = total
            return
        run = self._runs[-1]
        frames = run.continued(total % FRAME_MODULUS)
        # An end far from where the stream is belongs to a sender before or after a restart.
        if run.newest - self._history <= frames <= run.newest + 1 + self._gap:
            run.total = frames

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
