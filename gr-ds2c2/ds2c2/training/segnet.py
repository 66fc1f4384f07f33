# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of our small SegNet from pictures with label maps: cross-entropy, void left out."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ds2c2.errors import WeightsError
from ds2c2.networks.segnet import SegNet
from ds2c2.pictures.pictures import to_tensor
from ds2c2.training.checkpoint import load_checkpoint, save_checkpoint
from ds2c2.training.core import resumes, run_steps
from ds2c2.training.recipefile import SegNetRecipe
from ds2c2.training.samples import SampleStore, samples_ahead

POWER = 0.9  # of the learning rate's fall (Zhao et al., 2017)
WEIGHT_DECAY = 1e-4


class SegNetTrainer:
    """Network and optimiser of a run; ``samples``: pictures of an epoch."""

    def __init__(self, recipe: SegNetRecipe, samples: int, device: torch.device):
        torch.manual_seed(recipe.training.seed)
        self.recipe, self.device = recipe, device
        # Channels last: a step is a quarter faster on a CPU.
        self.networks = SegNet(recipe.networks).to(device, memory_format=torch.channels_last)
        plan = recipe.training
        self.optimiser = torch.optim.AdamW(self.networks.parameters(), plan.learning_rate, weight_decay=WEIGHT_DECAY)
        self.steps = plan.steps_of(samples)
        self.step, self.seconds = 0, 0.0

    def train_step(self, pictures: Tensor, labels: Tensor) -> float:
        """One step; returns the loss in nats a pixel."""
        rate = self.recipe.training.learning_rate * (1 - self.step / self.steps) ** POWER
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        wanted = labels.to(self.device).long()
        void = self.recipe.networks.classes
        logits = self.networks(pictures.to(self.device, memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, wanted.clamp(max=void), ignore_index=void, reduction="sum")
        loss = loss / (wanted < void).sum().clamp(min=1)  # of nothing but void, 0
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Write a checkpoint whose resumption gives what the unbroken run would give."""
        state = {"recipe": self.recipe.as_dict(), "steps": self.steps, "step": self.step, "seconds": self.seconds,
                 "networks": self.networks.state_dict(), "optimiser": self.optimiser.state_dict()}  # fmt: skip
        save_checkpoint(path, state)

    def load(self, path: Path) -> None:
        """Take up a checkpoint. Raises ``WeightsError`` when it belongs to another run."""
        state = load_checkpoint(path, {"recipe", "steps", "networks", "optimiser"}, " of a SegNet", self.device)
        if state["recipe"] != self.recipe.as_dict() or state["steps"] != self.steps:
            raise WeightsError(f"{path}: of a run with another recipe or other pictures; give the same or start anew")
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


def train_segnet(
    recipe: SegNetRecipe,
    store: SampleStore,
    device: torch.device,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    stop_after: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> SegNetTrainer:
    """Train with a checkpoint every so many steps and at the end; ``report`` takes step, steps, loss, ``say`` a
    line where it was to go on and begins anew.

    Raises ``WeightsError`` for a checkpoint of another run, ``PictureError`` for samples.
    """
    trainer = SegNetTrainer(recipe, len(store), device)
    if resumes(checkpoint, resume, say):
        trainer.load(checkpoint)
    batch = recipe.training.batch
    batches = samples_ahead(store, recipe.training.seed, lambda step: range(step * batch, (step + 1) * batch))
    last = min(trainer.steps, stop_after or trainer.steps)
    trainer.networks.train()
    run_steps(trainer, batches, last, lambda _batch, loss, _due: report(trainer.step, trainer.steps, loss), checkpoint)
    return trainer


@torch.inference_mode()
def judge_segnet(
    networks: SegNet, store: SampleStore, indices: Iterable[int], device: torch.device
) -> tuple[float, float, list[float]]:
    """Share of right pixels, mean intersection over union, and the latter of every class (not a
    number for one that neither is nor is seen anywhere); void does not count."""
    classes = networks.shape.classes
    confusion = np.zeros((classes, classes), np.int64)
    for index in indices:
        picture, wanted = store[index]
        seen = networks(to_tensor(picture).to(device))[0].argmax(0).cpu().numpy()
        counted = wanted < classes
        np.add.at(confusion, (wanted[counted], seen[counted]), 1)
    right = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - right
    with np.errstate(invalid="ignore"):
        overlap = right / union
    return float(right.sum() / max(1, confusion.sum())), float(np.nanmean(overlap)), overlap.tolist()
