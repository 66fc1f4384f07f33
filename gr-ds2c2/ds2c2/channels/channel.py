# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel models for code blocks: which are hit, and what a hit does.

Models say which blocks are hit: ``iid`` (each by itself), ``exact`` (a fixed number of every
frame, at random places), ``gilbert-elliott`` (bursts), ``trace`` (as recorded) and those of ``FITTED``, which
are fitted to a recorded trace and drawn from without end. Effects
say what happens to them: ``erase`` (the packet does not arrive: the erasure channel),
``zero`` (every 1 becomes 0 and the receiver does not know: the paper's "block BEC") and
``flip`` (every bit flips, likewise unknown: the paper's BBSC). ``zero`` and ``flip`` can also hit
single bits instead of whole blocks: the paper's BEC and BSC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ds2c2.errors import ExitCode, UserError
from ds2c2.traces.lossmodels import ModelError, fit
from ds2c2.traces.losstrace import TraceError, read_trace_file

MODELS = ("iid", "exact", "gilbert-elliott", "trace")
# Models that are fitted to a trace and drawn from, see ds2c2.traces.lossmodels.
FITTED = ("gilbert-elliott-general", "hidden-markov", "semi-markov", "drift")
EFFECTS = ("erase", "zero", "flip")
UNITS = ("block", "bit")
BITS_A_BYTE = 8
BLOCKS_AT_ONCE = 1024  # whose bits are drawn together; bounds the memory, changes no draw
DEFAULT_BURST = 8.0  # blocks: mean length of a Gilbert-Elliott burst


class ChannelError(UserError):
    """Parameters that are no channel."""

    exit_code = ExitCode.LOSSES


def read_trace(path: str | Path) -> np.ndarray:
    """A loss trace to ``bool[n]``, True = lost: the file of ``ds2c2 trace record``, where a packet
    that was missed or failed its CRC is lost, or plain text, one ``0`` (arrived) or ``1`` a line.

    Raises ``ChannelError``.
    """
    try:
        lost = read_trace_file(path).lost()
    except TraceError as error:
        words = str(error)
        # Its reader's options are others' here, or nobody's.
        known = any(option in words for option in ("--lost", "--within", "--link", "--total", "--group-by"))
        convert = "" if not known or "trace convert" in words else "; `ds2c2 trace convert` takes these options"
        raise ChannelError(words + convert) from None
    if not len(lost):
        raise ChannelError(f"{path}: the host dropped every packet of this loss trace; nothing is known of the channel")
    return lost


@dataclass
class BlockChannel:
    """Draws hits for the blocks of a stream, in order; seeded, ``loss`` may change while it runs.

    Args:
        loss: share of the blocks (bits) that are hit, 0 to 1 (``trace`` and ``FITTED`` ignore it)
        model: one of ``MODELS`` or ``FITTED``
        effect: one of ``EFFECTS``
        burst: mean length of a burst in blocks, for ``gilbert-elliott``
        seed: of the draws
        trace: ``bool[n]``, True = lost, repeated from its start when it ends; of ``FITTED`` what they are fitted to
        frame_blocks: N, needed by ``exact`` and ``base_blocks``
        base_blocks: the first so many blocks of each frame are never hit (paper rules)
        unit: one of ``UNITS``; ``bit`` hits each bit by itself, so model ``iid`` and effect
            ``zero`` or ``flip`` only

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
    unit: str = "block"

    def __post_init__(self) -> None:
        if self.model not in MODELS + FITTED:
            raise ChannelError(f"channel model {self.model!r} is unknown; choose one of {', '.join(MODELS + FITTED)}")
        if self.effect not in EFFECTS:
            raise ChannelError(f"channel effect {self.effect!r} is unknown; choose one of {', '.join(EFFECTS)}")
        if self.unit not in UNITS:
            raise ChannelError(f"channel unit {self.unit!r} is unknown; choose one of {', '.join(UNITS)}")
        if self.unit == "bit" and self.effect == "erase":
            raise ChannelError(
                "channel effect erase loses whole packets, unit bit hits single bits: choose effect zero or flip, or "
                "unit block"
            )
        if self.unit == "bit" and self.model != "iid":
            raise ChannelError(
                f"channel model {self.model} says which blocks are hit, unit bit hits each bit by itself: choose "
                "model iid, or unit block"
            )
        if not self.burst >= 1:
            raise ChannelError(f"burst {self.burst:g} is too short: a burst has 1 block at least")
        if self.model in ("trace", *FITTED) and (self.trace is None or len(self.trace) == 0):
            raise ChannelError(f"channel model {self.model} needs a recorded trace")
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
        self._drawn = np.zeros(0, bool)  # of a fitted model, not yet used
        self._pieces = self._fit() if self.model in FITTED else None
        self._bad: bool | None = None  # Gilbert-Elliott state, None before the first block
        self._frame_hits = np.zeros(0, bool)
        self.passed = 0
        self.hit = 0  # blocks; of unit bit those with one hit bit or more
        self.bits_hit = 0  # of unit bit

    def set_loss(self, loss: float) -> None:
        """Change the loss rate from the next block (``exact``: the next frame) on."""
        if not 0.0 <= loss <= 1.0:
            raise ChannelError(f"loss {loss:g} is out of range: 0 to 1")
        if self.model == "gilbert-elliott" and 0 < loss < 1 and loss / (1 - loss) > self.burst:
            raise ChannelError(f"loss {loss:g} cannot come in bursts of {self.burst:g}: use longer bursts")
        self.loss = loss

    def draw(self, count: int) -> np.ndarray:
        """Hits of the next ``count`` blocks, ``bool[count]``; the same however it is cut up. For unit block."""
        places = self._places(count)
        hits = {
            "iid": self._iid,
            "exact": self._exact,
            "gilbert-elliott": self._gilbert_elliott,
            "trace": self._replay,
            **dict.fromkeys(FITTED, self._emulate),
        }[self.model](count, places)
        hits &= places >= self.base_blocks
        self._count(hits)
        return hits

    def draw_bits(self, count: int, block_size: int) -> np.ndarray:
        """Hit bits of the next ``count`` blocks as 1s, ``uint8[count, block_size]``; the same however it
        is cut up. For unit bit."""
        places = self._places(count)
        hits = np.empty((count, block_size), np.uint8)
        for start in range(0, count, BLOCKS_AT_ONCE):
            some = hits[start : start + BLOCKS_AT_ONCE]
            some[:] = np.packbits(self._rng.random((len(some), BITS_A_BYTE * block_size)) < self.loss, axis=1)
        hits[places < self.base_blocks] = 0
        self.bits_hit += int(np.unpackbits(hits).sum(dtype=np.int64))
        self._count(hits.any(axis=1))
        return hits

    def _places(self, count: int) -> np.ndarray:
        """Of the next blocks in their frames."""
        return (self._position + np.arange(count)) % self.frame_blocks

    def _count(self, hits: np.ndarray) -> None:
        self._position += len(hits)
        self.hit += int(hits.sum())
        self.passed += len(hits) - int(hits.sum())

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

    def _fit(self) -> Iterator[np.ndarray]:
        try:
            (fitted,) = fit(self.trace, (self.model,))
        except ModelError as error:
            raise ChannelError(str(error)) from None
        return fitted.pieces(self._rng)

    def _emulate(self, count: int, places: np.ndarray) -> np.ndarray:
        waiting, known = [self._drawn], len(self._drawn)
        while known < count:
            waiting.append(next(self._pieces))
            known += len(waiting[-1])
        drawn = np.concatenate(waiting)
        self._drawn = drawn[count:]
        return drawn[:count].copy()

    def damage(self, payloads: np.ndarray, hits: np.ndarray) -> np.ndarray:
        """What the ``zero`` and ``flip`` effects leave of payloads ``uint8[n, b]``; hits as ``draw``
        or ``draw_bits`` gave them."""
        bits = hits if self.unit == "bit" else np.where(hits, 0xFF, 0).astype(np.uint8)[:, None]
        if self.effect == "zero":
            return payloads & ~bits
        return payloads ^ bits if self.effect == "flip" else payloads.copy()
