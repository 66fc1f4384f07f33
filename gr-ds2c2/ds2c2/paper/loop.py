# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of the paper's networks: phases, two optimisers, checkpoints, several processes.

Every draw depends on seed, phase and the number of the picture in the run, so the result is the
same after a resumption and, within rounding, in any number of processes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ds2c2.errors import WeightsError
from ds2c2.networks.paper import PaperNetworks, make_discnets
from ds2c2.paper.trainingpass import TRAINED, DiscPass, Outcome, PaperPass
from ds2c2.training.checkpoint import load_checkpoint, save_checkpoint
from ds2c2.training.core import resumes, run_steps
from ds2c2.training.loop import take_weights
from ds2c2.training.processes import Processes
from ds2c2.training.recipefile import PaperRecipe
from ds2c2.training.samples import SampleStore, samples_ahead
from ds2c2.training.vgg import VggFeatures

SMOOTHING = 0.98  # of the figures shown, a step
# Apart by more than any run has seeds, so that phases draw differently.
PHASE_SEEDS = 1_000_003


@dataclass(frozen=True)
class PaperProgress:
    """Where a run stands after a step: of ``phase``, its ``step`` of ``steps``; the batch's figures,
    and ``psnr`` of x-hat (None in ``rgan``) and of x' in dB, smoothed."""

    phase: str
    step: int
    steps: int
    figures: dict[str, float]
    psnr: float | None
    base_psnr: float


def _decibels(error: float) -> float:
    """PSNR of a mean squared error of pixels in [-1, 1]."""
    return 10 * float(torch.log10(torch.tensor(4.0 / max(error, 1e-12))))


class PaperTrainer:
    """Networks and optimisers of a run. ``samples``: pictures of an epoch; ``taken`` counts the tensors
    that came from ``start`` and all there are. Raises ``WeightsError`` for a start that does not fit."""

    def __init__(
        self,
        recipe: PaperRecipe,
        samples: int,
        processes: Processes,
        vgg: VggFeatures | None = None,
        start: str | Path | None = None,
    ):
        torch.manual_seed(recipe.training.seed)
        self.recipe, self.processes = recipe, processes
        self.device = processes.device
        networks = PaperNetworks(recipe.networks)
        # Convolutions in bfloat16 are twice as fast in channels_last. In float32 it would make sums
        # depend on how many pictures of a batch a process has.
        mixed = recipe.training.precision == "bfloat16"
        self.layout = torch.channels_last if mixed else torch.contiguous_format
        self.discnets = make_discnets(recipe.networks).to(self.device, memory_format=self.layout)
        self.taken = take_weights(networks, start) if start else (0, len(networks.state_dict()))
        self.networks = networks.to(self.device, memory_format=self.layout)
        self.vgg = vgg.to(self.device) if vgg is not None else None
        self.steps = recipe.training.steps_of(samples)  # of every phase
        self.share = processes.share(recipe.training.batch)
        self.seconds = 0.0
        self._begin(0)

    @property
    def phase(self) -> str:
        return self.recipe.training.phases[self.phase_number]

    @property
    def ended(self) -> bool:
        return self.phase_number == len(self.recipe.training.phases) - 1 and self.step == self.steps

    @property
    def seed(self) -> int:
        """Of the phase's draws."""
        return self.recipe.training.seed + PHASE_SEEDS * self.phase_number

    def numbers(self, step: int) -> range:
        """This process's draws of a step's batch, counted over the phase."""
        first = step * self.recipe.training.batch
        return range(first + self.share.start, first + self.share.stop)

    def _begin(self, phase_number: int) -> None:
        """Start a phase with fresh optimisers."""
        recipe = self.recipe
        self.phase_number, self.step = phase_number, 0
        for name, parameter in self.networks.named_parameters():
            parameter.requires_grad_(name.startswith(TRAINED[self.phase]))
        weights = recipe.losses
        adversarial = self.phase != "enhancement" and bool(weights.gan or weights.feature_matching)
        self.discnets.requires_grad_(adversarial)
        channel = recipe.channel.channel
        generator = PaperPass(self.phase, self.networks, self.discnets, weights, channel, self.vgg)
        self._generator = self.processes.wrap(generator)
        self._disc = self.processes.wrap(DiscPass(self.discnets, weights)) if adversarial and self.discnets else None
        trained = [p for p in self.networks.parameters() if p.requires_grad]
        self.optimiser = self._adam(trained)
        self.disc_optimiser = self._adam(list(self.discnets.parameters())) if self._disc is not None else None

    def _adam(self, parameters: list) -> torch.optim.Optimizer:
        plan = self.recipe.training
        return torch.optim.Adam(parameters, lr=plan.learning_rate, betas=tuple(plan.betas))

    def next_phase(self) -> bool:
        """Begin the next phase when one has ended and another follows."""
        if self.step < self.steps or self.phase_number + 1 == len(self.recipe.training.phases):
            return False
        self._begin(self.phase_number + 1)
        return True

    def _draws(self, step: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The binarizer's noise and the channel's hits for this process's pictures."""
        shape, settings = self.recipe.networks, self.recipe.channel
        latents = (shape.channels, height >> shape.depth, width >> shape.depth)
        symbols = latents[0] * latents[1] * latents[2]
        noise, hits = [], []
        low, high = settings.pe_train
        for number in self.numbers(step):
            generator = torch.Generator().manual_seed((self.seed << 32) + number)
            noise.append(torch.rand(latents, generator=generator) * 2 - 1)
            share = low + (high - low) * float(torch.rand(1, generator=generator))
            hits.append(settings.channel.draw(symbols, share, generator))
        return torch.stack(noise).to(self.device), torch.stack(hits).to(self.device)

    def train_step(self, pictures: Tensor, labels: Tensor) -> Outcome:
        """One step on this process's share of a batch: pictures in [-1, 1] and label maps."""
        rate = self.recipe.training.rate(self.step, self.steps)
        noise, hits = self._draws(self.step, *pictures.shape[2:])
        pictures = pictures.to(self.device, memory_format=self.layout)
        labels = labels.to(self.device)
        mixed = self.recipe.training.precision == "bfloat16"
        # The generators' step leaves the discriminators as they are, and theirs the generators.
        self.discnets.requires_grad_(False)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            outcome = self._generator(pictures, labels, noise, hits)
        self._descend(self.optimiser, outcome.objective, rate)
        if self._disc is not None:
            self.discnets.requires_grad_(True)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
                loss = self._disc(outcome.labels, pictures, outcome.pictures)
            self._descend(self.disc_optimiser, loss, rate)
            outcome.figures["rgan/disc"] = loss.detach()
        self.step += 1
        return outcome

    @staticmethod
    def _descend(optimiser: torch.optim.Optimizer, objective: Tensor, rate: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        objective.backward()
        optimiser.step()

    def save(self, path: Path) -> None:
        """Write a checkpoint whose resumption gives what the unbroken run would give."""
        state = {
            "profile": "paper",
            "recipe": self.recipe.as_dict(),
            "steps": self.steps,
            "phase": self.phase_number,
            "step": self.step,
            "seconds": self.seconds,
            "networks": self.networks.state_dict(),
            "discnets": self.discnets.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "disc_optimiser": self.disc_optimiser.state_dict() if self.disc_optimiser else None,
        }
        save_checkpoint(path, state)

    def load(self, path: Path) -> None:
        """Take up a checkpoint. Raises ``WeightsError`` when it belongs to another run."""
        state = load_checkpoint(path, {"recipe", "steps", "discnets"}, " of the paper's networks", self.device)
        before, steps = state["recipe"], state["steps"]
        changed = [
            (f"{section}.{key}", before.get(section, {}).get(key), value)
            for section, values in self.recipe.as_dict().items()
            for key, value in values.items()
            if before.get(section, {}).get(key) != value
        ]
        if changed:
            name, was, now = changed[0]
            raise WeightsError(f"{path}: trained with {name} = {was}, now {now}; give the same or start anew")
        if steps != self.steps:
            raise WeightsError(
                f"{path}: a run of {steps} steps a phase, now {self.steps}: the pictures are not as many as they were"
            )
        self._begin(state["phase"])
        self.networks.load_state_dict(state["networks"])
        self.discnets.load_state_dict(state["discnets"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.disc_optimiser:
            self.disc_optimiser.load_state_dict(state["disc_optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


def train_paper(
    recipe: PaperRecipe,
    store: SampleStore,
    processes: Processes,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Callable[[PaperProgress], None] = lambda progress: None,
    look: Callable[[PaperTrainer, Tensor, Outcome], None] = lambda trainer, pictures, outcome: None,
    vgg: VggFeatures | None = None,
    stop_after: int | None = None,
    start: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> PaperTrainer:
    """Train through all phases, with a checkpoint every so many steps and at the end of each.

    ``report`` takes every step's progress, ``look`` a batch and what came of it whenever a
    checkpoint is due. ``stop_after`` counts steps over all phases; the checkpoint then resumes to
    the same result. A fresh run takes what fits from the weights ``start``; ``say`` takes lines about
    where the run begins. Raises
    ``WeightsError`` for a start or checkpoint that does not fit, ``DataError`` and
    ``PictureError`` for samples.
    """
    resumed = resumes(checkpoint, resume, say)
    trainer = PaperTrainer(recipe, len(store), processes, vgg, None if resumed else start)
    if resumed:
        trainer.load(checkpoint)
    elif start:
        say(f"took {trainer.taken[0]} of {trainer.taken[1]} tensors from {start}")
    while True:
        _train_phase(trainer, store, checkpoint, report, look, stop_after)
        done = trainer.phase_number * trainer.steps + trainer.step
        if trainer.ended or (stop_after and done >= stop_after) or not trainer.next_phase():
            return trainer


def _train_phase(trainer, store, checkpoint, report, look, stop_after) -> None:
    before = trainer.phase_number * trainer.steps
    last = min(trainer.steps, (stop_after or before + trainer.steps) - before)
    smooth: dict[str, float] = {}

    def after(batch: tuple, outcome: Outcome, due: bool) -> None:
        figures = {name: float(value) for name, value in outcome.figures.items()}
        for name in ("error", "base_error"):
            if name in figures:
                was = smooth.get(name, figures[name])
                smooth[name] = SMOOTHING * was + (1 - SMOOTHING) * figures[name]
        psnr = _decibels(smooth["error"]) if "error" in smooth else None
        base_psnr = _decibels(smooth["base_error"])
        report(PaperProgress(trainer.phase, trainer.step, trainer.steps, figures, psnr, base_psnr))
        if due:
            look(trainer, batch[0], outcome)

    batches = samples_ahead(store, trainer.seed, trainer.numbers)
    run_steps(trainer, batches, last, after, checkpoint if trainer.processes.first else None)
