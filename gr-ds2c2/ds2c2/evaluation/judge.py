# SPDX-License-Identifier: GPL-3.0-or-later
"""What finished weights give on pictures that they were not trained on."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ds2c2.codec.smallpicture import decode_small, encode_small, reduce_picture
from ds2c2.evaluation.losscurve import Measurement, measure_picture, summary
from ds2c2.networks.profiles import PROFILES
from ds2c2.networks.weights import choose_device, load_networks, weights_profile
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import read_picture, to_picture, to_tensor, write_picture
from ds2c2.stream.geometry import CELL, REDUCTION
from ds2c2.training.coded import forward

CARD_LOSSES = (0.0, 0.16, 0.5, 1.0)
CARD_BPP = 0.26
# Held-out pictures are judged on a central piece of this size: minutes instead of an hour.
JUDGED_SIDE = 256
# log2 of the quantizer steps at which ``coded`` is judged: 0.26 bpp lies between them.
JUDGED_LOG_STEPS = (3.5, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0)
JUDGED_QUALITY = 70  # WebP quality of c, near the middle of those it was trained with
SEED = 1  # of the erased symbols
# How the two ways judge, in words for the card.
CODEC_RULES = f"centre {JUDGED_SIDE}x{JUDGED_SIDE}, {CARD_BPP:g} bpp, paper rules,\nerasure channel, one draw each"
TRAINING_RULES = (
    f"centre {JUDGED_SIDE}x{JUDGED_SIDE} or less, interpolated to {CARD_BPP:g} bpp\n"
    f"over the quantizer's steps; an ideal entropy coder's rate and c at WebP quality {JUDGED_QUALITY};\n"
    "symbols erased one by one, base layer never hit"
)


@dataclass(frozen=True)
class Judgement:
    """Means over ``pictures`` pictures at one loss rate: PSNR in dB at ``bpp`` bits a pixel.

    ``ms_ssim`` is None for ``coded``, whose ``curve`` has the points (log2 of the step, bpp,
    PSNR) between which its PSNR was interpolated.
    """

    loss: float
    pictures: int
    bpp: float
    psnr: float
    base_psnr: float
    ms_ssim: float | None = None
    curve: tuple[tuple[float, float, float], ...] = ()


def judge(
    weights: Path, pictures: Iterable[Path], losses: tuple[float, ...] = CARD_LOSSES, device: str = "auto"
) -> list[Judgement]:
    """Mean quality of a weights file on centre pieces of pictures, one judgement a loss rate.

    ``binary`` goes through the codec under paper rules (base layer never hit, blocks erased);
    pictures with a side below 256 are left out. ``coded`` goes through the training's forward
    pass: true rounding, the rate of an ideal entropy coder and the bytes of c, symbols erased
    one by one, no blocks. Nothing to judge by gives an empty list.
    """
    return PROFILES[weights_profile(weights)].load("judge")(weights, pictures, losses, device)


def judge_by_codec(weights: Path, pictures: Iterable[Path], losses: tuple[float, ...], device: str) -> list[Judgement]:
    """``judge`` of profile binary."""
    measurements: list[Measurement] = []
    settings = {"bpp": CARD_BPP, "model": weights.stem}
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(pictures):
            piece = _centre(read_picture(path))
            if min(piece.shape[:2]) < JUDGED_SIDE:
                continue
            crop = write_picture(Path(folder) / f"{number:04d}.png", piece)
            measurements += measure_picture(crop, settings, "paper", list(losses), 1, device=device, weights=weights)
    return [
        Judgement(
            row["loss"],
            len({m.picture for m in measurements}),
            row["bpp"],
            row["psnr"],
            row["base_psnr"],
            row["ms_ssim"],
        )
        for row in summary(measurements)
    ]


def _centre(picture: np.ndarray) -> np.ndarray:
    """The central piece: at most JUDGED_SIDE each way, whole cells."""
    height, width = (min(side, JUDGED_SIDE) // CELL * CELL for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


@torch.inference_mode()
def judge_by_training(
    weights: Path, pictures: Iterable[Path], losses: tuple[float, ...], device: str
) -> list[Judgement]:
    """``judge`` of profile coded."""
    device = choose_device(device)
    networks = load_networks(weights, device)
    # A picture is sent once for every loss and step, as one batch.
    points = [(loss, log_step) for loss in losses for log_step in JUDGED_LOG_STEPS]
    loss, log_step = (torch.tensor(values, device=device) for values in zip(*points, strict=True))
    rates, qualities, bases = [], [], []
    for path in pictures:
        piece = _centre(read_picture(path))
        data = encode_small(reduce_picture(piece, REDUCTION), JUDGED_QUALITY)
        batch = [
            to_tensor(part).to(device).expand(len(points), -1, -1, -1).contiguous(memory_format=torch.channels_last)
            for part in (piece, decode_small(data))
        ]
        received, base, rate = forward(networks, *batch, log_step, loss, torch.Generator().manual_seed(SEED))
        rates.append((rate + 8 * len(data) / (piece.shape[0] * piece.shape[1])).tolist())
        qualities.append([psnr(piece, to_picture(one[None])) for one in received])
        bases.append(psnr(piece, to_picture(base[:1])))
    if not rates:
        return []
    rates, qualities = (np.mean(values, axis=0).reshape(len(losses), -1) for values in (rates, qualities))
    judgements = []
    for loss, bpp, quality in zip(losses, rates, qualities, strict=True):
        curve = tuple(zip(JUDGED_LOG_STEPS, bpp.tolist(), quality.tolist(), strict=True))
        judgements.append(Judgement(loss, len(bases), *at_rate(curve, CARD_BPP), float(np.mean(bases)), curve=curve))
    return judgements


def at_rate(curve: tuple[tuple[float, float, float], ...], bpp: float) -> tuple[float, float]:
    """Rate and PSNR of a curve (log2 of the step, bpp, PSNR) at ``bpp``: linear over the
    logarithm of the rate, and the nearest end's rate where the curve does not reach it."""
    rates, qualities = np.array(sorted((rate, quality) for _, rate, quality in curve)).T
    rate = float(np.clip(bpp, rates[0], rates[-1]))
    return rate, float(np.interp(np.log(rate), np.log(rates), qualities))
