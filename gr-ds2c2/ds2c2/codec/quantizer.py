# SPDX-License-Identifier: GPL-3.0-or-later
"""Coefficients of the ``coded`` profile to symbols and their tables, and the step at which they fit.

Symbols that are not sent have table -1; in here all tables stand one higher, so that row 0 of what is
looked up is theirs: no offset, no magnitude but 0, no bits. So nothing has to be picked out first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.codeblocks import MOST_SENT
from ds2c2.codec.favour import FAVOUR_COUNTS, FAVOUR_UNIT
from ds2c2.codec.scalemodel import ScaleModel, pieces
from ds2c2.codec.symboltables import SymbolTables, laplace_rows, rounding_offsets
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import COPY_OCTAVES, TABLES_PER_OCTAVE

# 8-bit levels, log2 in 1/256: the finest step loses less than 8-bit pixels do.
FINEST, COARSEST = 2 * 256, 9 * 256
# The search looks at every seventh cell until the step is nearly known.
SPARSE = 7
USUAL_STEP = 6 * 256  # where the search begins
USUAL_SLOPE = 0.7 / 256  # natural log of the bits, per 1/256 octave of the step; usual at low rates
LEAST_APART = 4  # steps between which a slope on a seventh of the cells is more than noise
FAR_APART = 8  # steps between one that is too fine and one that fits, from which on the range is halved
NEAR_ENOUGH = 2  # on a seventh of the cells; on all of them it is some steps further
MOST_GUESSES = 8  # by the slope; after them the range is halved
COPY_DISTANCE = COPY_OCTAVES * TABLES_PER_OCTAVE  # between a symbol's table and its copy's


@dataclass(frozen=True)
class Cells:
    """Coefficients ``float32[K, cells]`` of some of a picture's cells, what the scale model knows of them
    (``ScaleModel.begin``), and their shares of the favour map, None where there is none."""

    values: Tensor
    begun: Tensor
    shifts: np.ndarray | None
    # Tables at the step that was looked at last: once found it is the one to quantize with.
    last: dict[int, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.values.shape[1]

    def every(self, count: int) -> "Cells":
        shifts = None if self.shifts is None else self.shifts[::count]
        return Cells(self.values[:, ::count].contiguous(), self.begun[:, ::count].contiguous(), shifts)


class Quantizer:
    """Works where the networks are, and its tensors are there. Raises nothing; ``copy_table``: from this table on
    symbols are sent twice."""

    def __init__(self, networks: CodedNetworks, copy_table: int):
        self.networks = networks
        self.copy_table = copy_table
        self.scales = ScaleModel(networks)
        rows = networks.symbol_rows.cpu().numpy()
        rows = rows if rows.any() else laplace_rows()
        self.tables = SymbolTables(rows)
        # Of sizes below 1 and of larger ones in turn, so that one look-up finds either.
        self._offsets = self._lookup(np.concatenate([[0, 0], rounding_offsets(rows).T.reshape(-1)]))
        self._most = self._lookup(np.concatenate([[0], self.tables.most]))
        self._width = self.tables.bits.shape[1]
        self._bits = self._lookup(np.concatenate([np.zeros(self._width), self.tables.bits.reshape(-1)]))

    def _lookup(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.scales.device)

    def cell_steps(self, log_step: int, shifts: np.ndarray | None, cells: int) -> np.ndarray:
        """log2 of the step in every cell, ``int64[cells]``, in 1/256."""
        steps = np.full(cells, log_step, np.int64)
        if shifts is not None:
            steps -= (shifts.reshape(-1) - len(FAVOUR_COUNTS[0]) // 2) * FAVOUR_UNIT
        return np.clip(steps, FINEST, COARSEST)

    def step_sizes(self, steps: np.ndarray, alike: bool) -> Tensor:
        """8-bit levels ``float32[K, cells]`` for ``cell_steps``; ``float32[K, 1]`` where they are all ``alike``."""
        log_steps = torch.from_numpy((steps[:1] if alike else steps).astype(np.float32) / 256)
        return self.networks.steps(log_steps.to(self.scales.device).view(1, 1, 1, -1))[0, :, 0]

    def copy_tables(self, index: Tensor) -> Tensor:
        """Tables of the copies: negative where a symbol has none."""
        return torch.where(index >= self.copy_table, index - COPY_DISTANCE, -1)

    def find_step(self, cells: Cells, wanted: float) -> int:
        """The finest step, log2 in 1/256, whose symbols and copies take at most ``wanted`` bits."""
        few = cells.every(SPARSE)
        low, slope = finest_within(lambda step: self._cost(step, few, len(cells) / len(few)), wanted, NEAR_ENOUGH)
        return refine(low, wanted, lambda step: self._cost(step, cells, 1.0), slope)

    def symbols(self, log_step: int, cells: Cells) -> tuple[Tensor, Tensor]:
        """Tables ``int16[2K, cells]`` of symbols and copies, negative where nothing is sent, and what is
        sent, ``int16``."""
        shape = (2 * cells.values.shape[0], len(cells))
        tables, found = (torch.empty(shape, dtype=torch.int16, device=self.scales.device) for _ in range(2))
        # Symbols and their copies are rows one above the other, channel by channel.
        first, second = tables.chunk(2), found.chunk(2)
        for some, index, scaled in self._scaled(log_step, cells):
            copies = self.copy_tables(index)
            for place, (which, value) in enumerate(((index, scaled), (copies, scaled / 2**COPY_OCTAVES))):
                first[place][:, some] = which
                second[place][:, some] = torch.copysign(self._magnitudes(value.abs(), which + 1), value)
        return tables, found

    def _cost(self, log_step: int, cells: Cells, share: float) -> float:
        """Bits of all symbols and copies, as many times ``share``; infinite where they are more than an index
        can name, which a larger step mends."""
        bits, sent = 0.0, 0
        for _, index, scaled in self._scaled(log_step, cells):
            live = places_of(index >= 0)  # at usual rates a quarter or less
            table = index.view(-1).index_select(0, live)
            size = scaled.view(-1).index_select(0, live).abs_()
            twice = places_of(table >= self.copy_table)
            copied = table.index_select(0, twice).add_(1 - COPY_DISTANCE)
            bits += self._sum_of_bits(size.index_select(0, twice).mul_(0.5**COPY_OCTAVES), copied)
            bits += self._sum_of_bits(size, table.add_(1))
            sent += len(live) + len(twice)
        return float("inf") if sent * share >= MOST_SENT else bits * share

    def _scaled(self, log_step: int, cells: Cells) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Some cells at a time: which, their tables ``int32[K, n]`` and coefficients in steps, ``float32``."""
        steps = self.cell_steps(log_step, cells.shifts, len(cells))
        sizes = self.step_sizes(steps, cells.shifts is None)
        steps = torch.from_numpy(steps).to(self.scales.device)
        known = cells.last.get(log_step)
        if known is None:
            cells.last.clear()
            cells.last[log_step] = torch.empty(cells.values.shape, dtype=torch.int16, device=self.scales.device)
        for some in pieces(len(cells), self.scales.device):
            found = self.scales.indices_at(cells.begun[:, some], steps[some]) if known is None else known[:, some]
            cells.last[log_step][:, some] = found
            yield some, found.int(), cells.values[:, some] / (sizes if sizes.shape[1] == 1 else sizes[:, some])

    def _sum_of_bits(self, size: Tensor, row: Tensor) -> float:
        place = self._magnitudes(size, row).int().add_(row, alpha=self._width)
        return float(self._bits.index_select(0, place.view(-1)).sum(dtype=torch.float64))

    def _offset(self, size: Tensor, row: Tensor) -> Tensor:
        """What is added to sizes in steps before they are rounded down; ``row`` ``int32``, tables plus 1."""
        return self._offsets.index_select(0, (2 * row + (size >= 1)).view(-1)).view(size.shape)

    def _magnitudes(self, size: Tensor, row: Tensor) -> Tensor:
        """Whole steps ``float32`` of sizes in steps, towards zero where the bits saved are worth it."""
        found = self._offset(size, row).add_(size).floor_()
        return torch.minimum(found, self._most.index_select(0, row.view(-1)).view(size.shape))


def places_of(mask: Tensor) -> Tensor:
    """Where ``mask``, flattened, is true: ``int64``, rising."""
    if mask.device.type == "cpu":  # a third of the time that torch takes
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero()[:, 0]


def finest_within(cost: Callable[[int], float], wanted: float, near: int = 0) -> tuple[int, float]:
    """The finest step whose cost is at most ``wanted``, for a cost that falls with the step, COARSEST where
    none is; and how fast the cost falls about there. With ``near`` a step that should be it, where one so near
    was tried."""
    low, high, guess, slope = FINEST, COARSEST, USUAL_STEP, USUAL_SLOPE
    tried: list[tuple[int, float]] = []
    while low < high:
        if len(tried) > MOST_GUESSES:
            guess = (low + high) // 2
        guess = min(max(guess, low), high - 1)
        if tried and abs(guess - tried[-1][0]) <= near:
            return guess, slope
        tried.append((guess, cost(guess)))
        if tried[-1][1] <= wanted:
            high = guess
        else:
            low = guess + 1
        if len(tried) > 1 and abs(tried[-1][0] - tried[-2][0]) >= LEAST_APART:
            slope = _slope(tried, slope)
        guess += _move(tried[-1][1], wanted, slope)
    return low, slope


def refine(log_step: int, wanted: float, cost: Callable[[int], float], slope: float) -> int:
    """From a step found on some cells to the finest one that fits, on all: bits fall by about the same share,
    ``slope``, with every 1/256 of an octave."""
    best, tried = None, {}
    for _ in range(5):
        tried[log_step] = cost(log_step)
        if tried[log_step] <= wanted and (best is None or log_step < best):
            best = log_step
        if len(tried) > 1:
            slope = _slope(list(tried.items()), slope)
        following = min(max(log_step + _move(tried[log_step], wanted, slope), FINEST), COARSEST)
        if following in tried:
            break
        log_step = following
    # The cost of some pictures is no straight line at all, and a guess may have gone far beyond.
    low = max((step for step in tried if best is not None and step < best), default=best)
    while best is not None and best - low > FAR_APART:
        middle = (low + best) // 2
        tried[middle] = cost(middle)
        low, best = (low, middle) if tried[middle] <= wanted else (middle, best)
    # Where nothing fitted, the last symbols are not sent: they read as lost.
    return min(tried, key=lambda step: tried[step]) if best is None else best


def _slope(tried: list[tuple[int, float]], otherwise: float) -> float:
    """By how much the natural log of the cost falls with every 1/256 of an octave, from the last two tried."""
    (a, x), (b, y) = tried[-2:]
    known = 0 < x != y > 0 and np.isfinite([x, y]).all()
    return max(0.1 / 256, abs(np.log(x / y) / (b - a))) if known else otherwise


def _move(cost: float, wanted: float, slope: float) -> int:
    """From a step that costs ``cost`` to where the cost should be ``wanted``."""
    move = np.log(max(cost, 1.0) / wanted) / slope
    return int(np.ceil(np.clip(move, FINEST - COARSEST, COARSEST - FINEST)))
