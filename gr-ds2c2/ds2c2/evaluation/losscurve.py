# SPDX-License-Identifier: GPL-3.0-or-later
"""Quality over loss: every picture of a folder at several loss rates, several draws each."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ds2c2.channels.channel import BlockChannel
from ds2c2.codec.codec import Codec
from ds2c2.ends.trial import Trial
from ds2c2.evaluation.distances import DISTANCES, key
from ds2c2.networks.weights import resolve_interleave
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.streamformat import StreamFormat

RULES = ("paper", "air")


@dataclass(frozen=True)
class Measurement:
    """One picture, one loss rate, one draw. PSNR in dB; ``bpp`` is what the N blocks take,
    ``air_bpp`` the same with packet headers; damaged are blocks that arrived and made no sense.
    ``vgg``, ``lpips`` and those of ``DISTANCES`` are perceptual distances, None where they were not asked for."""

    picture: str
    loss: float
    seed: int
    psnr: float
    ms_ssim: float
    base_psnr: float
    concealed: bool
    bpp: float
    air_bpp: float
    base_damaged: int = 0
    enhancement_damaged: int = 0
    vgg: float | None = None
    lpips: float | None = None
    lpips_alex: float | None = None
    lpips_vgg: float | None = None
    dists: float | None = None


def measure_picture(
    path: Path,
    settings: dict,
    rules: str,
    losses: list[float],
    seeds: int,
    effect: str = "erase",
    device: str = "auto",
    unit: str = "block",
    distances: Callable[[np.ndarray, np.ndarray], dict[str, float]] | None = None,
    weights: Path | None = None,
    effort: int = 0,
) -> Iterator[Measurement]:
    """Encode a picture once and receive it at each loss rate, ``seeds`` times.

    ``settings`` are StreamFormat's beside the size; without an interleave the model's profile
    decides it. Paper rules: the base layer carries no
    redundancy and is never hit; air rules: it is hit like the rest and pays for its
    redundancy. ``round(loss * blocks)`` blocks of the frame are hit; with ``unit`` ``bit``
    each bit by itself, with that probability. A frame whose base is
    lost counts with the grey picture that a receiver shows which has nothing else. ``distances``
    gives perceptual ones by their fields' names, of an original and a received ``uint8[H, W, 3]``.
    ``weights`` is the model's file, where it is not to be looked up by its name, ``effort`` the codec's.
    """
    picture = read_picture(path)
    settings = {"interleave": "auto", "model": StreamFormat.model, **settings}
    settings["interleave"] = resolve_interleave(settings["interleave"], weights or settings["model"])
    stream = StreamFormat(picture.shape[1], picture.shape[0], **settings)
    if rules == "paper":
        stream = stream.unprotected()
    codec = Codec(stream, device, weights=weights)
    stream = codec.stream
    encoded = codec.encode(picture, effort=effort)
    base_psnr = psnr(picture, encoded.base_picture)
    trial = Trial(codec, encoded.blocks)
    for loss in losses:
        # Without loss every draw is the same.
        for seed in range(1, (seeds if 0 < loss < 1 else 1) + 1):
            channel = BlockChannel(
                loss=loss,
                model="exact" if unit == "block" else "iid",
                effect=effect,
                seed=seed,
                frame_blocks=stream.blocks,
                base_blocks=stream.base_blocks if rules == "paper" else 0,
                unit=unit,
            )
            sent = trial.sent
            hits = channel.draw(len(sent)) if unit == "block" else channel.draw_bits(*sent.shape)
            erased = hits if effect == "erase" else np.zeros(len(sent), bool)
            decoded = trial.receive(erased, channel.damage(sent, hits))
            shown = trial.shown(decoded)
            yield Measurement(
                picture=path.name,
                loss=loss,
                seed=seed,
                psnr=psnr(picture, shown),
                ms_ssim=ms_ssim(picture, shown),
                base_psnr=base_psnr,
                concealed=decoded.concealed,
                bpp=stream.sent_bpp,
                air_bpp=stream.sent_bpp + 8 * stream.header_bytes * stream.blocks / stream.pixels,
                base_damaged=decoded.base_damaged,
                enhancement_damaged=decoded.enhancement_damaged,
                **(distances(picture, shown) if distances else {}),
            )


def _perceptual(measurements: list[Measurement]) -> list[str]:
    """The perceptual distances that were measured."""
    return [field for field in ("vgg", "lpips", *DISTANCES) if getattr(measurements[0], field) is not None]


def summary(measurements: list[Measurement]) -> list[dict]:
    """Per loss rate: means over pictures (draws averaged first), the worst gain over the base
    picture, and the share of frames whose base was lost."""
    rows = []
    for loss in sorted({m.loss for m in measurements}):
        of_loss = [m for m in measurements if m.loss == loss]
        names = sorted({m.picture for m in of_loss})
        per_picture = [[m for m in of_loss if m.picture == name] for name in names]
        mean = {
            field: float(np.mean([np.mean([getattr(m, field) for m in ms]) for ms in per_picture]))
            for field in ("psnr", "ms_ssim", "base_psnr", "bpp", "air_bpp", *_perceptual(of_loss))
        }
        rows.append(
            {
                "loss": loss,
                **mean,
                "worst_gain": min(m.psnr - m.base_psnr for m in of_loss),
                "concealed": float(np.mean([m.concealed for m in of_loss])),
                "draws": len(of_loss),
            }
        )
    return rows


def as_json(measurements: list[Measurement], name: str, description: str) -> dict:
    """CompressAI's shape (lists over the operating points), loss rates and draws added."""
    rows = summary(measurements)
    return {
        "name": name,
        "description": description,
        "results": {
            "bpp": [row["bpp"] for row in rows],
            "psnr-rgb": [row["psnr"] for row in rows],
            "ms-ssim-rgb": [row["ms_ssim"] for row in rows],
            "loss": [row["loss"] for row in rows],
            "air-bpp": [row["air_bpp"] for row in rows],
            "concealed": [row["concealed"] for row in rows],
            **{key(field): [row[field] for row in rows] for field in _perceptual(measurements)},
        },
        "measurements": [asdict(m) for m in measurements],
    }
