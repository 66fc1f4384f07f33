# SPDX-License-Identifier: GPL-3.0-or-later
"""How models of different size compare on one trace."""

import math


class Criteria:
    """Of a fitted model that has ``parameters``, ``log_likelihood`` (natural logarithm) and ``packets``."""

    @property
    def aic(self) -> float:
        """Akaike's criterion: the lower the better."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion: the lower the better."""
        return self.parameters * math.log(self.packets) - 2 * self.log_likelihood
