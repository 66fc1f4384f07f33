# SPDX-License-Identifier: GPL-3.0-or-later
"""What the paper's networks give on pictures they were not trained on, and their model card."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ds2c2.evaluation.modelcard import machine, table, write_card
from ds2c2.networks.paper import PaperNetworks
from ds2c2.paper.chain import receive_picture, send_picture
from ds2c2.paper.loop import PaperTrainer
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import to_picture
from ds2c2.training.recipefile import PaperRecipe
from ds2c2.training.samples import SampleStore, centre

LOSSES = (0.0, 0.16)  # the paper's pe_test
MOST_JUDGED = 50  # pictures, as many as the paper tests with
SEED = 1  # of the hits


@dataclass(frozen=True)
class PaperJudgement:
    """Means over ``pictures`` pictures at one ``pe_test``: PSNR in dB of x-hat and x', MS-SSIM (not
    a number below 161 pixels a side), and bit per pixel of r, c and s, the latter two without loss."""

    pe_test: float
    pictures: int
    psnr: float
    base_psnr: float
    ms_ssim: float
    r_bpp: float
    c_bpp: float
    s_bpp: float


@torch.inference_mode()
def judge_paper(
    networks: PaperNetworks, store: SampleStore, recipe: PaperRecipe, indices: Iterable[int], device: torch.device
) -> list[PaperJudgement]:
    """Quality at every ``pe_test`` with the recipe's kind of channel; c and s arrive.

    Pictures have the size that they were trained at; of larger ones the middle is taken.
    """
    data, channel = recipe.data, recipe.channel.channel
    generator = torch.Generator().manual_seed(SEED)
    rows: dict[float, list[tuple[float, ...]]] = {loss: [] for loss in LOSSES}
    for index in indices:
        original, labels = (centre(part, data.width, data.height) for part in store[index])
        sent = send_picture(networks, original, labels)
        area = data.width * data.height
        for loss in LOSSES:
            hits = channel.draw(sent.r_bits, loss, generator).to(device)
            received = channel.through(sent.symbols.flatten(), hits).view_as(sent.symbols)
            picture = receive_picture(networks, sent, received).picture
            rows[loss].append((
                psnr(original, picture), psnr(original, to_picture(sent.base)), ms_ssim(original, picture),
                sent.r_bits / area, sent.c_bits / area, sent.s_bits / area,
            ))  # fmt: skip
    return [PaperJudgement(loss, len(found), *np.mean(found, axis=0)) for loss, found in rows.items() if found]


def write_paper_card(
    path: Path, trainer: PaperTrainer, command: str, about: str, pictures: int, held_out: str, origin: str,
    after: list[PaperJudgement], before: list[PaperJudgement] = (),
) -> Path:  # fmt: skip
    """Write the card beside the weights, ``name.md``."""
    recipe = trainer.recipe
    plan, channel = recipe.training, recipe.channel
    facts = {
        "pictures": about or "not described",
        "of them trained on": f"{pictures}, layout {recipe.data.layout}",
        **({"started from": origin} if origin else {}),
        "phases": f"{', '.join(plan.phases)}, {trainer.steps} steps each, batch {plan.batch}, "
        f"{recipe.data.width}x{recipe.data.height} ({recipe.data.fit})",
        "channel in training": f"{channel.effect}, by {channel.unit}, pe_train {_range(channel.pe_train)}",
        "seed, learning rate, precision": f"{plan.seed}, {plan.learning_rate:g}, {plan.precision}",
        "time": f"{trainer.seconds / 3600:.2f} h, {trainer.processes.count} processes on {machine(trainer.device)}",
        "command": f"`{command}`",
    }
    lines = []
    if after:
        lines += [
            f"Held-out pictures: {after[0].pictures} ({held_out}); bits per pixel: r {after[0].r_bpp:.4f}, "
            f"c {after[0].c_bpp:.4f} and s {after[0].s_bpp:.4f} coded without loss. c and s arrive:",
            "",
            *table(
                ["pe_test", *(["PSNR dB before"] if before else []), "PSNR dB", "MS-SSIM", "PSNR(x, x') dB"],
                [
                    [
                        f"{row.pe_test:.0%}", *([f"{before[i].psnr:.2f}"] if before else []), f"{row.psnr:.2f}",
                        "–" if math.isnan(row.ms_ssim) else f"{row.ms_ssim:.4f}", f"{row.base_psnr:.2f}",
                    ]
                    for i, row in enumerate(after)
                ],
            ),
        ]  # fmt: skip
    lines += ["Recipe:", "", "```json", json.dumps(recipe.as_dict(), indent=1), "```", ""]
    return write_card(path, trainer.networks, "Weights of the `paper` profile,", facts, lines)


def _range(share: tuple[float, ...]) -> str:
    return f"{share[0]:.0%}" if share[0] == share[1] else f"{share[0]:.0%} to {share[1]:.0%}"
