# SPDX-License-Identifier: GPL-3.0-or-later
"""The scale network in whole numbers: from the base layer to a table index for every symbol.

Both ends must come to the same index or the range decoder reads nonsense, and floating-point
networks differ between machines. Here every product and sum is a whole number below 2^53,
which float64 holds exactly whatever the order of the additions.
"""

import numpy as np
import torch

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
    """Whole-number form of a model's scale network."""

    def __init__(self, networks: CodedNetworks):
        self._layers = []
        inputs = FEATURE_BITS
        for layer in (networks.scale1, networks.scale2, networks.scale3):
            weight = layer.weight.detach().cpu().double().flatten(1).numpy()
            bias = layer.bias.detach().cpu().double().numpy()
            whole = np.clip(np.rint(weight * 2**WEIGHT_BITS), -MOST_WEIGHT, MOST_WEIGHT)
            self._layers.append((whole, np.rint(bias * 2.0 ** (inputs + WEIGHT_BITS)), inputs))
            inputs = VALUE_BITS

    def features(self, small: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """c ``uint8[2h, 2w, 3]`` and maps ``int[2, ceil(h/2), ceil(w/2)]`` to features
        ``float64[F, h * w]``, whole numbers; the last one, the step, is left 0."""
        pixels = torch.from_numpy(small.astype(np.float64)).permute(2, 0, 1)[None]
        levels = torch.from_numpy(maps.astype(np.float64))[None]
        found = context(pixels, levels, torch.zeros(1, dtype=torch.float64))[0].flatten(1).numpy()
        return np.rint(found * 2**FEATURE_BITS)

    def begin(self, features: np.ndarray) -> np.ndarray:
        """What the first layer makes of ``features`` whatever the step: ``float64[128, cells]``, whole
        numbers, for ``indices_at``. One step after another can be tried without its products again."""
        weight, bias, _ = self._layers[0]
        return weight[:, :-1] @ features[:-1] + bias[:, None]

    def indices(self, features: np.ndarray, log_step: np.ndarray) -> np.ndarray:
        """Table index ``int16[K, cells]`` of every symbol, negative where none is sent.

        ``log_step``: ``int[cells]`` or one, log2 of the quantizer's step in 1/256.
        """
        return self.indices_at(self.begin(features), log_step)

    def indices_at(self, begun: np.ndarray, log_step: np.ndarray) -> np.ndarray:
        """As ``indices``, from what ``begin`` gave."""
        cells = begun.shape[1]
        steps = np.broadcast_to(log_step, cells)
        found = np.empty((self._layers[-1][0].shape[0], cells), np.int16)
        # A few cells at a time stay in the processor's cache.
        for first in range(0, cells, CELLS_AT_ONCE):
            some = slice(first, first + CELLS_AT_ONCE)
            found[:, some] = self._finish(begun[:, some], steps[some])
        return found

    def _finish(self, begun: np.ndarray, log_step: np.ndarray) -> np.ndarray:
        """Table indices ``float64[K, cells]``."""
        step = log_step * 2 ** (FEATURE_BITS - 8) / 2
        x = begun + self._layers[0][0][:, -1:] * step
        for number, (weight, bias, bits) in enumerate(self._layers):
            if number:
                x = weight @ x
                x += bias[:, None]
            x *= 2.0 ** (VALUE_BITS - bits - WEIGHT_BITS)
            np.floor(x, out=x)
            if number < 2:
                np.maximum(x, 0, out=x)
                np.minimum(x, MOST_HIDDEN, out=x)
        x -= LEAST_LOG_SCALE * 2**VALUE_BITS
        x *= TABLES_PER_OCTAVE
        x *= 2.0**-VALUE_BITS
        np.floor(x, out=x)
        np.maximum(x, -1, out=x)
        return np.minimum(x, TABLES - 1, out=x)
