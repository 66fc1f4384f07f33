# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark's units to its figures: means with intervals, worst cases, curves in CompressAI's shape."""

import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable
from functools import cache

import numpy as np

from ds2c2.evaluation.distances import DISTANCES
from ds2c2.evaluation.distances import key as key_of
from ds2c2.evaluation.erasurecode import DESIGN_LOSSES, MEAN_LOSSES, design_name
from ds2c2.evaluation.outcomes import BOTH, OURS, PACKETS, UNPROTECTED, BenchmarkSettings, hits
from ds2c2.evaluation.rivals import rivals
from ds2c2.stream.protection import OUTAGE

CONFIDENCE = 0.95
WORST_SHARE = 0.05
LIBRARIES = ("torch", "numpy", "pillow", "av", "pillow-jxl-plugin", "raptorq", "pytorch-msssim", "scikit-image")


def interval(means: np.ndarray) -> tuple[float, float]:
    """95 % confidence interval of the mean of ``means``, one value a seed: Student's t, the seeds
    being independent draws of the channel. One value, or equal ones, give no width."""
    from scipy.stats import t

    centre = float(np.mean(means))
    if len(means) < 2:
        return centre, centre
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means)))
    return centre - half, centre + half


def worst(values: np.ndarray) -> float:
    """Mean of the lowest 5 % of all picture-and-draw values, of one at least."""
    flat = np.sort(values, axis=None)
    return float(np.mean(flat[: max(1, math.ceil(WORST_SHARE * flat.size))]))


def _outcomes(entry: dict, variant: dict, lost: tuple[int, ...], first: tuple[bool, ...]) -> list[tuple]:
    """PSNR, MS-SSIM and whether nothing arrived, of a rival's design at every draw; of each ``first`` draw, as ours,
    its perceptual distances too, else None."""
    if "psnr" in variant:
        return _drawn(variant, first)
    found = []
    seen = [*entry.get("distances", [None]), *variant.get("distances", [None] * len(variant["levels"]))]
    for count, is_first in zip(lost, first, strict=True):
        level = sum(entry["blocks"] - count >= needed for needed in variant["needs"])
        value = variant["levels"][level - 1] if level else entry["grey"]
        found.append((*value, int(level == 0), seen[level] if is_first else None))
    return found


def _drawn(entry: dict, first: tuple[bool, ...]) -> list[tuple]:
    """The same of ours, and of what else was measured at every draw."""
    seen = iter(entry.get("distances", [None] * sum(first)))
    distances = [next(seen) if is_first else None for is_first in first]
    return list(zip(entry["psnr"], entry["ms_ssim"], entry["nothing"], distances, strict=True))


def _point(draws: list[list[tuple]], entries: list[dict]) -> dict:
    """Figures of one rate, channel and loss: ``draws[picture][seed]``."""
    psnr = np.array([[draw[0] for draw in of_picture] for of_picture in draws])
    nothing = np.array([[draw[2] for draw in of_picture] for of_picture in draws])
    similar = [draw[1] for of_picture in draws for draw in of_picture]
    low, high = interval(psnr.mean(axis=0))
    figures = {
        "bpp": np.mean([entry["bpp"] for entry in entries]),
        "air-bpp": np.mean([entry["air_bpp"] for entry in entries]),
        "seeds": psnr.shape[1],
        "psnr-rgb": psnr.mean(),
        "psnr-rgb-low": low,
        "psnr-rgb-high": high,
        "psnr-rgb-worst-5": worst(psnr),
        "ms-ssim-rgb": None if None in similar else np.mean(similar),
        "nothing": nothing.mean(),
    }
    if seen := [draw[3] for of_picture in draws for draw in of_picture if draw[3] is not None]:
        figures |= dict(zip(map(key_of, DISTANCES), np.mean(seen, axis=0), strict=True))
    return {key: value if value is None else round(float(value), 6) for key, value in figures.items()}


def _curve(name: str, description: str, rules: str, codec: str, design: str, points: list[dict]) -> dict:
    results = {key: [point[key] for point in points] for key in points[0]}
    return {
        "name": name,
        "description": description,
        "rules": rules,
        "codec": codec,
        "design": design,
        "results": results,
    }


def _describe_design(codec: str, design: str) -> tuple[str, str]:
    """Name and description of a rival's curve."""
    named = rivals.label(codec)
    if design == UNPROTECTED:
        return f"{named}, unprotected", "all blocks carry the file; any lost block breaks it"
    if design == PACKETS:
        return named, "no erasure code: every packet that arrives shows its piece"
    if design == rivals.LAYERED:
        return named, "5 quality layers, each with its own ideal MDS code, shared out best for each picture"
    return f"{named}, code for {design} loss", f"ideal MDS code, outage at most {100 * OUTAGE:g} % at {design} loss"


def summarise(settings: BenchmarkSettings, units: list[dict]) -> dict:
    """All figures of a benchmark, ready for JSON: one curve per codec, design and rules.

    ``units`` are those of ``benchmark.run``. Nothing in it depends on when or in how many runs the
    units were computed.
    """
    by_unit = {tuple(unit["unit"]): unit for unit in units}
    draws = list(settings.draws())
    firsts = tuple(seed == 1 for _, _, seed in draws)
    pictures = {p.name: p for p in settings.pictures}

    @cache
    def lost(name: str, blocks: int) -> tuple[int, ...]:
        return tuple(int(hits(settings, pictures[name], *draw, blocks).sum()) for draw in draws)

    def points(rules: str, codec: str, outcomes) -> list[dict]:
        """``outcomes(entry)``: a picture's values in the order of the draws."""
        found = []
        for rate in settings.rates:
            entries = [by_unit[(name, rate, rules, codec)] for name in pictures]
            values = [outcomes(entry) for entry in entries]
            for channel in settings.channels:
                for loss in settings.losses:
                    places = [i for i, draw in enumerate(draws) if draw[:2] == (channel, loss)]
                    point = _point([[of_picture[i] for i in places] for of_picture in values], entries)
                    found.append({"rate": rate, "channel": channel, "loss": loss, **point})
        return found

    curves = []
    for rules in settings.rules:
        found = points(rules, OURS, lambda entry: _drawn(entry, firsts))
        what = "base layer never lost, no redundancy" if rules == "paper" else "base layer lost like the rest"
        curves.append(_curve(f"ds2c2-{settings.model}", f"{rules} rules: {what}", rules, OURS, "", found))
    for codec in settings.rivals:
        first = by_unit[(settings.pictures[0].name, settings.rates[0], BOTH, codec)]
        for number, variant in enumerate(first["variants"]):

            def outcomes(entry: dict, number: int = number) -> list[tuple]:
                name, _, _, _ = entry["unit"]
                return _outcomes(entry, entry["variants"][number], lost(name, entry["blocks"]), firsts)

            name, description = _describe_design(codec, variant["design"])
            curves.append(_curve(name, description, BOTH, codec, variant["design"], points(BOTH, codec, outcomes)))
    many = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    seeds = f"{settings.seeds} seed{'s' * (settings.seeds > 1)}"
    return {
        "name": settings.name,
        "description": f"{many}, {seeds}, blocks of {settings.block_size} bytes",
        "settings": settings.identity(),
        "machine": machine(settings.rivals),
        "curves": curves,
        "best-fixed": best_fixed(curves, settings.rates),
        "not-measured": dict(settings.missing),
    }


def machine(measured: Iterable[str] = ()) -> dict:
    """Where this ran: processor, cores, versions of what decides the figures of the rivals measured."""
    versions = {}
    theirs = [package for name in measured if name in rivals.RIVALS for package in rivals.RIVALS[name].packages]
    for library in dict.fromkeys([*LIBRARIES, *theirs]):
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "not installed"
    return {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def value(curve: dict, rate: float, loss: float, channel: str = "iid", key: str = "psnr-rgb") -> float | None:
    """One figure of a curve; None when it was not measured."""
    results = curve["results"]
    for i, point in enumerate(zip(results["rate"], results["channel"], results["loss"], strict=True)):
        if point == (rate, channel, loss):
            return results[key][i]
    return None


def is_fixed(results: dict, curve: dict, rate: float) -> bool:
    """Whether a rival would choose a curve not knowing the loss rate: its best design, its layers, its packets."""
    chosen = results["best-fixed"].get(curve["codec"], {}).get(f"{rate:g}")
    return curve["codec"] != OURS and curve["design"] in (rivals.LAYERED, PACKETS, chosen)


def mean_over_losses(curve: dict, rate: float, channel: str = "iid") -> float | None:
    """Mean PSNR in dB over ``MEAN_LOSSES``, as far as they were measured."""
    found = [value(curve, rate, loss, channel) for loss in MEAN_LOSSES]
    found = [figure for figure in found if figure is not None]
    return float(np.mean(found)) if found else None


def best_fixed(curves: list[dict], rates: tuple[float, ...]) -> dict[str, dict[str, str]]:
    """For each rival with an erasure code and each rate: the one design that is best on the mean
    over ``MEAN_LOSSES``, losses independent."""
    designs = {design_name(loss) for loss in DESIGN_LOSSES}
    chosen: dict[str, dict[str, str]] = {}
    highest: dict[tuple[str, float], float] = {}
    for curve in curves:
        for rate in rates if curve["design"] in designs else ():
            mean, place = mean_over_losses(curve, rate), (curve["codec"], rate)
            if mean is not None and mean > highest.get(place, -math.inf):
                highest[place] = mean
                chosen.setdefault(curve["codec"], {})[f"{rate:g}"] = curve["design"]
    return chosen
