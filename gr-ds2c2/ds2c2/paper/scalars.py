# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures and pictures of a run for TensorBoard, where the optional package is installed."""

from pathlib import Path

import numpy as np
from torch import Tensor

from ds2c2.errors import UserError
from ds2c2.paper.loop import PaperProgress, PaperTrainer
from ds2c2.paper.trainingpass import Outcome
from ds2c2.pictures.pictures import to_picture

EVERY = 10  # steps between figures


class Scalars:
    """Writes event files that TensorBoard reads. Raises ``UserError`` when the package is missing."""

    def __init__(self, folder: Path):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "--tensorboard needs the package tensorboardX: pip install 'gr-ds2c2[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder))

    def report(self, progress: PaperProgress, phase_number: int) -> None:
        """Figures of every tenth step, and of a phase's last one; steps count over all phases."""
        if progress.step % EVERY and progress.step != progress.steps:
            return
        step = phase_number * progress.steps + progress.step
        for name, value in progress.figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.add_scalar("psnr/base", progress.base_psnr, step)
        if progress.psnr is not None:
            self._writer.add_scalar("psnr/received", progress.psnr, step)

    def look(self, trainer: PaperTrainer, pictures: Tensor, outcome: Outcome) -> None:
        """The batch's first picture: x, x' and, where the phase has one, x-hat, side by side."""
        shown = [pictures, outcome.pictures[-1], *([] if outcome.received is None else [outcome.received])]
        row = np.concatenate([to_picture(part[:1].detach().clamp(-1, 1)) for part in shown], axis=1)
        step = trainer.phase_number * trainer.steps + trainer.step
        self._writer.add_image("x, x', x-hat", row, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()
