# SPDX-License-Identifier: GPL-3.0-or-later
"""The scale network in whole numbers: from the base layer to a table index for every symbol.

Both ends must come to the same index or the range decoder reads nonsense, and floating-point
networks differ between machines. Here every product and sum is a whole number below 2^53,
which float64 holds exactly whatever the order of the additions.
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
# So many cells stay in a processor's cache; a graphics card has enough to do with so many.
CELLS_AT_ONCE = 1024
CELLS_ON_A_CARD = 1 << 16


class ScaleModel:
    """Whole-number form of a model's scale network, where the networks are. Its tensors are of that device, too."""

    def __init__(self, networks: CodedNetworks):
        self.device = networks.scale1.weight.device
        self._layers = []
        inputs = FEATURE_BITS
        for layer in (networks.scale1, networks.scale2, networks.scale3):
            weight, bias = (x.detach().double() for x in (layer.weight.flatten(1), layer.bias))
            whole = (weight * 2**WEIGHT_BITS).round().clamp(-MOST_WEIGHT, MOST_WEIGHT)
            self._layers.append((whole, (bias * 2.0 ** (inputs + WEIGHT_BITS)).round()[:, None], inputs))
            inputs = VALUE_BITS

    def features(self, small: np.ndarray, maps: np.ndarray) -> Tensor:
        """c ``uint8[2h, 2w, 3]`` and maps ``int[2, ceil(h/2), ceil(w/2)]`` to features
        ``float64[F, h * w]``, whole numbers; the last one, the step, is left 0."""
        pixels = torch.from_numpy(small.astype(np.float64)).to(self.device).permute(2, 0, 1)[None]
        levels = torch.from_numpy(maps.astype(np.float64)).to(self.device)[None]
        found = context(pixels, levels, torch.zeros(1, dtype=torch.float64, device=self.device))[0].flatten(1)
        return (found * 2**FEATURE_BITS).round()

    def begin(self, features: Tensor) -> Tensor:
        """What the first layer makes of ``features`` whatever the step: ``float64[128, cells]``, whole
        numbers, for ``indices_at``. One step after another can be tried without its products again."""
        weight, bias, _ = self._layers[0]
        return torch.addmm(bias, weight[:, :-1], features[:-1])

    def indices(self, features: Tensor, log_step: Tensor | int) -> Tensor:
        """Table index ``int16[K, cells]`` of every symbol, negative where none is sent.

        ``log_step``: whole numbers ``[cells]`` or one, log2 of the quantizer's step in 1/256.
        """
        return self.indices_at(self.begin(features), log_step)

    def indices_at(self, begun: Tensor, log_step: Tensor | int) -> Tensor:
        """As ``indices``, from what ``begin`` gave."""
        cells = begun.shape[1]
        steps = torch.as_tensor(log_step, device=self.device).double().expand(cells)
        found = torch.empty((self._layers[-1][0].shape[0], cells), dtype=torch.int16, device=self.device)
        for some in pieces(cells, self.device):
            found[:, some] = self._finish(begun[:, some], steps[some])
        return found

    def _finish(self, begun: Tensor, log_step: Tensor) -> Tensor:
        """Table indices ``float64[K, cells]``."""
        x = torch.addcmul(begun, self._layers[0][0][:, -1:], log_step * (2 ** (FEATURE_BITS - 8) / 2))
        for number, (weight, bias, bits) in enumerate(self._layers):
            if number:
                x = torch.addmm(bias, weight, x)
            x.mul_(2.0 ** (VALUE_BITS - bits - WEIGHT_BITS)).floor_()
            if number < 2:
                x.clamp_(0, MOST_HIDDEN)
        x.sub_(LEAST_LOG_SCALE * 2**VALUE_BITS).mul_(TABLES_PER_OCTAVE).mul_(2.0**-VALUE_BITS).floor_()
        return x.clamp_(-1, TABLES - 1)


def pieces(cells: int, device: torch.device) -> Iterator[slice]:
    """Cells, so many at a time as are worked on together."""
    count = CELLS_AT_ONCE if device.type == "cpu" else CELLS_ON_A_CARD
    for first in range(0, cells, count):
        yield slice(first, first + count)
