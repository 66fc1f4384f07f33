# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card: what weights were made from, how, and what they give."""

import os
import platform
import tempfile
from collections import Counter
from pathlib import Path

import torch

from ds2c2.evaluation.losscurve import Measurement, measure_picture, summary
from ds2c2.pictures import read_picture, write_picture
from ds2c2.training.loop import Trainer
from ds2c2.weights import FOLDER_VARIABLE

CARD_LOSSES = [0.0, 0.16, 0.5, 1.0]
CARD_BPP = 0.26
# Held-out pictures are judged on a central piece of this size: minutes instead of an hour.
JUDGED_SIDE = 256


def judge(weights: Path, held_out: list[Path]) -> list[dict]:
    """Mean quality of finished weights on centre crops of held-out pictures, paper rules."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(weights.resolve().parent)
    measurements: list[Measurement] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate(held_out):
                picture = read_picture(path)
                top, left = ((side - JUDGED_SIDE) // 2 for side in picture.shape[:2])
                if min(top, left) < 0:
                    continue
                piece = picture[top : top + JUDGED_SIDE, left : left + JUDGED_SIDE]
                crop = write_picture(Path(folder) / f"{number:04d}.png", piece)
                settings = {"bpp": CARD_BPP, "model": weights.stem}
                measurements += measure_picture(crop, settings, "paper", CARD_LOSSES, 1)
    finally:
        if before is None:
            del os.environ[FOLDER_VARIABLE]
        else:
            os.environ[FOLDER_VARIABLE] = before
    return summary(measurements)


def write_card(path: Path, trainer: Trainer, about: str, pictures: list[Path], rows: list[dict], command: str) -> Path:
    """Write the card beside the weights, ``name.md``."""
    settings = trainer.settings
    folders = Counter(p.parent.name for p in pictures)
    counted = ", ".join(f"{name}: {count}" for name, count in sorted(folders.items()))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    parameters = sum(p.numel() for p in trainer.networks.parameters())
    lines = [
        f"# {path.stem}",
        "",
        f"Weights of the `binary` profile, {parameters / 1e6:.2f} M parameters, half precision.",
        "",
        "| | |",
        "|---|---|",
        f"| pictures | {about or 'not described'} |",
        f"| of them trained on | {len(pictures)}, by folder {counted} |",
        f"| steps | {trainer.step} of {settings.steps}, batch {settings.batch}, crops of {settings.crop} pixels |",
        f"| seed, learning rate, precision | {settings.seed}, {settings.learning_rate:g}, {settings.precision} |",
        f"| time | {trainer.seconds / 3600:.2f} h on {trainer.device}, {machine} |",
        f"| shape | `{settings.shape.as_dict()}` |",
        f"| command | `{command}` |",
        "",
        f"Held-out pictures (every 40th, centre {JUDGED_SIDE}x{JUDGED_SIDE}), {CARD_BPP:g} bpp, paper rules,",
        "erasure channel, one draw each:",
        "",
        "| lost blocks | PSNR dB | MS-SSIM | base PSNR dB |",
        "|---|---|---|---|",
        *(f"| {r['loss']:.0%} | {r['psnr']:.2f} | {r['ms_ssim']:.4f} | {r['base_psnr']:.2f} |" for r in rows),
        "",
    ]
    path.with_suffix(".md").write_text("\n".join(lines))
    return path.with_suffix(".md")
