# SPDX-License-Identifier: GPL-3.0-or-later
"""What is peculiar to training a profile: its draws, its objective, its groups of parameters.

The loop asks a recipe for a forward pass (under mixed precision where that is wanted), then
for the objective (always float32), and keeps the recipe's state in its checkpoints.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ds2c2.errors import UserError
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.binary import BinaryNetworks, BinaryShape
from ds2c2.networks.coded import CodedNetworks, CodedShape
from ds2c2.networks.profiles import PROFILES
from ds2c2.networks.weightstorage import round_as_stored
from ds2c2.stream.geometry import LEVELS
from ds2c2.training.channel_draw import through_channel
from ds2c2.training.coded import LEAST_LOG_STEP, draw_loss, draw_step, forward
from ds2c2.training.tables import fit_tables

Shape = BinaryShape | CodedShape


@dataclass(frozen=True)
class Group:
    """Parameters that learn at ``factor`` times the run's rate after ``warm_up`` steps."""

    parameters: list[nn.Parameter]
    factor: float
    warm_up: int


class Figures(NamedTuple):
    """What a step came to: mean squared errors of x-hat and x' (pixels in [-1, 1]), bits a
    pixel of the enhancement where the profile has a rate of its own."""

    error: float
    base_error: float
    bpp: float | None = None


class BinaryRecipe:
    """One pass through all networks at a random rate and loss; squared errors."""

    networks = BinaryNetworks
    batch = 8
    crop = 128
    betas = (0.9, 0.95)
    weight_decay = 0.01
    # WebP qualities of c that 0.015 to 0.06 bpp of base layer come to on photographs.
    qualities = (40, 95)
    copies: tuple[float, ...] = ()
    # Of the fast update: some minutes on two CPU cores.
    update_steps = 600
    update_rate = 1e-4

    WARM_UP_STEPS = 300
    # MSE of the received picture against MSE of the base picture, 5 to 1.
    BASE_WEIGHT = 0.2
    # The binarizer's noise fades out over the first share of the steps: first gradients that
    # mean something, then the hard decisions that inference makes.
    NOISE_SHARE = 0.3

    def prepare(self, networks: BinaryNetworks) -> None:
        """Start the networks as their constructors do."""

    def noise(self, step: int, steps: int) -> float:
        """Amplitude of the binarizer's noise after ``step`` of ``steps`` steps."""
        return max(0.0, 1.0 - step / (self.NOISE_SHARE * steps))

    def groups(self, networks: BinaryNetworks) -> list[Group]:
        return [Group(list(networks.parameters()), 1.0, self.WARM_UP_STEPS)]

    def forward(
        self, networks: BinaryNetworks, pictures: Tensor, small: Tensor, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """x-hat and x', with the binarizer's noise at this amplitude."""
        base = networks.base_picture(small)
        latents = networks.latents(pictures, base).float()
        uniform = torch.rand(latents.shape, generator=generator).to(latents.device) * 2 - 1
        symbols = through_channel(binarize(latents, uniform * noise), generator)
        return networks.picture(symbols, base), base

    def objective(self, pictures: Tensor, received: Tensor, base: Tensor) -> tuple[Tensor, Figures]:
        error = F.mse_loss(received.float(), pictures)
        base_error = F.mse_loss(base.float(), pictures)
        return error + self.BASE_WEIGHT * base_error, Figures(error.item(), base_error.item())

    def complete(self, networks: BinaryNetworks, pictures: list[Path], seed: int, storage: str) -> None:
        """Nothing is left to do after the last step."""

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing to take up."""


class RunningMeans:
    """A mean for each bin: of all values at first, then forgetting by ``LEAST_WEIGHT``."""

    LEAST_WEIGHT = 0.01

    def __init__(self, *shape: int):
        self.mean = torch.zeros(shape)
        self.count = torch.zeros(shape)

    def add(self, index: tuple[Tensor, ...], values: Tensor) -> Tensor:
        """Take up ``values[B]`` at the bins ``index`` (a tensor ``[B]`` for each dimension), one
        after the other; returns the bins' means afterwards, ``[B]``."""
        for *place, value in zip(*(i.tolist() for i in index), values.tolist(), strict=True):
            place = tuple(place)
            weight = max(self.LEAST_WEIGHT, 1 / (self.count[place].item() + 1))
            self.count[place] += 1
            self.mean[place] += weight * (value - self.mean[place])
        return self.mean[index]


class CodedRecipe:
    """One pass at a random quantizer step and loss; error and rate at the step's own price.

    A coarse step under heavy loss has a hundred times the squared error of a fine one without:
    summed as they are, the coarse ones would own the gradient. So each sample's objective is
    divided by the mean error of its bin of step and loss: dB count the same everywhere.

    The price of a bit is fixed by the step. Divided by a running mean of its own instead, the
    rate has no anchor: under loss a bit buys less, and within 1500 steps the rate at every
    step fell to a fifth, along the curve and off its end.
    """

    networks = CodedNetworks
    batch = 6
    crop = 160
    betas = (0.9, 0.98)
    weight_decay = 0.0
    # WebP qualities of c that about 0.02 bpp of base layer come to on photographs.
    qualities = (50, 85)
    # Large pictures are seen reduced as well: their own pixels are smoother than most.
    copies = (2 / 3, 0.45)
    # Of the fast update: some minutes on two CPU cores.
    update_steps = 400
    update_rate = 2e-4

    # Squared error that a bit a pixel is worth, in squared steps, over three colours. Without
    # dead zone a bit is worth 0.116 squared steps at high rates, and more at low ones.
    PRICE = 0.15 / 3
    # A symbol that does not arrive buys nothing; what is left at the least.
    LEAST_ARRIVING = 0.05
    # A tenth of the received picture's term where x' has a squared error of 300, 23.4 dB.
    BASE_WEIGHT = 0.1 / 300
    # Bins of the running means: half octaves of the step, and classes of loss.
    STEP_BINS = 9
    LOSS_EDGES = (0.001, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9)
    # The transforms start as a DCT, near their optimum: a full rate would only shake them.
    TRANSFORM_FACTOR = 0.06
    # The scale network is small, starts from nothing and all rates depend on it.
    SCALE_FACTOR = 2.0
    WARM_UP_STEPS = 600
    SCALE_WARM_UP_STEPS = 50
    # log2 of the scales before the first step: most coefficients are small.
    FIRST_LOG_SCALE = -1.5

    def __init__(self):
        self.errors = RunningMeans(self.STEP_BINS, len(self.LOSS_EDGES) + 1)

    def prepare(self, networks: CodedNetworks) -> None:
        """Start the scale network where most coefficients are."""
        nn.init.constant_(networks.scale3.bias, self.FIRST_LOG_SCALE)

    def noise(self, step: int, steps: int) -> float:
        """None: symbols are rounded as at inference from the first step on."""
        return 0.0

    def groups(self, networks: CodedNetworks) -> list[Group]:
        named = dict(networks.named_parameters())
        scales = [name for name in named if name.startswith("scale") or name == "log_gain"]
        transforms = [name for name in named if name.endswith("transform")]
        rest = [name for name in named if name not in {*scales, *transforms}]
        return [
            Group([named[name] for name in rest], 1.0, self.WARM_UP_STEPS),
            Group([named[name] for name in transforms], self.TRANSFORM_FACTOR, self.WARM_UP_STEPS),
            Group([named[name] for name in scales], self.SCALE_FACTOR, self.SCALE_WARM_UP_STEPS),
        ]

    def forward(
        self, networks: CodedNetworks, pictures: Tensor, small: Tensor, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """x-hat, x', rate, and the step and loss that were drawn."""
        log_step, loss = draw_step(len(pictures), generator), draw_loss(len(pictures), generator)
        device = pictures.device
        sent = forward(networks, pictures, small, log_step.to(device), loss.to(device), generator)
        return *sent, log_step, loss

    def objective(
        self, pictures: Tensor, received: Tensor, base: Tensor, rate: Tensor, log_step: Tensor, loss: Tensor
    ) -> tuple[Tensor, Figures]:
        error = (received - pictures).square().mean((1, 2, 3)) * LEVELS**2
        base_error = (base - pictures).square().mean((1, 2, 3)) * LEVELS**2
        steps = ((log_step - LEAST_LOG_STEP) * 2).long().clamp(0, self.STEP_BINS - 1)
        losses = torch.bucketize(loss, torch.tensor(self.LOSS_EDGES))
        usual_error = self.errors.add((steps, losses), error.detach()).to(error.device)
        price = self.PRICE * 4.0**log_step * (1 - loss).clamp(min=self.LEAST_ARRIVING)
        total = ((error + price.to(rate.device) * rate) / usual_error).mean()
        total = total + self.BASE_WEIGHT * base_error.mean()
        figures = Figures(
            error.mean().item() / LEVELS**2, base_error.mean().item() / LEVELS**2, rate.mean().item()
        )  # fmt: skip
        return total, figures

    def complete(self, networks: CodedNetworks, pictures: list[Path], seed: int, storage: str) -> None:
        """Count the entropy coder's tables, with the weights as they will stand in the file. Raises
        ``PictureError`` when they cannot be counted."""
        round_as_stored(networks, storage)
        fit_tables(networks, pictures, seed)

    def state_dict(self) -> dict[str, Tensor]:
        return {"errors": self.errors.mean, "error_counts": self.errors.count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.errors.mean, self.errors.count = state["errors"].cpu(), state["error_counts"].cpu()


Recipe = BinaryRecipe | CodedRecipe


def recipe_of(profile: str) -> type[Recipe]:
    """The recipe of a profile. Raises ``UserError`` with the known ones for another name."""
    known = [spec.name for spec in PROFILES.values() if spec.recipe]
    if profile not in known:
        raise UserError(f"--profile {profile}: unknown; choose one of {', '.join(known)}")
    return PROFILES[profile].load("recipe")


def profile_of(shape: Shape) -> str:
    """The profile whose networks have this kind of shape."""
    return next(spec.name for spec in PROFILES.values() if spec.recipe and isinstance(shape, spec.load("shape")))
