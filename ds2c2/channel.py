# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel models for code blocks: which are hit, and what a hit does.

Models say which blocks are hit: ``iid`` (each by itself), ``exact`` (a fixed number of every
frame, at random places), ``gilbert-elliott`` (bursts) and ``trace`` (as recorded). Effects
say what happens to them: ``erase`` (the packet does not arrive: the erasure channel),
``zero`` (every 1 becomes 0 and the receiver does not know: the paper's "block BEC") and
``flip`` (every bit flips, likewise unknown: the paper's BBSC).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2c2.errors import UserError
from ds2c2.losstrace import TraceError, read_trace_file

MODELS = ("iid", "exact", "gilbert-elliott", "trace")
EFFECTS = ("erase", "zero", "flip")
DEFAULT_BURST = 8.0  # blocks: mean length of a Gilbert-Elliott burst


class ChannelError(UserError):
    """Parameters that are no channel."""

    exit_code = 8


def read_trace(path: str | Path) -> np.ndarray:
    """A loss trace to ``bool[n]``, True = lost: the file of ``ds2c2 trace record``, where a packet
    that was missed or failed its CRC is lost, or plain text, one ``0`` (arrived) or ``1`` a line.

    Raises ``ChannelError``.
    """
    try:
        lost = read_trace_file(path).lost()
    except TraceError as error:
        raise ChannelError(str(error)) from None
    if not len(lost):
        raise ChannelError(f"{path}: the host dropped every packet of this loss trace; nothing is known of the channel")
    return lost


@dataclass
class BlockChannel:
    """Draws hits for the blocks of a stream, in order; seeded, ``loss`` may change while it runs.

    Args:
        loss: share of the blocks that are hit, 0 to 1 (``trace`` ignores it)
        model: one of ``MODELS``
        effect: one of ``EFFECTS``
        burst: mean length of a burst in blocks, for ``gilbert-elliott``
        seed: of the draws
        trace: ``bool[n]``, True = lost, repeated from its start when it ends
        frame_blocks: N, needed by ``exact`` and ``base_blocks``
        base_blocks: the first so many blocks of each frame are never hit (paper rules)

    ``exact`` hits round(loss * blocks that can be hit) blocks of every frame. Gilbert-Elliott
    is the two-state model of Gilbert (1960) with Elliott's (1963) loss probabilities set to
    0 in the good and 1 in the bad state; the bad state is left with 1 / burst.
    Raises ``ChannelError``.
    """

    loss: float
    model: str = "iid"
    effect: str = "erase"
    burst: float = DEFAULT_BURST
    seed: int = 1
    trace: np.ndarray | None = None
    frame_blocks: int = 1
    base_blocks: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ChannelError(f"channel model {self.model!r} is unknown; choose one of {', '.join(MODELS)}")
        if self.effect not in EFFECTS:
            raise ChannelError(f"channel effect {self.effect!r} is unknown; choose one of {', '.join(EFFECTS)}")
        if not self.burst >= 1:
            raise ChannelError(f"burst {self.burst:g} is too short: a burst has 1 block at least")
        if self.model == "trace" and (self.trace is None or len(self.trace) == 0):
            raise ChannelError("channel model trace needs a recorded trace")
        if self.seed < 0:
            raise ChannelError(f"seed {self.seed} is out of range: 0 or more")
        if self.frame_blocks < 1 or not 0 <= self.base_blocks <= self.frame_blocks:
            raise ChannelError(
                f"base_blocks {self.base_blocks} of frame_blocks {self.frame_blocks}: a frame has 1 block or more, "
                "0 to all of them base blocks"
            )
        self.set_loss(self.loss)
        self._rng = np.random.Generator(np.random.PCG64(self.seed))
        self._position = 0
        self._bad: bool | None = None  # Gilbert-Elliott state, None before the first block
        self._frame_hits = np.zeros(0, bool)
        self.passed = 0
        self.hit = 0

    def set_loss(self, loss: float) -> None:
        """Change the loss rate from the next block (``exact``: the next frame) on."""
        if not 0.0 <= loss <= 1.0:
            raise ChannelError(f"loss {loss:g} is out of range: 0 to 1")
        if self.model == "gilbert-elliott" and 0 < loss < 1 and loss / (1 - loss) > self.burst:
            raise ChannelError(f"loss {loss:g} cannot come in bursts of {self.burst:g}: use longer bursts")
        self.loss = loss

    def draw(self, count: int) -> np.ndarray:
        """Hits of the next ``count`` blocks, ``bool[count]``; the same however it is cut up."""
        places = (self._position + np.arange(count)) % self.frame_blocks
        hits = {
            "iid": self._iid,
            "exact": self._exact,
            "gilbert-elliott": self._gilbert_elliott,
            "trace": self._replay,
        }[self.model](count, places)
        hits &= places >= self.base_blocks
        self._position += count
        self.hit += int(hits.sum())
        self.passed += count - int(hits.sum())
        return hits

    def _iid(self, count: int, places: np.ndarray) -> np.ndarray:
        return self._rng.random(count) < self.loss

    def _exact(self, count: int, places: np.ndarray) -> np.ndarray:
        hits = np.empty(count, bool)
        done = 0
        while done < count:
            place = int(places[done])
            if place == 0 or len(self._frame_hits) == 0:
                open_to_loss = self.frame_blocks - self.base_blocks
                lost = self._rng.permutation(open_to_loss)[: round(self.loss * open_to_loss)]
                self._frame_hits = np.zeros(self.frame_blocks, bool)
                self._frame_hits[self.base_blocks + lost] = True
            piece = min(count - done, self.frame_blocks - place)
            hits[done : done + piece] = self._frame_hits[place : place + piece]
            done += piece
        return hits

    def _gilbert_elliott(self, count: int, places: np.ndarray) -> np.ndarray:
        uniform = self._rng.random(count)
        if count == 0 or self.loss in (0.0, 1.0):
            return np.full(count, self.loss == 1.0)
        leave_bad = 1.0 / self.burst
        leave_good = leave_bad * self.loss / (1.0 - self.loss)
        stays_bad = (uniform >= leave_bad).tolist()
        turns_bad = (uniform < leave_good).tolist()
        if self._bad is None:
            # The first block is drawn from the stationary state: no bias at the start.
            stays_bad[0] = turns_bad[0] = bool(uniform[0] < self.loss)
        state = bool(self._bad)
        bad = []
        for stay, turn in zip(stays_bad, turns_bad, strict=True):
            state = stay if state else turn
            bad.append(state)
        self._bad = state
        return np.array(bad, bool)

    def _replay(self, count: int, places: np.ndarray) -> np.ndarray:
        return self.trace[(self._position + np.arange(count)) % len(self.trace)].copy()

    def damage(self, payloads: np.ndarray, hits: np.ndarray) -> np.ndarray:
        """What the ``zero`` and ``flip`` effects leave of payloads ``uint8[n, b]``."""
        out = payloads.copy()
        if self.effect == "zero":
            out[hits] = 0
        elif self.effect == "flip":
            out[hits] = ~out[hits]
        return out
