# SPDX-License-Identifier: GPL-3.0-or-later
"""``coded``: rounded coefficients, range-coded in blocks that each decode alone.

All symbols of a frame stand in one seeded permutation; each block takes as many as fit. The
quantizer's step is searched so that they fill exactly the enhancement's blocks. What a lost
block held reads 0, and the decoder is told so. Needs a channel whose losses are known.
"""

import struct
from functools import cached_property

import numpy as np
import torch

from ds2c2.codec import codeblocks, impliedblocks
from ds2c2.codec.annealing import Annealing, Placed
from ds2c2.codec.baselayer import BaseLayer, BaseLayerError, pack_base
from ds2c2.codec.codeblocks import MOST_SENT, SPARE_BITS
from ds2c2.codec.favour import FAVOUR_COUNTS, FAVOUR_UNIT, cell_favour
from ds2c2.codec.mapcoder import MapError, decode_map, encode_map
from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.codec.scalemodel import ScaleModel
from ds2c2.codec.smallpicture import reduce_picture
from ds2c2.codec.symboltables import SymbolTables, laplace_rows, rounding_offsets
from ds2c2.errors import FormatError, PictureError
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import (
    COPY_MASK,
    COPY_OCTAVES,
    COPY_TABLE,
    MAP_CELLS,
    MAX_ORIENTATION,
    TABLES,
    TABLES_PER_OCTAVE,
    measure_maps,
)
from ds2c2.pictures.pictures import to_tensor
from ds2c2.stream.geometry import REDUCTION
from ds2c2.stream.permutation import seeded_order
from ds2c2.stream.softbits import to_hard
from ds2c2.stream.streamformat import DEFAULT_SURVIVE, StreamFormat

# Side information: log2 of the step in 1/256, symbols a unit of the blocks' counts, and bytes
# of the level map, of the orientation map and of the favour map; the maps; the label map.
SIDE = struct.Struct("!HHHHH")
# 8-bit levels, log2 in 1/256: the finest step loses less than 8-bit pixels do.
FINEST, COARSEST = 2 * 256, 9 * 256
# What is to survive and, from there on, the first table whose symbols are sent twice: from scales of 0.7, 1.0 and
# 1.4 steps on, and none. Of 18 to 66 tried on four Kodak and four smooth pictures at 0.26 bpp, these gave the best
# mean PSNR over losses up to the one that is to survive; neighbours are within 0.05 dB.
COPY_TABLES = ((0.65, COPY_TABLE), (0.4, 24), (0.03, 27), (0.0, TABLES))
# What both maps usually take, bits a place; when they take more, c is coded again.
USUAL_MAP_BITS = 4.5
# The search looks at every seventh cell until the step is nearly known.
SPARSE = 7
USUAL_SLOPE = 0.7 / 256  # natural log of the bits, per 1/256 octave of the step; usual at low rates
# Bits of a block that are on average left over: spare bits, part of a unit, part of a byte.
UNUSED_BITS = SPARE_BITS + 6.0


class CodedProfile(Profile):
    """Raises ``FormatError`` for interleave=bit, which would tear blocks that decode alone."""

    refines = True

    def __init__(self, networks: CodedNetworks, stream: StreamFormat):
        super().__init__(networks, stream)
        if stream.interleave == "bit":
            raise FormatError(
                f"interleave=bit tears the code blocks of model {stream.model_name} (profile coded), which permutes "
                "its symbols itself; use interleave=none, or block to spread bursts over frames"
            )
        self.scales = ScaleModel(networks)
        rows = networks.symbol_rows.cpu().numpy()
        rows = rows if rows.any() else laplace_rows()
        self.tables = SymbolTables(rows)
        self.offsets = rounding_offsets(rows).astype(np.float32)
        self.bits = self.tables.bits.astype(np.float32)
        self.copy_table = copy_table(stream)

    @cached_property
    def _order(self) -> np.ndarray:
        """Of all symbols, channel by channel, and after them of all copies."""
        return seeded_order(self.stream.seed, 2 * self.networks.shape.channels * self.rows * self.columns)

    def encode(
        self,
        picture: np.ndarray,
        side_info: bytes,
        favour: np.ndarray | None,
        labels: np.ndarray | None = None,
        effort: int = 0,
    ) -> EncodedLayers:
        small = reduce_picture(picture, REDUCTION)
        pixels = to_tensor(picture).to(self.device)
        shifts = None if favour is None else cell_favour(favour)
        favour_bytes = b"" if shifts is None else encode_map(shifts, FAVOUR_COUNTS)
        entries = -(-self.rows // MAP_CELLS) * -(-self.columns // MAP_CELLS)
        room = SIDE.size + int(entries * USUAL_MAP_BITS / 8) + len(favour_bytes) + len(side_info)
        room = min(room, self.stream.base_capacity // 2)
        while True:
            base = self.read_base(pack_base(small, bytes(room), self.stream.base_capacity))
            coefficients = self.networks.encoder(pixels - base.picture, base.picture).float()
            maps, coded = self._maps(coefficients)
            needed = SIDE.size + sum(map(len, coded)) + len(favour_bytes) + len(side_info)
            if needed <= room:
                break
            # c gets what is left; if that leaves too little, pack_base says so.
            room = needed + needed // 16
        log_step, symbols, tables = self._fill(coefficients, base.layer, maps, shifts)
        if effort:
            found = self._anneal(effort, log_step, coefficients, base, pixels, maps, shifts)
            log_step, symbols, tables = found or (log_step, symbols, tables)
        enhancement, unit = self._pack(symbols, tables)
        side = SIDE.pack(log_step, unit, *map(len, coded), len(favour_bytes))
        side += b"".join(coded) + favour_bytes + side_info
        # The same budget for c as above, so that the same c comes out.
        container = pack_base(small, side.ljust(room, b"\0"), self.stream.base_capacity)
        return EncodedLayers(container, enhancement, base.picture, base.layer.small_bytes)

    def decode(self, soft: np.ndarray, base: Base) -> tuple[torch.Tensor, int]:
        log_step, unit, maps, shifts = self._read_side(base.layer)
        features = self.scales.features(base.layer.small, maps)
        steps = self._cell_steps(log_step, shifts)
        index = self.scales.indices(features, steps).reshape(-1)
        both = np.concatenate([index, self._copy_tables(index)])
        ordered = both[self._order]
        places = self._order[ordered >= 0]
        symbols, known, damaged = self._unpack(*to_hard(soft), ordered[ordered >= 0], unit)
        if not known.any():
            # Without a symbol the decoder could only guess, at times for the worse.
            return base.picture, damaged
        values = np.zeros(both.shape, np.float32)
        mask = np.ones(both.shape, np.float32)
        values[places] = symbols
        mask[places] = known
        values, copies = np.split(values, 2)
        mask, copied = np.split(mask, 2)
        second = (mask == 0) & (copied > 0) & (index >= self.copy_table)
        values[second] = copies[second] * 2**COPY_OCTAVES
        mask[second] = COPY_MASK
        shape = (1, self.networks.shape.channels, self.rows, self.columns)
        log_steps = torch.from_numpy((steps / 256).astype(np.float32).reshape(1, 1, self.rows, self.columns))
        log_steps = log_steps.to(self.device)
        context = torch.from_numpy((features / 1024).astype(np.float32)).view(1, -1, self.rows, self.columns)
        context = context.to(self.device)
        context[:, -1:] = log_steps / 2
        _, hidden = self.networks.log_scales(context)
        received = torch.from_numpy(values.reshape(shape)).to(self.device) * self.networks.steps(log_steps)
        known_mask = torch.from_numpy(mask.reshape(shape)).to(self.device)
        residual = self.networks.decoder(received, known_mask, hidden, log_steps, base.picture)
        return base.picture + residual, damaged

    def _pack(self, symbols: np.ndarray, tables: np.ndarray) -> tuple[np.ndarray, int]:
        """Blocks ``uint8[N_e, block_size]``, of layout spread with the shares' room left zero, and the unit."""
        stream = self.stream
        if stream.layout == "apart":
            packed, unit, _ = codeblocks.pack(
                symbols, tables, self.tables, stream.enhancement_blocks, stream.block_size
            )
            return packed, unit
        parts, unit, _ = impliedblocks.pack(symbols, tables, self.tables, stream.block_size - stream.share_bytes)
        packed = np.zeros((stream.blocks, stream.block_size), np.uint8)
        for row, share, part in zip(packed, stream.share_bytes.tolist(), parts, strict=True):
            row[share : share + len(part)] = np.frombuffer(part, np.uint8)
        return packed, unit

    def _unpack(
        self, blocks: np.ndarray, arrived: np.ndarray, tables: np.ndarray, unit: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        if self.stream.layout == "apart":
            return codeblocks.unpack(blocks, arrived, tables, self.tables, unit)
        parts = [row[share:].tobytes() for row, share in zip(blocks, self.stream.share_bytes.tolist(), strict=True)]
        return impliedblocks.unpack(parts, arrived, tables, self.tables, unit)

    def _payload_bits(self) -> float:
        """Bits of all blocks that symbols can count on."""
        stream = self.stream
        apart = stream.layout == "apart"
        header = codeblocks.HEADER_BYTES if apart else impliedblocks.header_bytes(stream.blocks)
        return stream.enhancement_bits - stream.enhancement_blocks * (8 * header + UNUSED_BITS)

    def _copy_tables(self, index: np.ndarray) -> np.ndarray:
        """Tables of the copies: negative where a symbol has none."""
        copies = index - COPY_OCTAVES * TABLES_PER_OCTAVE
        return np.where(index >= self.copy_table, copies, -1).astype(index.dtype)

    def _maps(self, coefficients: torch.Tensor) -> tuple[np.ndarray, list[bytes]]:
        maps = measure_maps(coefficients, self.networks.shape.luma)[0].cpu().numpy().astype(np.int64)
        level, orientation = self._counts()
        return maps, [encode_map(maps[0], level), encode_map(maps[1] + MAX_ORIENTATION, orientation)]

    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        counts = (self.networks.level_counts, self.networks.orientation_counts)
        return tuple(np.maximum(c.cpu().numpy(), 1) for c in counts)

    def _read_side(self, layer: BaseLayer) -> tuple[int, int, np.ndarray, np.ndarray | None]:
        try:
            log_step, unit, *sizes = SIDE.unpack_from(layer.side_info)
            if not FINEST <= log_step <= COARSEST or unit == 0 or SIDE.size + sum(sizes) > len(layer.side_info):
                raise BaseLayerError("the base layer holds no side information of profile coded")
            parts, start = [], SIDE.size
            for size in sizes:
                parts.append(layer.side_info[start : start + size])
                start += size
            height, width = -(-self.rows // MAP_CELLS), -(-self.columns // MAP_CELLS)
            level, orientation = self._counts()
            maps = np.stack(
                [
                    decode_map(parts[0], height, width, level),
                    decode_map(parts[1], height, width, orientation) - MAX_ORIENTATION,
                ]
            )
            shifts = decode_map(parts[2], self.rows, self.columns, FAVOUR_COUNTS) if sizes[2] else None
        except (struct.error, MapError) as error:
            raise BaseLayerError(f"the base layer is damaged: {error}") from None
        return log_step, unit, maps, shifts

    def _cell_steps(self, log_step: int, shifts: np.ndarray | None) -> np.ndarray:
        """log2 of the step in every cell, ``int64[cells]``, in 1/256."""
        steps = np.full(self.rows * self.columns, log_step, np.int64)
        if shifts is not None:
            steps -= (shifts.reshape(-1) - len(FAVOUR_COUNTS[0]) // 2) * FAVOUR_UNIT
        return np.clip(steps, FINEST, COARSEST)

    def _fill(
        self, coefficients: torch.Tensor, layer: BaseLayer, maps: np.ndarray, shifts: np.ndarray | None
    ) -> tuple[int, np.ndarray, np.ndarray]:
        """The finest step whose symbols fit the enhancement, with symbols and tables in order."""
        values = coefficients[0].flatten(1).cpu().numpy()
        if not np.isfinite(values).all():
            raise PictureError("the networks gave no finite numbers for this picture; choose other weights")
        features = self.scales.features(layer.small, maps)
        wanted = self._payload_bits()
        cells = np.arange(0, values.shape[1], SPARSE)
        few = (np.ascontiguousarray(values[:, cells]), features[:, cells], cells)
        everything = (values, features, slice(None))

        def cost(log_step: int, part: tuple) -> float:
            bits = self._bits(log_step, shifts, *part)
            if len(bits) * values.shape[1] / part[0].shape[1] >= MOST_SENT:
                return float("inf")  # more than an index can name: a larger step sends fewer
            return float(bits.sum()) * values.shape[1] / part[0].shape[1]

        low, high = FINEST, COARSEST
        while low < high:
            middle = (low + high) // 2
            if cost(middle, few) <= wanted:
                high = middle
            else:
                low = middle + 1
        log_step = self._refine(low, wanted, lambda step: cost(step, everything))
        index, symbols = self._quantize(log_step, shifts, *everything)
        ordered = index.reshape(-1)[self._order]
        sent = ordered >= 0
        return log_step, symbols.reshape(-1)[self._order][sent], ordered[sent]

    @staticmethod
    def _refine(log_step: int, wanted: float, cost) -> int:
        """From a step found on some cells to the finest one that fits, on all: bits fall by
        about the same share with every 1/256 of an octave."""
        best, tried = None, {}
        for _ in range(5):
            tried[log_step] = cost(log_step)
            if tried[log_step] <= wanted and (best is None or log_step < best):
                best = log_step
            slope = USUAL_SLOPE
            if len(tried) > 1:
                (a, x), (b, y) = list(tried.items())[-2:]
                if 0 < x != y > 0 and np.isfinite([x, y]).all():
                    slope = max(0.1 / 256, abs(np.log(x / y) / (b - a)))
            move = np.clip(np.log(max(tried[log_step], 1.0) / wanted) / slope, FINEST - COARSEST, COARSEST - FINEST)
            following = int(np.clip(log_step + np.ceil(move), FINEST, COARSEST))
            if following in tried:
                break
            log_step = following
        # Where nothing fitted, the last symbols are not sent: they read as lost.
        return min(tried, key=lambda step: tried[step]) if best is None else best

    def _anneal(
        self,
        effort: int,
        log_step: int,
        coefficients: torch.Tensor,
        base: Base,
        pixels: torch.Tensor,
        maps: np.ndarray,
        shifts: np.ndarray | None,
    ) -> tuple[int, np.ndarray, np.ndarray] | None:
        """What ``_fill`` gives, refined; None where that is not better. A quarter of the work finds out how many
        bits a refined picture saves, so that the rest goes on at the finer step that these pay for."""
        values = coefficients[0].flatten(1).cpu().numpy()
        features = self.scales.features(base.layer.small, maps)
        survive = DEFAULT_SURVIVE if self.stream.survive is None else self.stream.survive
        with torch.inference_mode(False), torch.enable_grad():
            # Copies, since autograd takes no tensor of inference mode.
            picture, small = pixels.clone(), base.picture.clone()

            def at(step: int) -> tuple[Annealing, np.ndarray, np.ndarray, float]:
                placed, tables, symbols = self._placed(step, shifts, values, features)
                kept = tables[len(symbols) // 2 :]
                repeated = self.bits[kept[kept >= 0], np.abs(placed.copies[kept >= 0])].sum()
                annealing = Annealing(self.networks, self.tables, picture, small, placed, survive)
                return annealing, tables, symbols[: len(symbols) // 2], self._payload_bits() - float(repeated)

            annealing, _, before, budget = at(log_step)
            usual = annealing.judge(annealing.at(before))
            pilot = annealing.run(annealing.placed.scaled, budget, max(1, effort // 4), fill=False)
            saved = float(annealing.cost(pilot.round()).sum()) / budget
            move = round(float(np.clip(np.log(max(saved, 0.1)), -0.4, 0.1)) / USUAL_SLOPE)
            step = int(np.clip(log_step + move, FINEST, COARSEST))
            annealing, tables, _, budget = at(step)
            refined = annealing.run(annealing.placed.scaled, budget, effort, fill=True)
            whole = annealing.fitted(refined, budget)
            if whole is None or annealing.judge(whole) >= usual:
                return None
            symbols = np.concatenate([annealing.symbols(whole), annealing.placed.copies])
        ordered = tables.reshape(-1)[self._order]
        sent = ordered >= 0
        return step, symbols.reshape(-1)[self._order][sent], ordered[sent]

    def _placed(
        self, log_step: int, shifts: np.ndarray | None, values: np.ndarray, features: np.ndarray
    ) -> tuple[Placed, np.ndarray, np.ndarray]:
        """A picture at a step, for annealing: where it stands, and ``_quantize``'s tables and symbols."""
        everything = (values, features, slice(None))
        tables, symbols = self._quantize(log_step, shifts, *everything)
        index, scaled = self._scaled(log_step, shifts, *everything)
        size = np.abs(scaled)
        # To the nearest from here is what the usual rounding gives.
        offset = np.where(size < 1, self.offsets[0][index], self.offsets[1][index])
        start = np.copysign(np.maximum(size - (0.5 - offset), 0), scaled).astype(np.float32)
        steps = self._cell_steps(log_step, shifts)
        grid = (1, -1, self.rows, self.columns)
        log_steps = torch.from_numpy((steps / 256).astype(np.float32)).view(grid).to(self.device)
        context = torch.from_numpy((features / 1024).astype(np.float32)).view(grid).to(self.device)
        context[:, -1:] = log_steps / 2
        with torch.no_grad():
            _, hidden = self.networks.log_scales(context)
            sizes = self.networks.steps(log_steps)
        copied = index >= self.copy_table
        placed = Placed(index, start, copied, symbols[len(index) :], sizes, hidden, log_steps)
        return placed, tables, symbols

    def _scaled(
        self, log_step: int, shifts: np.ndarray | None, values: np.ndarray, features: np.ndarray, cells
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tables ``int16[K, cells]``, negative where nothing is sent, and coefficients in steps, ``float32``."""
        steps = self._cell_steps(log_step, shifts)[cells]
        index = self.scales.indices(features, steps)
        if shifts is None:
            sizes = self.networks.steps(torch.tensor([log_step / 256], device=self.device)).view(-1, 1)
        else:
            log_steps = torch.from_numpy((steps / 256).astype(np.float32)).to(self.device)
            sizes = self.networks.steps(log_steps.view(1, 1, 1, -1))[0, :, 0]
        return index, values / sizes.cpu().numpy()

    def _bits(
        self, log_step: int, shifts: np.ndarray | None, values: np.ndarray, features: np.ndarray, cells
    ) -> np.ndarray:
        """Bits of each symbol and copy that would be sent, in the order of ``_quantize``."""
        index, scaled = self._scaled(log_step, shifts, values, features, cells)
        sent = index >= 0
        index, size = index[sent], np.abs(scaled[sent])
        twice = index >= self.copy_table
        copies = index[twice] - COPY_OCTAVES * TABLES_PER_OCTAVE
        tables, sizes = np.concatenate([index, copies]), np.concatenate([size, size[twice] / 2**COPY_OCTAVES])
        return self.bits[tables, self._magnitudes(sizes, tables)]

    def _quantize(
        self, log_step: int, shifts: np.ndarray | None, values: np.ndarray, features: np.ndarray, cells
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tables ``int16[2K, cells]`` of symbols and copies, negative where nothing is sent,
        and what is sent, ``int16``."""
        index, scaled = self._scaled(log_step, shifts, values, features, cells)
        copies = self._copy_tables(index)
        tables = np.concatenate([index, copies])
        symbols = np.concatenate([self._round(scaled, index), self._round(scaled / 2**COPY_OCTAVES, copies)])
        return tables, symbols

    def _round(self, scaled: np.ndarray, index: np.ndarray) -> np.ndarray:
        magnitude = self._magnitudes(np.abs(scaled), index)
        return np.copysign(magnitude, scaled).astype(np.int16)

    def _magnitudes(self, size: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Whole steps ``int16`` of sizes in steps, towards zero where the bits saved are worth it."""
        offset = np.where(size < 1, self.offsets[0][index], self.offsets[1][index])
        return np.minimum(np.floor(size + offset), self.tables.most[index]).astype(np.int16)


def copy_table(stream: StreamFormat) -> int:
    """From this table on symbols are sent twice: none on a link that loses little, and all large ones
    where much may be lost. ``TABLES`` stands for none."""
    if stream.version == 1:
        return COPY_TABLE
    return next(table for survive, table in COPY_TABLES if stream.survive >= survive)
