# SPDX-License-Identifier: GPL-3.0-or-later
"""Coefficients of the ``coded`` profile to symbols and their tables, and the step at which they fit.

Symbols that are not sent have table -1; in here all tables stand one higher, so that row 0 of what is
looked up is theirs: no offset, no magnitude but 0, no bits. So nothing has to be picked out first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ds2c2.codec.codeblocks import MOST_SENT
from ds2c2.codec.favour import FAVOUR_COUNTS, FAVOUR_UNIT
from ds2c2.codec.scalemodel import ScaleModel
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
    """Raises nothing; ``copy_table``: from this table on symbols are sent twice. It works where the networks are."""

    def __init__(self, networks: CodedNetworks, copy_table: int):
        self.networks = networks
        self.copy_table = copy_table
        self.scales = ScaleModel(networks)
        rows = networks.symbol_rows.cpu().numpy()
        rows = rows if rows.any() else laplace_rows()
        self.tables = SymbolTables(rows)
        # Of sizes below 1 and of larger ones in turn, so that one look-up finds either.
        offsets = rounding_offsets(rows).astype(np.float32)
        self._offsets = self._tensor([0, 0], offsets.T)
        self._most = self._tensor([0], self.tables.most)
        self._width = self.tables.bits.shape[1]
        self._bits = self._tensor(np.zeros(self._width), self.tables.bits)

    def _tensor(self, absent: Sequence[float], table: np.ndarray) -> Tensor:
        """A flat look-up table ``float32`` on the device, before it what stands for symbols that are not sent."""
        flat = np.concatenate([absent, table.reshape(-1)]).astype(np.float32)
        return torch.from_numpy(flat).to(self.scales.device)

    def cell_steps(self, log_step: int, shifts: np.ndarray | None, cells: int) -> np.ndarray:
        """log2 of the step in every cell, ``int64[cells]``, in 1/256."""
        steps = np.full(cells, log_step, np.int64)
        if shifts is not None:
            steps -= (shifts.reshape(-1) - len(FAVOUR_COUNTS[0]) // 2) * FAVOUR_UNIT
        return np.clip(steps, FINEST, COARSEST)

    def step_sizes(self, steps: np.ndarray, alike: bool) -> torch.Tensor:
        """8-bit levels ``float32[K, cells]`` for ``cell_steps``; ``float32[K, 1]`` where they are all ``alike``."""
        log_steps = torch.from_numpy((steps[:1] if alike else steps).astype(np.float32) / 256)
        return self.networks.steps(log_steps.to(self.networks.log_gain.device).view(1, 1, 1, -1))[0, :, 0]

    def copy_tables(self, index: Tensor) -> Tensor:
        """Tables of the copies: negative where a symbol has none."""
        return torch.where(index >= self.copy_table, index - COPY_DISTANCE, -1)

    def find_step(self, cells: Cells, wanted: float) -> int:
        """The finest step, log2 in 1/256, whose symbols and copies take at most ``wanted`` bits."""
        few = cells.every(SPARSE)
        low, slope = finest_within(lambda step: self._cost(step, few, len(cells) / len(few)), wanted)
        return refine(low, wanted, lambda step: self._cost(step, cells, 1.0), slope)

    def symbols(self, log_step: int, cells: Cells) -> tuple[Tensor, Tensor]:
        """Tables ``int16[2K, cells]`` of symbols and copies, negative where nothing is sent, and what is
        sent, ``int16``."""
        shape = (2 * cells.values.shape[0], len(cells))
        tables, found = (cells.values.new_empty(shape, dtype=torch.int16) for _ in range(2))
        # Symbols and their copies are rows one above the other, channel by channel.
        first, second = tables.chunk(2), found.chunk(2)
        for some, index, scaled in self._scaled(log_step, cells):
            copies = self.copy_tables(index)
            for place, (which, value) in enumerate(((index, scaled), (copies, scaled / 2**COPY_OCTAVES))):
                first[place][:, some] = which
                second[place][:, some] = self._magnitudes(value.abs(), which + 1).copysign_(value)
        return tables, found

    def start(self, scaled: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Coefficients in steps ``float32[K, cells]``, moved so that the nearest whole number is what ``symbols``
        rounds them to."""
        size = np.abs(scaled)
        offset = self._offsets.cpu().numpy().take(2 * (index.astype(np.int64) + 1) + (size >= 1))
        return np.copysign(np.maximum(size - (0.5 - offset), 0), scaled).astype(np.float32)

    def _cost(self, log_step: int, cells: Cells, share: float) -> float:
        """Bits of all symbols and copies, as many times ``share``; infinite where they are more than an index
        can name, which a larger step mends."""
        bits, sent = 0.0, 0
        for _, index, scaled in self._scaled(log_step, cells):
            size, index = scaled.abs_().view(-1), index.view(-1)
            twice = torch.nonzero(index >= self.copy_table)[:, 0]
            once, again = size.index_select(0, twice).div_(2**COPY_OCTAVES), index.index_select(0, twice)
            bits = self._sum_of_bits(size, index + 1) + self._sum_of_bits(once, again.add_(1 - COPY_DISTANCE)) + bits
            sent = torch.count_nonzero(index >= 0) + (len(twice) + sent)
        return float("inf") if float(sent) * share >= MOST_SENT else float(bits) * share

    def _scaled(self, log_step: int, cells: Cells) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Some cells at a time (``ScaleModel.pieces``): which, their tables ``int32[K, n]`` and coefficients in
        steps, ``float32``."""
        steps = self.cell_steps(log_step, cells.shifts, len(cells))
        sizes = self.step_sizes(steps, cells.shifts is None)
        known = cells.last.get(log_step)
        if known is None:
            cells.last.clear()
            cells.last[log_step] = torch.empty_like(cells.values, dtype=torch.int16)
        for some in self.scales.pieces(len(cells)):
            found = self.scales.indices_at(cells.begun[:, some], steps[some]) if known is None else known[:, some]
            cells.last[log_step][:, some] = found
            # As rows of their own, whatever they were cut from.
            index = found.to(torch.int32, memory_format=torch.contiguous_format)
            scaled = torch.empty_like(index, dtype=torch.float32)
            torch.div(cells.values[:, some], sizes if sizes.shape[1] == 1 else sizes[:, some], out=scaled)
            yield some, index, scaled

    def _sum_of_bits(self, size: Tensor, row: Tensor) -> Tensor:
        place = self._magnitudes(size, row).int().add_(row, alpha=self._width)
        return _look_up(self._bits, place).sum(dtype=torch.float64)

    def _magnitudes(self, size: Tensor, row: Tensor) -> Tensor:
        """Whole steps ``float32`` of sizes in steps, towards zero where the bits saved are worth it."""
        found = _look_up(self._offsets, (size >= 1).int().add_(row, alpha=2)).add_(size).floor_()
        return torch.minimum(found, _look_up(self._most, row), out=found)


def _look_up(table: Tensor, places: Tensor) -> Tensor:
    # What take and indexing give, in a third of their time on a processor.
    return table.index_select(0, places.reshape(-1)).view(places.shape)


def finest_within(cost: Callable[[int], float], wanted: float) -> tuple[int, float]:
    """The finest step whose cost is at most ``wanted``, for a cost that falls with the step, COARSEST where
    none is; and how fast the cost falls about there."""
    low, high, guess, slope = FINEST, COARSEST, USUAL_STEP, USUAL_SLOPE
    tried: list[tuple[int, float]] = []
    while low < high:
        if len(tried) > MOST_GUESSES:
            guess = (low + high) // 2
        guess = min(max(guess, low), high - 1)
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
