# SPDX-License-Identifier: GPL-3.0-or-later
"""Many links at once: models fitted to each by itself and to all together, and how many links refute which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ds2c2.traces.goodness import Goodness, goodness
from ds2c2.traces.lossmodels import BASIC, LABELS, Model, ModelError, best, fit

FEW_PACKETS = 50  # a shorter trace refutes nothing


@dataclass(frozen=True, eq=False)
class FittedLink:
    """One link: its losses ``bool[n]``, the models fitted to it, and by their names how well each goes with it,
    with its own parameters (``own``) and with those of all links (``pooled``)."""

    name: str
    lost: np.ndarray
    models: list[Model]
    own: dict[str, Goodness]
    pooled: dict[str, Goodness]

    @property
    def best(self) -> Model:
        """The one of lowest BIC."""
        return best(self.models)


@dataclass(frozen=True, eq=False)
class ManyLinks:
    """All links, the models fitted to their losses in a row, and the names of links that are too short."""

    links: list[FittedLink]
    pooled: list[Model]
    short: list[str]

    def shares(self) -> list[dict]:
        """A row a model: its name and label; of how many links it is the ``best`` by BIC; how many do not refute it
        with their ``own`` parameters, of ``tested``, and with the ``pooled`` ones."""
        rows = []
        for name, label in LABELS.items():
            with_it = [link for link in self.links if name in link.own]
            if not with_it and name not in {model.name for model in self.pooled}:
                continue
            rows.append(
                {
                    "name": name,
                    "label": label,
                    "best": sum(link.best.name == name for link in self.links),
                    "tested": len(with_it),
                    "own": sum(not link.own[name].refuted_by for link in with_it),
                    "pooled": sum(name in link.pooled and not link.pooled[name].refuted_by for link in self.links),
                }
            )
        return rows


def fit_links(
    losses: dict[str, np.ndarray],
    seed: int = 1,
    advance: Callable[[str], None] = lambda name: None,
    names: Sequence[str] = BASIC,
) -> ManyLinks:
    """Fit and test the models of these names on every link of ``bool[n]``; ``advance`` is told of each that is done.

    All links together are their losses in a row, where each joint is a neighbourhood that was none. Raises
    ``ModelError`` where no link has ``FEW_PACKETS``.
    """
    kept = {name: lost for name, lost in losses.items() if len(lost) >= FEW_PACKETS}
    if not kept:
        raise ModelError(f"none of {len(losses)} links has {FEW_PACKETS} packets; record longer ones")
    pooled = fit(np.concatenate(list(kept.values())), names)
    links = []
    for name, lost in kept.items():
        models = _fit(lost, names)
        own = {model.name: goodness(model, lost, seed) for model in models}
        links.append(FittedLink(name, lost, models, own, {model.name: goodness(model, lost, seed) for model in pooled}))
        advance(name)
    return ManyLinks(links, pooled, [name for name in losses if name not in kept])


def _fit(lost: np.ndarray, names: Sequence[str]) -> list[Model]:
    """Where losses never begin or never end only iid can be fitted, asked for or not."""
    try:
        return fit(lost, names)
    except ModelError:
        return fit(lost, ("iid",))
