# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of a link's losses, fitted to a trace: independent, in bursts (Gilbert-Elliott), and by name three more.

The first three are two hidden states, good and bad, each with a probability of loss: p leads from good to
bad, r back (Gilbert 1960, Elliott 1963). ``gilbert-elliott`` loses nothing in the good state and
all in the bad one, as ``ds2c2.channels.channel`` does: a first-order Markov chain on the losses themselves.
``gilbert-elliott-general`` has any loss in both states. ``iid`` has one state.

``hidden-markov`` (``ds2c2.traces.hiddenmarkov``) has as many states as BIC wants, ``semi-markov``
(``ds2c2.traces.semimarkov``) bursts and gaps of heavy tails, ``drift`` (``ds2c2.traces.drift``)
pieces with a model each.
"""

import math
from collections.abc import Sequence

import numpy as np

from ds2c2.traces.drift import Drift, fit_drift
from ds2c2.traces.hiddenmarkov import HiddenMarkov, fit_hidden
from ds2c2.traces.lossstatistics import (
    CONFIDENCE,
    LAGS,
    LossStatistics,
    ModelError,
    autocorrelation,
    batch_interval,
    bootstrap_block,
    run_lengths,
    run_survival,
    statistics,
    wilson,
)
from ds2c2.traces.semimarkov import SemiMarkov, fit_semi
from ds2c2.traces.twostates import LABELS as BASIC_LABELS
from ds2c2.traces.twostates import LossModel, fit_general, fit_iid, fit_markov

# The statistics' names too: scripts import both from here.
__all__ = [
    "BASIC",
    "CONFIDENCE",
    "LABELS",
    "LAGS",
    "NAMES",
    "LossModel",
    "LossStatistics",
    "Model",
    "ModelError",
    "autocorrelation",
    "batch_interval",
    "best",
    "bootstrap_block",
    "distance",
    "fit",
    "fit_noticed",
    "run_lengths",
    "statistics",
    "verdict",
    "wilson",
]

# What is fitted unless more is asked for, and all of them.
BASIC = ("iid", "gilbert-elliott", "gilbert-elliott-general")
NAMES = (*BASIC, "hidden-markov", "semi-markov", "drift")
ALIKE = 0.05  # of BIC and AIC, which are shown with one decimal
TWINS = 0.5  # of the log-likelihood, within which two climbs have found the same
LABELS = BASIC_LABELS | {
    "hidden-markov": "hidden Markov chain",
    "semi-markov": "semi-Markov, heavy tails",
    "drift": "piecewise",
}

# Any fitted model: all have the same figures and draws.
Model = LossModel | HiddenMarkov | SemiMarkov | Drift


def check_models(names: Sequence[str]) -> None:
    """Raises ``ModelError`` for a name that no model has."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ModelError(f"model {unknown[0]!r} is unknown; choose one of {', '.join(NAMES)}")


def fit(lost: np.ndarray, names: Sequence[str] = BASIC) -> list[Model]:
    """The models of these names that can be fitted to ``bool[n]``, in the order of ``NAMES``: where losses never
    begin or never end only ``iid`` and ``drift``. Raises ``ModelError`` for fewer than two packets and for unknown
    names."""
    check_models(names)
    lost = np.asarray(lost, bool)
    if len(lost) < 2:
        raise ModelError(f"{len(lost)} packets are no trace to fit a model to; record more")
    models: list[Model] = [fit_iid(lost)] if "iid" in names else []
    if (lost[1:] & ~lost[:-1]).any() and (~lost[1:] & lost[:-1]).any():
        markov = fit_markov(lost)
        fits = (lambda: markov, lambda: fit_general(lost, markov), lambda: fit_hidden(lost), lambda: fit_semi(lost))
        models += [fitted() for name, fitted in zip(NAMES[1:], fits, strict=False) if name in names]
        models = _without_twins(models)
    if "drift" in names:
        models.append(fit_drift(lost))
    if not models:
        raise ModelError(
            f"losses never begin or never end in this trace, so {' and '.join(names)} cannot be fitted to it; iid can"
        )
    return models


def _without_twins(models: list[Model]) -> list[Model]:
    """A hidden chain of two states is the general Gilbert-Elliott: two climbs must not tell them apart."""
    found = {model.name: model for model in models}
    general, hidden = found.get("gilbert-elliott-general"), found.get("hidden-markov")
    if general and hidden and hidden.states == 2 and general.log_likelihood > hidden.log_likelihood - TWINS:
        step = np.array([[1 - general.p, general.p], [general.r, 1 - general.r]])
        loss = np.array([general.good, general.bad])
        found["hidden-markov"] = HiddenMarkov(step, loss, general.packets, general.log_likelihood)
    return list(found.values())


def best(models: list[Model]) -> Model:
    """The one of lowest BIC."""
    return min(models, key=lambda model: model.bic)


def distance(model: Model, lost: np.ndarray, kind: bool) -> float:
    """The largest difference between the run lengths' distribution and the model's (Kolmogorov
    and Smirnov's statistic), runs of losses or of arrivals; NaN without a whole run."""
    runs = run_lengths(lost, kind)
    if not len(runs):
        return math.nan
    seen = run_survival(runs)
    return float(np.abs(seen - model.run_survival(kind, len(seen))).max())


def verdict(models: list[Model]) -> str:
    """Which model fits, in a sentence."""
    chosen = best(models)
    others = sorted((model for model in models if model is not chosen), key=lambda model: model.bic)
    # The same by another name: pieces without a change, a hidden chain of two states.
    equal = [model.label for model in others if model.bic - chosen.bic < ALIKE]
    others = others[len(equal) :]
    if not others:
        return "Losses never begin or never end in this trace: nothing can be said of bursts."
    kinds = {"iid": "Losses look independent", "drift": "The link changed"}
    kind = kinds.get(chosen.name, "Losses come in bursts")
    lead = f"its BIC is lower by {others[0].bic - chosen.bic:.1f} than that of {others[0].label}"
    akaike = min(models, key=lambda model: model.aic)
    gain = chosen.aic - akaike.aic
    doubt = "" if gain < ALIKE else f"; by AIC {akaike.label} would fit better by {gain:.1f}"
    same = f"; as well fits {' and '.join(equal)}" if equal else ""
    # i.i.d. brings its own full stop.
    return f"{kind}: {chosen.label} fits best, {lead}{same}{doubt}".removesuffix(".") + "."


def fit_noticed(lost: np.ndarray, asked: Sequence[str] = BASIC) -> list[Model]:
    """The models that are asked for, and ``drift`` where it fits best of all: a link that changed is to be told, and
    one that did not needs no word of it. Raises ``ModelError``."""
    models = fit(lost, (*asked, "drift"))
    if "drift" not in asked and best(models).name != "drift":
        return models[:-1]
    return models


def describe_model(model: Model, lost: np.ndarray) -> dict:
    """A fitted model ready for JSON."""
    parameters = {
        name: {"value": value, "low": model.intervals[name][0], "high": model.intervals[name][1]}
        for name, value in model.values.items()
    }
    fits = [distance(model, lost, kind) for kind in (True, False)]
    return {
        "name": model.name,
        "label": model.label,
        "parameters": parameters,
        "loss": model.loss,
        "mean-burst": model.mean_burst if math.isfinite(model.mean_burst) else None,
        "log-likelihood": model.log_likelihood,
        "aic": model.aic,
        "bic": model.bic,
        "loss-run-distance": None if math.isnan(fits[0]) else fits[0],
        "gap-run-distance": None if math.isnan(fits[1]) else fits[1],
        "words": " ".join(model.words()),
        **model.described(),
    }
