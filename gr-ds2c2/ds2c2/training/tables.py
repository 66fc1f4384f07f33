# SPDX-License-Identifier: GPL-3.0-or-later
"""The entropy coder's tables, counted over training pictures after the last step."""

from pathlib import Path

import numpy as np
import torch

from ds2c2.codec.mapcoder import fit_counts
from ds2c2.codec.scalemodel import ScaleModel
from ds2c2.codec.smallpicture import decode_small, encode_small, reduce_picture
from ds2c2.codec.symboltables import laplace_rows, rounding_offsets, row_of
from ds2c2.errors import PictureError
from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import (
    DIRECT,
    LEVEL_VALUES,
    MAX_ORIENTATION,
    ORIENTATION_VALUES,
    TABLES,
    measure_maps,
)
from ds2c2.pictures.pictures import read_picture, to_tensor
from ds2c2.stream.geometry import CELL
from ds2c2.training.coded import draw_step

PICTURES = 150  # at most; each is cut to SIDE pixels
SIDE = 384
STEPS_A_PICTURE = 3
SMALL_QUALITIES = (50, 85)
# Symbols that the Laplacian of a table's own scale is worth beside the counted ones.
PRIOR = 300.0


@torch.inference_mode()
def fit_tables(networks: CodedNetworks, pictures: list[Path], seed: int = 1) -> int:
    """Count symbols and maps and write the networks' tables in place; returns the pictures used.

    Raises ``PictureError`` when no picture holds four cells each way.
    """
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    chosen = rng.permutation(len(pictures))[:PICTURES]
    scales = ScaleModel(networks)
    device = networks.log_gain.device
    counts = np.zeros((TABLES, DIRECT + 1))
    beyond = np.zeros(TABLES)  # sum of |k| - DIRECT of the larger ones
    price = rounding_offsets(laplace_rows())
    levels, orientations = [], []
    for number in chosen:
        picture = read_picture(pictures[number])[:SIDE, :SIDE]
        height, width = (side // CELL * CELL for side in picture.shape[:2])
        if min(height, width) < 4 * CELL:
            continue
        picture = np.ascontiguousarray(picture[:height, :width])
        quality = int(rng.integers(*SMALL_QUALITIES, endpoint=True))
        small = decode_small(encode_small(reduce_picture(picture, 8), quality))
        base = networks.base_picture(to_tensor(small).to(device))
        found = networks.encoder(to_tensor(picture).to(device) - base, base).float()
        maps = measure_maps(found, networks.shape.luma)[0].cpu().numpy().astype(np.int64)
        levels.append(maps[0])
        orientations.append(maps[1] + MAX_ORIENTATION)
        features = scales.features(small, maps)
        for log_step in draw_step(STEPS_A_PICTURE, generator):
            index = scales.indices(features, round(float(log_step) * 256)).cpu().numpy()
            scaled = (found / networks.steps(log_step.view(1).to(device)))[0].flatten(1).cpu().numpy()
            sent = index >= 0
            table, size = index[sent], np.abs(scaled[sent])
            magnitude = np.floor(size + np.where(size < 1, price[0][table], price[1][table])).astype(np.int64)
            np.add.at(counts, (table, np.minimum(magnitude, DIRECT)), 1)
            np.add.at(beyond, table, np.maximum(magnitude - DIRECT, 0))
    if not levels:
        raise PictureError(f"no training picture is {4 * CELL} pixels or more each way; the tables need some")
    networks.symbol_rows.copy_(torch.from_numpy(_rows(counts, beyond)))
    networks.level_counts.copy_(torch.from_numpy(fit_counts(levels, LEVEL_VALUES)))
    networks.orientation_counts.copy_(torch.from_numpy(fit_counts(orientations, ORIENTATION_VALUES)))
    return len(levels)


def _rows(counts: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    rows = np.zeros((TABLES, DIRECT + 2), np.int32)
    for table, start in enumerate(laplace_rows().astype(np.float64)):
        prior = start[: DIRECT + 1] / start[: DIRECT + 1].sum()
        mass = counts[table] + PRIOR * prior
        tail, tail_sum = counts[table, DIRECT], beyond[table]
        # A geometric tail of mean m falls off by m / (m + 1).
        laplace_ratio = start[DIRECT + 1] / 65536
        laplace_mean = laplace_ratio / (1 - laplace_ratio)
        mean = (tail_sum + 20 * laplace_mean) / (tail + 20)
        rows[table] = row_of(mass, mean / (mean + 1))
    return rows
