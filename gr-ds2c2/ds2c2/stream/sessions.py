# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a signed stream only the newest sender is heard: what an old recording replays is counted and dropped.

The packets of a signed stream carry the second in which their sender began. Who has not the key cannot make a newer
one, so the first packet of a newer session is a sender that has begun anew, and an older one is a replay.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ds2c2.stream.packets import ParsedPackets


class Sessions:
    """Sorts packets by their sessions.

    Attributes:
        newest: the session that is heard, None before the first packet
        replayed: packets of older ones so far
    """

    def __init__(self):
        self.newest: int | None = None
        self.replayed = 0

    def sort(self, parsed: ParsedPackets) -> Iterator[tuple[bool, ParsedPackets]]:
        """The packets to be used, in pieces, and before each whether a newer sender begins with it."""
        ends = np.array(parsed.end_sessions, np.int64)
        everything = np.concatenate([parsed.sessions, ends])
        if not len(everything) or (self.newest is not None and (everything == self.newest).all()):
            yield False, parsed
            return
        # In the order of arrival; an end packet comes before the code block whose place it names.
        places = np.concatenate([2 * np.arange(len(parsed.sessions)) + 1, 2 * np.array(parsed.end_places, np.int64)])
        order = np.argsort(places, kind="stable")
        newest = np.empty_like(everything)
        newest[order] = np.maximum.accumulate(everything[order])
        if self.newest is not None:
            newest = np.maximum(newest, self.newest)
        heard = everything == newest
        self.replayed += int((~heard).sum())
        data_heard, ends_heard = heard[: len(parsed.sessions)], heard[len(parsed.sessions) :]
        for session in np.unique(everything[heard]).tolist():
            data = data_heard & (parsed.sessions == session)
            kept = np.flatnonzero(ends_heard & (ends == session)).tolist()
            begins = self.newest is not None and session > self.newest
            self.newest = session
            before = np.concatenate([[0], np.cumsum(data)])
            yield (
                begins,
                replace(
                    parsed,
                    frames=parsed.frames[data],
                    indices=parsed.indices[data],
                    sessions=parsed.sessions[data],
                    blocks=parsed.blocks[data],
                    places=parsed.places[data],
                    ends=[parsed.ends[n] for n in kept],
                    end_places=[int(before[parsed.end_places[n]]) for n in kept],
                    end_sessions=[session] * len(kept),
                ),
            )
