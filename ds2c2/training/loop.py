# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of the ``binary`` profile: one pass, all networks, random rate and loss."""

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch.nn import functional as F

from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.binary import BinaryNetworks, BinaryShape
from ds2c2.training.channel_draw import through_channel
from ds2c2.training.crops import BatchAhead, PictureStore

# MSE of the received picture against MSE of the base picture (EXPERIMENTS: 5 to 1).
BASE_WEIGHT = 0.2
BETAS = (0.9, 0.95)
CLIP = 1.0
WARM_UP_STEPS = 300
# The last share of the steps lets the learning rate fall to zero; until it begins, a run
# can still be prolonged by resuming it with more steps.
DECAY_SHARE = 0.4
# The binarizer's noise fades out over the first share of the steps: first gradients that
# mean something, then the hard decisions that inference makes.
NOISE_SHARE = 0.3
EMA_DECAY = 0.999


@dataclass(frozen=True)
class TrainingSettings:
    """All that a run's result depends on beside the pictures."""

    steps: int
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    seed: int = 1
    precision: str = "float32"
    shape: BinaryShape = BinaryShape()


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step; ``psnr`` of the batch in dB, smoothed."""

    step: int
    psnr: float
    base_psnr: float


class Trainer:
    """Networks, optimiser and average of a run; ``step`` moves on, ``state`` saves it whole."""

    def __init__(self, settings: TrainingSettings, device: torch.device):
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = device
        self.networks = BinaryNetworks(settings.shape).to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.networks.parameters(), lr=settings.learning_rate, betas=BETAS)
        self.step = 0
        self.seconds = 0.0

    def learning_rate(self) -> float:
        left = (self.settings.steps - self.step) / max(1.0, DECAY_SHARE * self.settings.steps)
        return self.settings.learning_rate * min(1.0, (self.step + 1) / WARM_UP_STEPS, left)

    def train_step(self, pictures: torch.Tensor, small: torch.Tensor) -> tuple[float, float]:
        """One step; returns the mean squared errors of x-hat and x' (pixels in [-1, 1])."""
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        pictures, small = pictures.to(self.device), small.to(self.device)
        mixed = settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            base = self.networks.base_picture(small)
            latents = self.networks.latents(pictures, base).float()
            noise = None
            amplitude = 1.0 - self.step / (NOISE_SHARE * settings.steps)
            uniform = torch.rand(latents.shape, generator=generator).to(self.device) * 2 - 1
            noise = uniform * max(0.0, amplitude)
            symbols = through_channel(binarize(latents, noise), generator)
            received = self.networks.picture(symbols, base)
        error = F.mse_loss(received.float(), pictures)
        base_error = F.mse_loss(base.float(), pictures)
        self.optimiser.zero_grad(set_to_none=True)
        (error + BASE_WEIGHT * base_error).backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.networks.parameters()), 1 - decay)
        return error.item(), base_error.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint whose resumption gives what the unbroken run would give."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "settings": json.dumps(asdict(self.settings)),
                "step": self.step,
                "seconds": self.seconds,
                "networks": self.networks.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            part,
        )
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Take up a checkpoint. Raises ``WeightsError`` when it belongs to another run."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            before = json.loads(state["settings"])
            missing = {"step", "seconds", "networks", "average", "optimiser"} - set(state)
            if missing:
                raise KeyError(*sorted(missing))
            ours = json.loads(json.dumps(asdict(self.settings)))
        except Exception as error:
            # torch's own words are a page long and advise to read pickles; only the kind is said.
            raise WeightsError(
                f"{path}: not a checkpoint that can be resumed ({type(error).__name__}); start without it"
            ) from None
        # The number of steps may change; everything else must be as it was.
        for field in fields(TrainingSettings):
            if field.name != "steps" and before[field.name] != ours[field.name]:
                raise WeightsError(
                    f"{path}: trained with {field.name} = {before[field.name]}, now {ours[field.name]}; "
                    "give the same or start anew"
                )
        falls_from = (1 - DECAY_SHARE) * min(before["steps"], ours["steps"])
        if before["steps"] != ours["steps"] and state["step"] > falls_from:
            raise WeightsError(
                f"{path}: at step {state['step']} the learning rate of a run of {before['steps']} or "
                f"{ours['steps']} steps is falling already; resume with --steps {before['steps']}"
            )
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


def train(
    settings: TrainingSettings,
    pictures: list[Path],
    checkpoint: Path,
    device: torch.device,
    resume: bool,
    report: Callable[[Progress], None],
    checkpoint_every: int = 500,
    stop_after: int | None = None,
) -> Trainer:
    """Train from a list of pictures, with a checkpoint every so many steps and at the end.

    ``stop_after`` ends the run early at that step; the
    checkpoint then resumes to the same result. Raises ``UserError`` for unfit settings.
    """
    if settings.crop % 16:
        raise UserError(f"--crop {settings.crop}: must be a multiple of 16")
    trainer = Trainer(settings, device)
    if resume and checkpoint.exists():
        trainer.load(checkpoint)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    batches = BatchAhead(PictureStore(pictures), settings.seed, settings.batch, settings.crop)
    smooth: list[float] | None = None
    last = min(settings.steps, stop_after or settings.steps)
    try:
        while trainer.step < last:
            start = time.monotonic()
            errors = trainer.train_step(*batches(trainer.step))
            trainer.seconds += time.monotonic() - start
            smooth = [0.98 * s + 0.02 * e for s, e in zip(smooth, errors, strict=True)] if smooth else list(errors)
            psnr, base_psnr = (10 * float(torch.log10(torch.tensor(4.0 / e))) for e in smooth)
            report(Progress(trainer.step, psnr, base_psnr))
            if trainer.step % checkpoint_every == 0 or trainer.step == last:
                trainer.save(checkpoint)
    finally:
        batches.close()
    return trainer
