# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ideal erasure code gives a rival codec: numbers only, no bytes are coded.

The code is MDS (maximum distance separable): any k of its n blocks give the whole file back,
with no overhead at all. No real code does better, so rivals are favoured, never wronged.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ds2c2.stream.protection import OUTAGE

# Loss rates that rivals' codes are designed for; at exactly that rate a design may lose OUTAGE of the pictures.
DESIGN_LOSSES = (0.04, 0.08, 0.16, 0.30, 0.50)
# Loss rates whose mean PSNR decides between designs, and what layered protection maximises.
MEAN_LOSSES = (0.0, 0.04, 0.08, 0.16, 0.30, 0.50)
# A packet is shared among the layers in this many equal parts: 10626 allocations to 5 layers.
SHARES = 20


def design_name(loss: float) -> str:
    """What the design for a loss rate is called: ``16 %``."""
    return f"{100 * loss:g} %"


def design_k(blocks: int, loss: float, outage: float = OUTAGE) -> int:
    """The largest k of an (n, k) MDS code that keeps its outage under independent losses:
    P(Binomial(n, loss) > n - k) <= outage. 0 when not even k = 1 does.

    ``blocks`` is n, ``loss`` a share 0 to 1, ``outage`` a probability.
    """
    from scipy.stats import binom

    parity = np.arange(blocks + 1)  # n - k
    enough = binom.sf(parity, blocks, loss) <= outage
    return blocks - int(parity[enough][0])


def arrival_probability(blocks: int, needed: int, loss: float) -> float:
    """P(at least ``needed`` of ``blocks`` arrive), losses independent."""
    from scipy.stats import binom

    return float(binom.cdf(blocks - needed, blocks, loss))


@dataclass(frozen=True)
class Allocation:
    """How layered protection shares a packet out.

    ``needs``: k of each layer, blocks; ``shares``: bytes of each packet that carry the layer;
    ``capacity``: bytes that the layers up to this one may take together.
    """

    needs: tuple[int, ...]
    shares: tuple[int, ...]
    capacity: tuple[int, ...]


def compositions(total: int, parts: int) -> np.ndarray:
    """All ways to write ``total`` as an ordered sum of ``parts`` numbers >= 0, ``int[m, parts]``."""
    bars = np.array(list(itertools.combinations(range(total + parts - 1), parts - 1)), int).reshape(-1, parts - 1)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=-1)
    edges[:, -1] = total + parts - 1
    return np.diff(edges, axis=1) - 1


def allocate(blocks: int, block_size: int, curve: list[tuple[int, float]], grey_psnr: float) -> Allocation:
    """Priority encoding transmission (Albanese et al., 1996) for an embedded file.

    Each of ``blocks`` packets carries some bytes of every layer's own (n, k) code; layer j comes
    through when k_j packets do. The k_j are those of ``DESIGN_LOSSES``, strongest first. Of all
    divisions of a packet into ``SHARES`` parts the one with the highest expected PSNR is taken,
    averaged over ``MEAN_LOSSES``. ``curve`` is the file's own quality: (bytes, PSNR in dB),
    ascending; too few bytes for its first point show grey, ``grey_psnr`` in dB.
    """
    needs = [k for k in (design_k(blocks, loss) for loss in sorted(DESIGN_LOSSES, reverse=True)) if k > 0]
    if not needs:
        return Allocation((), (), ())
    parts = compositions(min(SHARES, block_size), len(needs))
    # The weakest layer takes the bytes that do not divide evenly.
    shares = parts * (block_size // min(SHARES, block_size))
    shares[:, -1] += block_size - shares.sum(axis=1)
    capacity = np.cumsum(shares * needs, axis=1)
    sizes, values = np.array([size for size, _ in curve]), np.array([value for _, value in curve])
    quality = np.where(
        capacity < sizes[0], grey_psnr, np.interp(np.log(np.maximum(capacity, 1)), np.log(sizes), values)
    )
    arrives = np.mean([[arrival_probability(blocks, k, loss) for k in needs] for loss in MEAN_LOSSES], axis=0)
    gains = np.diff(quality, axis=1, prepend=grey_psnr)
    best = int(np.argmax((gains * arrives).sum(axis=1)))
    return Allocation(tuple(needs), tuple(map(int, shares[best])), tuple(map(int, capacity[best])))
