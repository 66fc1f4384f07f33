# SPDX-License-Identifier: GPL-3.0-or-later
"""The scale network in whole numbers: from the base layer to a table index for every symbol.

Both ends must come to the same index or the range decoder reads nonsense, and floating-point
networks differ between machines. Here every product and sum is a whole number below 2^53,
which float64 holds exactly whatever the order of the additions: on a GPU as on a processor.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ds2c2.networks.coded import CodedNetworks
from ds2c2.networks.scales import LEAST_LOG_SCALE, TABLES, TABLES_PER_OCTAVE, context

FEATURE_BITS = 10  # features are multiples of 2^-10
WEIGHT_BITS = 14
VALUE_BITS = 12  # of the hidden values and of the result
# |weight| < 8, hidden < 2^12: with fewer than 2^9 inputs, sums stay below 2^(17 + 24 + 9).
MOST_WEIGHT = 2**17 - 1
MOST_HIDDEN = 2**24 - 1
CELLS_AT_ONCE = 1024


class ScaleModel:
    """Whole-number form of a model's scale network, on the device where the networks are."""

    def __init__(self, networks: CodedNetworks):
        self.device = networks.scale1.weight.device
        self._layers = []
        inputs = FEATURE_BITS
        for layer in (networks.scale1, networks.scale2, networks.scale3):
            weight = layer.weight.detach().cpu().double().flatten(1).numpy()
            bias = layer.bias.detach().cpu().double().numpy()
            whole = np.clip(np.rint(weight * 2**WEIGHT_BITS), -MOST_WEIGHT, MOST_WEIGHT)
            self._layers.append((whole, np.rint(bias * 2.0 ** (inputs + WEIGHT_BITS)), inputs))
            inputs = VALUE_BITS
        self._tensors = [
            (torch.from_numpy(weight).to(self.device), torch.from_numpy(bias).to(self.device)[:, None], bits)
            for weight, bias, bits in self._layers
        ]

    def known(self, small: np.ndarray, maps: np.ndarray) -> Tensor:
        """``features`` as a tensor on the device."""
        pixels = torch.from_numpy(small.astype(np.float64)).to(self.device).permute(2, 0, 1)[None]
        levels = torch.from_numpy(maps.astype(np.float64)).to(self.device)[None]
        step = torch.zeros(1, dtype=torch.float64, device=self.device)
        return context(pixels, levels, step)[0].flatten(1).mul_(2**FEATURE_BITS).round_()

    def features(self, small: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """c ``uint8[2h, 2w, 3]`` and maps ``int[2, ceil(h/2), ceil(w/2)]`` to features
        ``float64[F, h * w]``, whole numbers; the last one, the step, is left 0."""
        return self.known(small, maps).cpu().numpy()

    def begin(self, known: Tensor) -> Tensor:
        """What the first layer makes of what is ``known``, whatever the step: ``float64[128, cells]``, whole
        numbers, for ``indices_at``. One step after another can be tried without its products again."""
        weight, bias, _ = self._tensors[0]
        return torch.addmm(bias, weight[:, :-1], known[:-1])

    def indices(self, features: np.ndarray, log_step: np.ndarray) -> np.ndarray:
        """Table index ``int16[K, cells]`` of every symbol, negative where none is sent.

        ``log_step``: ``int[cells]`` or one, log2 of the quantizer's step in 1/256.
        """
        begun = self.begin(torch.from_numpy(np.ascontiguousarray(features)).to(self.device))
        return self.indices_at(begun, np.broadcast_to(log_step, begun.shape[1])).cpu().numpy()

    def indices_at(self, begun: Tensor, log_step: np.ndarray) -> Tensor:
        """As ``indices``, from what ``begin`` gave, for ``int[cells]`` steps: ``int16[K, cells]`` on the device."""
        steps = torch.from_numpy(log_step.astype(np.float64)).to(self.device)
        found = begun.new_empty((len(self._tensors[-1][0]), begun.shape[1]), dtype=torch.int16)
        for some in self.pieces(begun.shape[1]):
            found[:, some] = self._finish(begun[:, some], steps[some])
        return found

    def pieces(self, cells: int) -> Iterator[slice]:
        """All cells, a few at a time, which stay in the processor's cache; at once elsewhere."""
        most = CELLS_AT_ONCE if self.device.type == "cpu" else max(1, cells)
        return (slice(first, first + most) for first in range(0, cells, most))

    def _finish(self, begun: Tensor, log_step: Tensor) -> Tensor:
        """Table indices ``float64[K, cells]``."""
        x = begun + self._tensors[0][0][:, -1:] * (log_step * (2 ** (FEATURE_BITS - 8) / 2))
        for number, (weight, bias, bits) in enumerate(self._tensors):
            if number:
                x = torch.addmm(bias, weight, x)
            x.mul_(2.0 ** (VALUE_BITS - bits - WEIGHT_BITS)).floor_()
            if number < 2:
                x.clamp_(0, MOST_HIDDEN)
        x.sub_(LEAST_LOG_SCALE * 2**VALUE_BITS).mul_(TABLES_PER_OCTAVE).mul_(2.0**-VALUE_BITS)
        return x.floor_().clamp_(-1, TABLES - 1)
