# SPDX-License-Identifier: GPL-3.0-or-later
"""How many blocks a frame may count on when each is lost with the same probability.

Both ends must come to the same numbers, so all is in whole numbers and fractions. The number of
blocks that arrive is binomial; of it a normal approximation with continuity correction is taken
(Feller, "An Introduction to Probability Theory and Its Applications", volume 1, VII.2), which is
within a block of the exact quantile.
"""

import math
from fractions import Fraction

# Of the standard normal distribution: 1 % of the frames have fewer blocks than counted on.
QUANTILE = Fraction(233, 100)
OUTAGE = 0.01  # what it stands for


def arriving(blocks: int, loss: Fraction, least: int = 1) -> int:
    """Blocks of ``blocks`` that arrive in 99 of 100 frames, at ``least`` so many, when each is lost with
    probability ``loss``: the largest k <= n q + 1/2 - 2.33 sqrt(n p q)."""
    mean = blocks * (1 - loss) + Fraction(1, 2)
    variance = QUANTILE**2 * blocks * loss * (1 - loss)
    k = math.floor(mean - Fraction(math.isqrt(math.floor(variance))))
    while k > mean or (mean - k) ** 2 < variance:
        k -= 1
    return min(blocks, max(least, k))


def needed(sources: int, loss: Fraction, most: int) -> int:
    """The fewest blocks of which ``sources`` arrive in 99 of 100 frames; ``most + 1`` where
    ``most`` are not enough."""
    low, high = sources, most + 1
    while low < high:
        middle = (low + high) // 2
        if middle > most or arriving(middle, loss, least=0) >= sources:
            high = middle
        else:
            low = middle + 1
    return low
