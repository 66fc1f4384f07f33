# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a receiver's packets come from, and what the link knows of each: the seam of every link.

A recording, a UDP socket and a radio all become a ``PacketSource``; `ds2c2 receive` and `ds2c2 trace
record` know nothing else of a link. A link with a thread or flowgraph of its own needs no more than
a ``QueuedSource``: it puts ``Arrivals`` in, the command takes them out.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ds2c2.files import announce_pipe
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingReader
from ds2c2.transport.udp import UdpReceiver

# Packets that may wait while pictures are decoded.
QUEUE_PACKETS = 1 << 18


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What came from a link at a time; all but the packets only where the link knows it.

    Args:
        packets: ``uint8[n, packet_bytes]`` in the order of arrival, damaged ones among them
        times: ``float[n]``, seconds since the run began, on the clock of ``events``
        snr_db: ``float[n]`` in dB, NaN where unknown
        cfo: carrier offset ``float[n]`` in cycles/sample, NaN where unknown
        intact: ``bool[n]``, False where the link's CRC failed; None: the link drops those or has none
        unreadable: packets that were detected and whose bytes are not known (their header failed)
        events: the host's, ``("underrun" | "overrun" | "late", seconds)``
        points: ``complex64[m]``, some equalized symbols of it, where somebody looks at a constellation
        station: whose packets they are, where several are heard
        pause: nothing came for a while before them
    """

    packets: np.ndarray
    times: np.ndarray | None = None
    snr_db: np.ndarray | None = None
    cfo: np.ndarray | None = None
    intact: np.ndarray | None = None
    unreadable: int = 0
    events: tuple[tuple[str, float], ...] = ()
    points: np.ndarray | None = None
    station: str = ""
    pause: bool = False

    @property
    def good(self) -> np.ndarray:
        """The packets that a decoder may see."""
        return self.packets if self.intact is None else self.packets[self.intact]

    def parted(self, last: float | None, silence: float) -> "list[Arrivals]":
        """These, cut where nothing came for ``silence`` s, the first packet behind one at ``last``: all pieces but
        the first with ``pause``, and that one too where it came so late."""
        if self.times is None or not len(self.times):
            return [self]
        gaps = np.diff(self.times, prepend=self.times[0] if last is None else last) >= silence
        cuts = np.flatnonzero(gaps)
        pieces = []
        for start, stop in pairwise([0, *cuts[cuts > 0].tolist(), len(self.packets)]):
            of = {
                name: None if (column := getattr(self, name)) is None else column[start:stop]
                for name in ("times", "snr_db", "cfo", "intact")
            }
            rest = {} if start == 0 else {"unreadable": 0, "events": (), "points": None}
            pieces.append(replace(self, packets=self.packets[start:stop], pause=bool(gaps[start]), **of, **rest))
        return pieces

    @property
    def silent(self) -> bool:
        """Nothing came and nothing happened."""
        return not (len(self.packets) or self.unreadable or self.events)


@dataclass
class StationCounts:
    """Packets of one station: ``received``, and of them the code blocks that it was the ``first`` to bring."""

    received: int = 0
    first: int = 0


class PacketSource(ABC):
    """Packets of one stream. ``stream`` is its format; ``about`` names the link for a loss trace,
    keys of small letters like ``link`` and ``radio``; a ``live`` one comes at its own speed and is left
    when the stream ends, one that is not waits for its reader and is read to its own end; an ``ordered`` one
    loses packets and never turns them round. A context manager: leaving it closes it.
    """

    stream: StreamFormat
    about: dict[str, str]
    live = True
    ordered = False

    @abstractmethod
    def read(self, wait: float) -> Arrivals | None:
        """What has come since the last call; waits up to ``wait`` seconds for the first of it, then
        gives an empty one. None: nothing will come any more. Raises ``UserError``."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the source holds; it may be called twice."""

    @property
    def trouble(self) -> str:
        """What the source itself lost or refused, as words for the user; empty if nothing."""
        return ""

    @property
    def misfit(self) -> str:
        """What came in a size that no packet of this stream has, as words for the user; empty if nothing."""
        return ""

    @property
    def turned_away(self) -> Mapping[str, int]:
        """What came and was not handed on, by its fate, of ``ds2c2.transport.fates.TURNED_AWAY``. While it comes
        nothing else need, so this is asked and not told."""
        return {}

    @property
    def unheard(self) -> str:
        """Where no packet came: whether there was anything, as words for the user; empty where the source cannot tell,
        or packets came."""
        return ""

    @property
    def stations(self) -> Mapping[str, StationCounts]:
        """Where several are heard, what each brought, by their names."""
        return {}

    def credit(self, used: int) -> None:  # noqa: B027 - most have nobody to credit
        """What was read last has been taken: ``used`` packets of the stream counted so far."""

    def nothing(self) -> np.ndarray:
        """No packets, ``uint8[0, packet_bytes]``."""
        return np.zeros((0, self.stream.packet_bytes), np.uint8)

    def __enter__(self) -> "PacketSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RecordingSource(PacketSource):
    """The packets of a recording, or of a file of packets alone in the format ``stream``; their times are not known.
    Raises ``LinkError`` and ``FormatError``."""

    live = False

    def __init__(self, path: str, stream: StreamFormat | None = None):
        announce_pipe(path, "packets")
        self._reader = RecordingReader(path, stream)
        self.stream = self._reader.stream
        self.about = {"link": "recording"}
        self._packets = iter(self._reader)

    def read(self, wait: float) -> Arrivals | None:
        packets = next(self._packets, None)
        return None if packets is None else Arrivals(packets, pause=not len(packets))

    def close(self) -> None:
        self._reader.close()

    @property
    def trouble(self) -> str:
        torn = self._reader.torn_bytes
        return f"{torn} byte{'' if torn == 1 else 's'} of a torn last packet" if torn else ""


class UdpSource(PacketSource):
    """The packets that come to a UDP port; what this host drops is an overrun at its time.

    ``interface``: of a multicast group (``UdpReceiver``). Raises ``LinkError``.
    """

    def __init__(self, host: str, port: int, stream: StreamFormat, interface: str = ""):
        self.stream = stream
        self.about = {"link": "udp"}
        self._link = UdpReceiver(host, port, stream.packet_bytes, interface)

    def read(self, wait: float) -> Arrivals | None:
        packets, times, drops = self._link.read_timed(wait)
        return Arrivals(packets, times, events=tuple(("overrun", when) for when in drops))

    def close(self) -> None:
        self._link.close()

    @property
    def trouble(self) -> str:
        link = self._link
        words = [self.misfit] if self.misfit else []
        if link.empty:
            words.append(f"{link.empty} empty datagram{'' if link.empty == 1 else 's'}")
        if link.dropped or link.overflowed:
            words.append(f"{link.dropped} dropped by a full queue, {link.overflowed} by the kernel")
        return ", ".join(words)

    @property
    def misfit(self) -> str:
        return self._link.other_sizes.words("datagram", self.stream.packet_bytes)

    @property
    def turned_away(self) -> Mapping[str, int]:
        link = self._link
        dropped = link.dropped + link.overflowed
        return {"wrong_size": link.other_sizes.total(), "empty": link.empty, "dropped": dropped}


class QueuedSource(PacketSource):
    """For links with a thread or a flowgraph of their own: they ``put``, the command ``read``s.

    ``put``, ``finish`` and ``trouble`` may be called from any thread; ``close`` calls ``stop`` once, and ``unheard``
    says what was there where no packet came.
    More than ``limit`` waiting packets are dropped, counted and an overrun.
    """

    def __init__(
        self,
        stream: StreamFormat,
        about: dict[str, str],
        stop: Callable[[], None] = lambda: None,
        limit: int = QUEUE_PACKETS,
        unheard: Callable[[], str] = str,
    ):
        self.stream = stream
        self.about = about
        self.dropped = 0
        self._stop, self._unheard = stop, unheard
        self._stopped = False
        self._limit = limit
        self._waiting: deque[Arrivals] = deque()
        self._count = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def put(self, arrivals: Arrivals) -> None:
        """Hand over what came."""
        with self._changed:
            if self._count + len(arrivals.packets) > self._limit:
                self.dropped += len(arrivals.packets)
                when = [float(arrivals.times[0])] if arrivals.times is not None and len(arrivals.times) else []
                events = arrivals.events + tuple(("overrun", at) for at in when)
                arrivals = Arrivals(self.nothing(), unreadable=arrivals.unreadable, events=events)
            self._waiting.append(arrivals)
            self._count += len(arrivals.packets)
            self._changed.notify()

    def finish(self, error: Exception | None = None) -> None:
        """Nothing will come any more; ``error``, if any, is raised by the ``read`` after the last packet."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def read(self, wait: float) -> Arrivals | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, min(wait, threading.TIMEOUT_MAX))
            if self._waiting:
                arrivals = self._waiting.popleft()
                self._count -= len(arrivals.packets)
                return arrivals
            if self._error is not None:
                raise self._error
            return None if self._ended else Arrivals(self.nothing())

    def close(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._stop()

    @property
    def unheard(self) -> str:
        return self._unheard()

    @property
    def trouble(self) -> str:
        if not self.dropped:
            return ""
        return f"{self.dropped} packet{'' if self.dropped == 1 else 's'} dropped by a full queue"

    @property
    def turned_away(self) -> Mapping[str, int]:
        return {"dropped": self.dropped}


class Listener:
    """Iterates over all that comes, until the source ends, until ``ended()`` says so of a live one and silence
    follows, or until no packet came for ``wait`` seconds: then ``gave_up`` is True.

    ``quiet`` says of what is given that no packet of the stream has come for ``silence`` s before it: nothing came, or
    nothing that ``taken()``, packets of the stream so far, has counted (where it is not given, every packet counts). Of
    a source that is not live its ``pause`` says so, for silence is this host's there.
    ``failed``, ``unreadable`` and ``events`` count what came so far beside good packets, ``good`` these;
    ``unread`` all that ``rest`` gave.

    Args:
        source: where packets come from
        silence: seconds
        wait: seconds
        ended: whether the stream's end was announced
        taken: packets of the stream so far; what others send keeps nobody waiting then
        sure: nobody but the sender can have announced the end, so no silence need follow
        felt: packets so far that may be the sender's, where more of them part silences than keep anybody waiting
    """

    def __init__(
        self,
        source: PacketSource,
        silence: float,
        wait: float,
        ended: Callable[[], bool],
        taken: Callable[[], int] | None = None,
        sure: bool = False,
        felt: Callable[[], int] | None = None,
    ):
        self.source = source
        self.gave_up = self.quiet = False
        self.good = self.failed = self.unreadable = self.unread = 0
        self.events: Counter[str] = Counter()
        self._silence, self._wait, self._ended, self._sure = silence, wait, ended, sure
        self._taken = taken or (lambda: self.good + self.failed)
        self._felt = felt or self._taken
        self._stopped = False

    def stop(self) -> None:
        """End after what is being read; may be called from a signal's handler."""
        self._stopped = True

    def __iter__(self) -> Iterator[Arrivals]:
        heard = felt = time.monotonic()
        count, parts, idle, came = self._taken(), self._felt(), False, None
        while not self._stopped:
            if self.source.live and (idle or self._sure) and self._ended():
                return
            arrivals = self.source.read(min(self._silence, self._wait))
            if arrivals is None:
                return
            good = len(arrivals.good)
            self.good += good
            self.failed += len(arrivals.packets) - good
            self.unreadable += arrivals.unreadable
            self.events.update(kind for kind, _ in arrivals.events)
            now = time.monotonic()
            # Before the stream has begun nothing tells its first packets, which wait for each other, from others'.
            idle = arrivals.silent or (count > 0 and now - heard >= self._silence)
            # What came while this host was at work has its own times, by which it was silent or not.
            pieces = arrivals.parted(came, self._silence) if self.source.live else [arrivals]
            for place, piece in enumerate(pieces):
                self.quiet = piece.pause or piece.silent
                if self.source.live and place == 0:
                    self.quiet |= parts > 0 and now - felt >= self._silence
                yield piece
            if arrivals.times is not None and len(arrivals.times):
                came = float(arrivals.times[-1])
            # Counted from when they were taken: decoding takes its time, too.
            now = time.monotonic()
            if self._taken() != count:
                heard, count, idle = now, self._taken(), False
            elif now - heard > self._wait:
                self.gave_up = True
                return
            # A silence is told once, and again where another as long follows.
            if self.quiet or self._felt() != parts:
                felt, parts = now, self._felt()

    def rest(self) -> Iterator[Arrivals]:
        """Where it was told to stop: what had come by then and was not given."""
        until = time.monotonic() + self._silence
        while self._stopped and time.monotonic() < until:
            arrivals = self.source.read(0.0)
            if arrivals is None or not len(arrivals.packets):
                return
            self.good += len(arrivals.good)
            self.unread += len(arrivals.packets)
            yield arrivals

    @property
    def trouble(self) -> str:
        """What the link and this host lost, as words for the user; empty if nothing."""
        words = [self.source.trouble] if self.source.trouble else []
        if self.failed or self.unreadable:
            words.append(f"{self.failed} failed the link's CRC, {self.unreadable} unreadable")
        words += [f"{'once' if count == 1 else f'{count} times'} {kind}" for kind, count in sorted(self.events.items())]
        return ", ".join(words)
