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
from torch import Tensor

from ds2c2.codec import codeblocks, impliedblocks
from ds2c2.codec.baselayer import BaseLayer, BaseLayerError, pack_base, with_side_info
from ds2c2.codec.codeblocks import SPARE_BITS
from ds2c2.codec.favour import FAVOUR_COUNTS, cell_favour
from ds2c2.codec.mapcoder import MapError, decode_map, encode_map
from ds2c2.codec.profiles.profile import Base, EncodedLayers, Profile
from ds2c2.codec.quantizer import COARSEST, FINEST, Cells, Quantizer, places_of
from ds2c2.codec.refinement import Refinement, place
from ds2c2.codec.smallpicture import reduce_picture
from ds2c2.errors import PictureError
from ds2c2.networks.captured import Graphs
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.modelfiles import check_interleave
from ds2c2.networks.precision import picture_precision, wanted_precision
from ds2c2.networks.scales import (
    COPY_MASK,
    COPY_OCTAVES,
    COPY_TABLE,
    MAP_CELLS,
    MAX_ORIENTATION,
    TABLES,
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
# What is to survive and, from there on, the first table whose symbols are sent twice: from scales of 0.7, 1.0 and
# 1.4 steps on, and none. Of 18 to 66 tried on four Kodak and four smooth pictures at 0.26 bpp, these gave the best
# mean PSNR over losses up to the one that is to survive; neighbours are within 0.05 dB.
COPY_TABLES = ((0.65, COPY_TABLE), (0.4, 24), (0.03, 27), (0.0, TABLES))
# What both maps usually take, bits a place; when they take more, c is coded again.
USUAL_MAP_BITS = 4.5
# Bits of a block that are on average left over: spare bits, part of a unit, part of a byte.
UNUSED_BITS = SPARE_BITS + 6.0
PLACES_AT_ONCE = 1 << 18


class CodedProfile(Profile):
    """Raises ``FormatError`` for interleave=bit, which would tear blocks that decode alone."""

    def __init__(self, networks: CodedNetworks, stream: StreamFormat):
        super().__init__(networks, stream)
        check_interleave(stream, networks.profile)
        self.precision = wanted_precision(self.device)
        self.graphs = Graphs(self.device)
        self.quantizer = Quantizer(networks, copy_table(stream))
        self.scales, self.tables = self.quantizer.scales, self.quantizer.tables

    def base_picture(self, small: np.ndarray) -> torch.Tensor:
        with picture_precision(self.device, self.precision):
            return self.graphs.run(self.networks.base_picture, to_tensor(small).to(self.device))

    @cached_property
    def _order(self) -> Tensor:
        """Of all symbols, channel by channel, and after them of all copies, ``int32``, where the networks are."""
        count = 2 * self.networks.shape.channels * self.rows * self.columns
        return torch.from_numpy(seeded_order(self.stream.seed, count, np.int32)).to(self.device)

    def _in_order(self, tables: Tensor) -> tuple[Tensor, Tensor]:
        """Tables ``int16`` of all symbols and copies to the places of those that are sent, ``int32``, in the
        order of sending, and their tables."""
        places, found, tables = [], [], tables.view(-1)
        for part in self._order.split(PLACES_AT_ONCE):  # what comes in between stays small
            table = tables.index_select(0, part)
            sent = places_of(table >= 0)
            places.append(part.index_select(0, sent))
            found.append(table.index_select(0, sent))
        return torch.cat(places), torch.cat(found)

    def encode(
        self,
        picture: np.ndarray,
        side_info: bytes,
        favour: np.ndarray | None,
        labels: np.ndarray | None = None,
        effort: int = 0,
    ) -> EncodedLayers:
        small = reduce_picture(picture, REDUCTION)
        shifts = None if favour is None else cell_favour(favour)
        # No bytes say that there is no map; a zero at the end says nothing.
        favour_bytes = b"" if shifts is None else encode_map(shifts, FAVOUR_COUNTS) or b"\0"
        entries = -(-self.rows // MAP_CELLS) * -(-self.columns // MAP_CELLS)
        room = SIDE.size + int(entries * USUAL_MAP_BITS / 8) + len(favour_bytes) + len(side_info)
        room = min(room, self.stream.base_capacity // 2)
        while True:
            container = pack_base(small, bytes(room), self.stream.base_capacity)
            base = self.read_base(container)
            residual = to_tensor(picture).to(self.device).sub_(base.picture)
            with picture_precision(self.device, self.precision):
                coefficients = self.graphs.run(self.networks.encoder, residual, base.picture).float()
            del residual
            maps, coded = self._maps(coefficients)
            needed = SIDE.size + sum(map(len, coded)) + len(favour_bytes) + len(side_info)
            if needed <= room:
                break
            # c gets what is left; if that leaves too little, pack_base says so.
            room = needed + needed // 16
        log_step, symbols, tables = self._fill(coefficients, base.layer, maps, shifts)
        if effort:
            pixels = to_tensor(picture).to(self.device)
            found = self._refine(effort, log_step, coefficients, base, pixels, maps, shifts)
            symbols, tables = found or (symbols, tables)
        enhancement, unit = self._pack(symbols, tables)
        side = SIDE.pack(log_step, unit, *map(len, coded), len(favour_bytes))
        side += b"".join(coded) + favour_bytes + side_info
        container = with_side_info(container, side.ljust(room, b"\0"))
        return EncodedLayers(container, enhancement, base.picture, base.layer.small_bytes)

    def decode(self, soft: np.ndarray, base: Base) -> tuple[torch.Tensor, int]:
        log_step, unit, maps, shifts = self._read_side(base.layer)
        features = self.scales.features(base.layer.small, maps)
        steps = self.quantizer.cell_steps(log_step, shifts, self.rows * self.columns)
        index = self.scales.indices(features, torch.from_numpy(steps).to(self.device))
        heard, damaged = self._values(*to_hard(soft), index, unit)
        if heard is None:
            # Without a symbol the decoder could only guess, at times for the worse.
            return base.picture, damaged
        received, known = heard
        received *= self.quantizer.step_sizes(steps, shifts is None)
        shape = (1, -1, self.rows, self.columns)
        log_steps = torch.from_numpy((steps / 256).astype(np.float32)).to(self.device).view(shape)
        context = (features / 1024).float().view(shape)
        context[:, -1:] = log_steps / 2
        with picture_precision(self.device, self.precision):
            hidden = self.graphs.run(self.networks.scale_features, context)
            residual = self.graphs.run(
                self.networks.decoder, received.view(shape), known.view(shape), hidden, log_steps, base.picture
            )
        return residual.add_(base.picture), damaged

    def _values(
        self, blocks: np.ndarray, arrived: np.ndarray, index: Tensor, unit: int
    ) -> tuple[tuple[Tensor, Tensor] | None, int]:
        """Blocks ``uint8[N_e, block_size]`` and every symbol's table ``int16[K, cells]`` to symbols in steps,
        0 where unknown, and how well they are known, both ``float32[K, cells]``; None where no symbol is
        known. And how many blocks made no sense."""
        places, ordered = self._in_order(torch.cat([index, self.quantizer.copy_tables(index)]))
        symbols, known, damaged = self._unpack(blocks, arrived, ordered.cpu().numpy(), unit)
        if not known.any():
            return None, damaged
        places, count = places.long(), 2 * index.numel()
        found, heard = torch.zeros(count, device=self.device), torch.zeros(count, dtype=torch.bool, device=self.device)
        found.index_copy_(0, places, torch.from_numpy(symbols.astype(np.float32)).to(self.device))
        heard.index_copy_(0, places, torch.from_numpy(known).to(self.device))
        (values, copied), (one, other) = (x.view(2, *index.shape) for x in (found, heard))
        # What is not sent is known to be 0.
        mask = (one | (index < 0)).float()
        alone = other & ~one
        values = torch.where(alone, copied * 2**COPY_OCTAVES, values)
        mask.masked_fill_(alone, COPY_MASK)
        return (values, mask), damaged

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

    def _fill(
        self, coefficients: torch.Tensor, layer: BaseLayer, maps: np.ndarray, shifts: np.ndarray | None
    ) -> tuple[int, np.ndarray, np.ndarray]:
        """The finest step whose symbols fit the enhancement, with symbols and tables in order."""
        values = coefficients[0].flatten(1)
        if not values.isfinite().all():
            raise PictureError("the networks gave no finite numbers for this picture; choose other weights")
        cells = self._cells(values, layer, maps, shifts)
        log_step = self.quantizer.find_step(cells, self._payload_bits())
        tables, symbols = self.quantizer.symbols(log_step, cells)
        return log_step, *self._sent(symbols, tables)

    def _sent(self, symbols: Tensor, tables: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Symbols and tables of what is sent, in order, ``int16``."""
        places, ordered = self._in_order(tables)
        return symbols.view(-1).index_select(0, places).cpu().numpy(), ordered.cpu().numpy()

    def _cells(self, values: Tensor, layer: BaseLayer, maps: np.ndarray, shifts: np.ndarray | None) -> Cells:
        begun = self.scales.begin(self.scales.features(layer.small, maps))
        return Cells(values.contiguous(), begun, None if shifts is None else shifts.reshape(-1))

    def _refine(
        self,
        effort: int,
        log_step: int,
        coefficients: torch.Tensor,
        base: Base,
        pixels: torch.Tensor,
        maps: np.ndarray,
        shifts: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Symbols and tables as ``_fill`` gives them, refined in ``effort`` steps; None where that is not better."""
        cells = self._cells(coefficients[0].flatten(1), base.layer, maps, shifts)
        features = self.scales.features(base.layer.small, maps)
        tables, usual = (x.cpu().numpy() for x in self.quantizer.symbols(log_step, cells))
        symbols, copies = np.split(usual, 2)
        survive = DEFAULT_SURVIVE if self.stream.survive is None else self.stream.survive
        with torch.inference_mode(False), torch.enable_grad():
            placed = place(self.quantizer, log_step, cells, features, tables, copies, (self.rows, self.columns))
            repeated = tables[len(copies) :]
            budget = self._payload_bits()
            budget -= float(self.tables.bits[repeated[repeated >= 0], np.abs(copies[repeated >= 0])].sum())
            # Copies, since autograd takes no tensor of inference mode.
            refinement = Refinement(
                self.networks, self.tables, pixels.clone(), base.picture.clone(), placed, survive, budget
            )
            before = refinement.at(symbols)
            found = refinement.run(before, effort)
            if found is None or refinement.judge(found) >= refinement.judge(before):
                return None
            symbols = np.concatenate([refinement.symbols(found), copies])
        return self._sent(*(torch.from_numpy(x).to(self.device) for x in (symbols, tables)))


def copy_table(stream: StreamFormat) -> int:
    """From this table on symbols are sent twice: none on a link that loses little, and all large ones
    where much may be lost. ``TABLES`` stands for none."""
    if stream.version == 1:
        return COPY_TABLE
    return next(table for survive, table in COPY_TABLES if stream.survive >= survive)
