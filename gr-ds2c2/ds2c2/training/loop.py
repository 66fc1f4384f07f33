# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of every profile: one pass, all networks, random rate and loss.

What differs between profiles is in ``recipes``; here are the schedule, the average, the
checkpoints.
"""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import nn

from ds2c2.errors import UserError, WeightsError
from ds2c2.networks.binary import BinaryShape
from ds2c2.networks.modelfiles import find_weights
from ds2c2.networks.weights import read_metadata, read_tensors
from ds2c2.stream.geometry import CELL
from ds2c2.training.checkpoint import load_checkpoint, save_checkpoint
from ds2c2.training.core import CHECKPOINT_EVERY, resumes, run_steps
from ds2c2.training.crops import PictureStore, batches_ahead, check_sizes
from ds2c2.training.perceptual import PerceptualRecipe
from ds2c2.training.recipes import Figures, Shape, profile_of, recipe_of
from ds2c2.training.vgg import VggFeatures

CLIP = 1.0
# The last share of the steps lets the learning rate fall to zero; until it begins, a run
# can still be prolonged by resuming it with more steps.
DECAY_SHARE = 0.4
EMA_DECAY = 0.999
# An update starts from weights that stand already and has few steps: it warms up this share.
UPDATE_WARM_UP_SHARE = 0.05
# Names of the base layer's networks begin so. All profiles have them, and an update leaves them as
# they are (the paper's fast update keeps RGAN).
BASE_NETWORKS = "finenets."


@dataclass(frozen=True)
class TrainingSettings:
    """All that a run's result depends on beside the pictures.

    ``start_from`` names the weights that the run starts from, ``update`` says that it is the
    fast update of theirs. ``objective`` is ``mse`` or ``perceptual``, which trains
    the decoder of ``coded`` alone (``ds2c2.training.perceptual``).
    """

    steps: int
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    seed: int = 1
    precision: str = "float32"
    shape: Shape = BinaryShape()
    start_from: str = ""
    update: bool = False
    objective: str = "mse"

    @property
    def profile(self) -> str:
        return profile_of(self.shape)


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step; ``psnr`` of the batch in dB and ``bpp`` of its
    enhancement, smoothed."""

    step: int
    psnr: float
    base_psnr: float
    bpp: float | None = None


def take_weights(networks: nn.Module, model: str | Path) -> tuple[int, int]:
    """Take over every tensor of other weights that is there by name and shape.

    From weights of another profile only the base layer's networks, which are the same in all:
    what else is called alike does another thing. Returns how many were taken and how many the
    networks have. Raises ``WeightsError`` when the weights cannot be read or nothing fits.
    """
    path = find_weights(model)
    common = "" if read_metadata(path)["profile"] == networks.profile else BASE_NETWORKS
    ours = {name: t for name, t in networks.state_dict().items() if name.startswith(common)}
    taken = {name: t for name, t in read_tensors(path).items() if name in ours and ours[name].shape == t.shape}
    if not taken:
        raise WeightsError(f"{path}: no tensor fits the networks of this run; choose other weights to start from")
    networks.load_state_dict(taken, strict=False)
    return len(taken), len(networks.state_dict())


class Trainer:
    """Networks, optimiser and average of a run; ``step`` moves on, ``save`` writes it whole.

    ``taken`` counts the tensors that came from ``start`` and all tensors there are.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        device: torch.device,
        start: str | Path | None = None,
        vgg: VggFeatures | None = None,
    ):
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = device
        self.recipe = recipe_of(settings.profile)()
        if settings.objective != "mse":
            seen = vgg and vgg.to(device, memory_format=torch.channels_last)
            self.recipe = PerceptualRecipe(seen, settings.precision == "bfloat16")
        networks = self.recipe.networks(settings.shape)
        self.recipe.prepare(networks)
        self.taken = take_weights(networks, start) if start else (0, len(networks.state_dict()))
        self.networks = networks.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.networks).requires_grad_(False)
        if settings.update:
            for name, parameter in self.networks.named_parameters():
                parameter.requires_grad_(not name.startswith(BASE_NETWORKS))
        self.groups = self.recipe.groups(self.networks)
        learning = {id(p) for group in self.groups for p in group.parameters}
        for parameter in self.networks.parameters():
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in learning)
        self.optimiser = torch.optim.AdamW(
            [{"params": [p for p in group.parameters if p.requires_grad]} for group in self.groups],
            lr=settings.learning_rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
        )
        self.step = 0
        self.seconds = 0.0

    def learning_rate(self, warm_up: int) -> float:
        """Warm-up, a constant rate, a linear fall to zero."""
        steps = self.settings.steps
        left = (steps - self.step) / max(1.0, DECAY_SHARE * steps)
        if self.settings.update:
            warm_up = max(1, min(warm_up, round(UPDATE_WARM_UP_SHARE * steps)))
        return self.settings.learning_rate * min(1.0, (self.step + 1) / warm_up, left)

    def train_step(self, pictures: torch.Tensor, small: torch.Tensor) -> Figures:
        """One step on crops and their c, both in [-1, 1]."""
        settings, recipe = self.settings, self.recipe
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + self.step)
        for group, state in zip(self.groups, self.optimiser.param_groups, strict=True):
            state["lr"] = self.learning_rate(group.warm_up) * group.factor
        pictures, small = pictures.to(self.device), small.to(self.device)
        noise = 0.0 if settings.update else recipe.noise(self.step, settings.steps)
        mixed = settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            outcome = recipe.forward(self.networks, pictures, small, noise, generator)
        objective, figures = recipe.objective(pictures, *outcome)
        self.optimiser.zero_grad(set_to_none=True)
        objective.backward()
        torch.nn.utils.clip_grad_norm_(self.networks.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.networks.parameters()), 1 - decay)
        return figures

    def save(self, path: Path) -> None:
        """Write a checkpoint whose resumption gives what the unbroken run would give."""
        save_checkpoint(
            path,
            {
                "profile": self.settings.profile,
                "settings": json.dumps(asdict(self.settings)),
                "step": self.step,
                "seconds": self.seconds,
                "networks": self.networks.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "recipe": self.recipe.state_dict(),
            },
        )

    def load(self, path: Path) -> None:
        """Take up a checkpoint. Raises ``WeightsError`` when it belongs to another run."""
        wanted = {"settings", "step", "seconds", "networks", "average", "optimiser"}
        state = load_checkpoint(path, wanted, "", self.device)
        before, ours = json.loads(state["settings"]), json.loads(json.dumps(asdict(self.settings)))
        # A checkpoint from before there were several profiles names none.
        profile = state.get("profile", "binary")
        if profile != self.settings.profile:
            raise WeightsError(
                f"{path}: a checkpoint of the profile {profile!r}, this run is {self.settings.profile!r}; "
                "give the same --profile or start anew"
            )
        # The number of steps may change; everything else must be as it was.
        for field in fields(TrainingSettings):
            was = before.get(field.name, field.default)
            if field.name != "steps" and was != ours[field.name]:
                raise WeightsError(
                    f"{path}: trained with {field.name} = {was or 'none'}, now {ours[field.name] or 'none'}; "
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
        self.recipe.load_state_dict(state.get("recipe", {}))
        self.step, self.seconds = state["step"], state["seconds"]


def train(
    settings: TrainingSettings,
    pictures: list[Path],
    checkpoint: Path | None,
    device: torch.device,
    resume: bool,
    report: Callable[[Progress], None],
    checkpoint_every: int = CHECKPOINT_EVERY,
    stop_after: int | None = None,
    start: str | Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    vgg: VggFeatures | None = None,
) -> Trainer:
    """Train from a list of pictures, with a checkpoint every so many steps and at the end.

    ``stop_after`` ends the run early at that step; the checkpoint then resumes to the same
    result. A fresh run takes what fits from the weights ``start`` and says so. ``vgg`` is what the
    perceptual objective looks with. Without a
    ``checkpoint`` path none is written. Raises ``UserError`` for unfit settings, ``PictureError``
    for a picture smaller than a crop, ``WeightsError`` for a start or checkpoint that does not fit.
    """
    if settings.crop <= 0 or settings.crop % CELL:
        raise UserError(f"--crop {settings.crop}: must be a multiple of {CELL}")
    if not 0 < settings.learning_rate < math.inf:
        raise UserError(
            f"--learning-rate {settings.learning_rate}: must be above 0, such as {TrainingSettings.learning_rate:g}"
        )
    check_sizes(pictures, settings.crop)
    resumed = resumes(checkpoint, resume, say)
    trainer = Trainer(settings, device, None if resumed else start, vgg)
    if resumed:
        trainer.load(checkpoint)
    elif start:
        say(f"took {trainer.taken[0]} of {trainer.taken[1]} tensors from {settings.start_from or start}")
    recipe = trainer.recipe
    store = PictureStore(pictures, recipe.copies)
    batches = batches_ahead(store, settings.seed, settings.batch, settings.crop, recipe.qualities)
    smooth: list[float] = []

    def after(_batch: tuple, figures: Figures, _due: bool) -> None:
        nonlocal smooth
        found = [f for f in figures if f is not None]
        smooth = [0.98 * s + 0.02 * f for s, f in zip(smooth, found, strict=True)] if smooth else found
        psnr, base_psnr = (10 * float(torch.log10(torch.tensor(4.0 / e))) for e in smooth[:2])
        report(Progress(trainer.step, psnr, base_psnr, *smooth[2:]))

    last = min(settings.steps, stop_after or settings.steps)
    run_steps(trainer, batches, last, after, checkpoint, checkpoint_every)
    return trainer
