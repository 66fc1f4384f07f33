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

    def indices(self, features: np.ndarray, log_step: np.ndarray) -> np.ndarray:
        """Table index ``int16[K, cells]`` of every symbol, negative where none is sent.

        ``log_step``: ``int[cells]`` or one, log2 of the quantizer's step in 1/256.
        """
        x = features.copy()
        x[-1] = np.asarray(log_step) * 2 ** (FEATURE_BITS - 8) / 2
        for number, (weight, bias, bits) in enumerate(self._layers):
            total = weight @ x + bias[:, None]
            x = np.floor(total * 2.0 ** (VALUE_BITS - bits - WEIGHT_BITS))
            if number < 2:
                x = np.clip(x, 0, MOST_HIDDEN)
        lowest = LEAST_LOG_SCALE * 2**VALUE_BITS
        index = np.floor((x - lowest) * TABLES_PER_OCTAVE * 2.0**-VALUE_BITS)
        return np.clip(index, -1, TABLES - 1).astype(np.int16)
