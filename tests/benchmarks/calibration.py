#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the 95 % intervals of `trace fit` and `compare` hold what they say, and how often are true models called false?

    calibration.py FOLDER [--packets 2000 20000 200000] [--traces 100] [--minutes M]
    calibration.py FOLDER --fits
    calibration.py FOLDER --table

Draws traces from links that are known, fits and compares each as the commands do, and appends a line a trace to
FOLDER/units.jsonl; begun again it goes on where it was, after --minutes it stops. In place of pictures and codec
stands FOLDER/curve.json, measured once: the PSNR of scikit-image's four photographs (512x512, 0.26 bpp) over the
blocks that are lost; whether the base layer is lost is counted in its symbols. So losses of equal number count
alike. What the link and every emulation would give in an endless run is measured on 4000 frames of fresh draws.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
from measuredcurve import STREAM, Curve

from ds2c2.evaluation.compare.compare import REPLAYED, ComparisonSettings, draw_losses, figures_of, judged
from ds2c2.evaluation.compare.figures import JUDGED
from ds2c2.evaluation.compare.words import LOST_MARGIN, judge
from ds2c2.evaluation.outcomes import Reception, Source
from ds2c2.traces.goodness import goodness
from ds2c2.traces.hiddenmarkov import HiddenMarkov
from ds2c2.traces.lossmodels import BASIC, LossModel, best, fit, statistics, wilson
from ds2c2.traces.semimarkov import Lengths, SemiMarkov

TESTED = 2000  # packets up to which `goodness` and hidden chains are asked; longer ones take minutes
UNITS, FITS = "units.jsonl", "fits.jsonl"
SIZES = (2000, 20_000, 200_000)


class Drifting:
    """40 % of the packets at 3 % by itself, 30 % at 17 % in bursts, 30 % at 8 % by itself."""

    name = "drift"
    loss = 0.4 * 0.03 + 0.3 * 0.03 / 0.18 + 0.3 * 0.08

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        first, second = 2 * count // 5, 3 * count // 10
        bursts = LossModel("gilbert-elliott", 0.03, 0.15, 0.0, 1.0, 1, 0.0).draw(second, rng)
        return np.concatenate([rng.random(first) < 0.03, bursts, rng.random(count - first - second) < 0.08])


TRUTHS = {
    "iid": LossModel("iid", 0.5, 0.5, 0.1, 0.1, 1, 0.0),
    "gilbert-elliott": LossModel("gilbert-elliott", 0.02, 0.2, 0.0, 1.0, 1, 0.0),
    "gilbert-elliott-general": LossModel("gilbert-elliott-general", 0.01, 0.05, 0.02, 0.6, 1, 0.0),
    "hidden-markov": HiddenMarkov(
        np.array([[0.995, 0.004, 0.001], [0.02, 0.96, 0.02], [0.02, 0.08, 0.9]]), np.array([0.01, 0.2, 0.9])
    ),
    "semi-markov": SemiMarkov(Lengths(2.0, 1.8, 20_000), Lengths(25.0, 1.5, 20_000), 1, 0.0),
    "drift": Drifting(),
}
PARAMETERS = {
    "iid": {"loss": 0.1},
    "gilbert-elliott": {"p": 0.02, "r": 0.2},
    "gilbert-elliott-general": {"p": 0.01, "r": 0.05, "good": 0.02, "bad": 0.6},
}
# Which fitted models are the link, given enough packets.
HOLDS = {
    "iid": {*BASIC, "drift"},
    "gilbert-elliott": {"gilbert-elliott", "gilbert-elliott-general", "drift"},
    "gilbert-elliott-general": {"gilbert-elliott-general", "drift"},
    "hidden-markov": {"hidden-markov"},
    "semi-markov": {"semi-markov"},
    "drift": {"drift"},
}


def settings_of(curve: Curve) -> ComparisonSettings:
    sources = tuple(Source(name, "", "", STREAM.width, STREAM.height) for name in curve.found)
    return ComparisonSettings(sources, (STREAM,) * len(sources))


def drawn(truth: str, packets: int, seed: int) -> tuple[np.ndarray, np.random.Generator]:
    """A trace, and the generator as it left it."""
    rng = np.random.default_rng([seed, packets, list(TRUTHS).index(truth)])
    return TRUTHS[truth].draw(packets, rng), rng


def parameters_of(truth: str, models: list) -> dict:
    """Interval and true value of each parameter of the true model, where it has any."""
    return {
        model.name: {name: [model.intervals[name], value] for name, value in PARAMETERS[truth].items()}
        for model in models
        if model.name == truth and truth in PARAMETERS
    }


def measure_fit(truth: str, packets: int, seed: int, curve: Curve | None) -> dict:
    """One trace: the loss rate's interval and those of the true model's parameters, nothing else."""
    began = time.process_time()
    lost, _ = drawn(truth, packets, seed)
    shown = statistics(lost, seed)
    models = fit(lost, (truth,)) if truth in PARAMETERS else []
    return {
        "unit": [truth, packets, seed],
        "loss": {"true": TRUTHS[truth].loss, "interval": shown.interval, "independent": shown.independent},
        "parameters": parameters_of(truth, models),
        "seconds": {"all": round(time.process_time() - began, 3)},
    }


def measure(truth: str, packets: int, seed: int, curve: Curve) -> dict:
    """One trace: drawn, fitted, compared."""
    link = TRUTHS[truth]
    lost, rng = drawn(truth, packets, seed)
    began = time.process_time()
    names = {*BASIC, "drift"} | ({truth} if truth != "hidden-markov" or packets <= TESTED else set())
    models = fit(lost, tuple(names))
    fitting = time.process_time() - began
    shown = statistics(lost, seed)
    settings = settings_of(curve)
    losses = draw_losses(settings, lost, models)
    found = {
        channel: [
            [
                Reception(float(value), None, bool(hidden))
                for value, hidden in zip(*curve.receive(place, np.array(draws)), strict=True)
            ]
            for place, draws in enumerate(drawn)
        ]
        for channel, drawn in losses.items()
    }
    outcomes = figures_of(settings, found, len(lost), shown.block)
    result = judged(settings, outcomes, lost, models, JUDGED)
    return {
        "unit": [truth, packets, seed],
        "loss": {"true": link.loss, "interval": shown.interval, "independent": shown.independent},
        "parameters": parameters_of(truth, models),
        "best": best(models).name,
        "bic": {model.name: model.bic for model in models},
        "changes": len(next(model for model in models if model.name == "drift").changes),
        "link": {key: outcomes.figure(REPLAYED, key) for key in JUDGED},
        "endless": {
            "link": curve.endless(link, rng, packets),
            **{model.name: curve.endless(model, rng, packets) for model in models},
        },
        "result": {key: value for key, value in result.items() if key != "verdicts"},
        "refuted": {model.name: goodness(model, lost, seed).refuted_by for model in models}
        if packets <= TESTED
        else {},
        "seconds": {"fit": round(fitting, 3), "all": round(time.process_time() - began, 3)},
    }


def units(sizes: list[int], traces: int, truths: list[str]) -> Iterator[tuple[str, int, int]]:
    """The quick ones first, all links in turn."""
    for packets in sizes:
        for seed in range(1, traces + 1):
            for truth in truths:
                yield truth, packets, seed


def read(path: Path) -> list[dict]:
    """The lines that are whole."""
    found = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def run(folder: Path, sizes: list[int], traces: int, truths: list[str], minutes: float, fits: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    curve = None
    if not fits:
        curve = Curve(folder / "curve.json")
        curve.measure()
    path, work = (folder / FITS, measure_fit) if fits else (folder / UNITS, measure)
    done = {tuple(one["unit"]) for one in read(path)}
    waiting = [unit for unit in units(sizes, traces, truths) if unit not in done]
    began = time.monotonic()
    with path.open("a") as file:
        for number, unit in enumerate(waiting, 1):
            if time.monotonic() - began > 60 * minutes:
                print(f"stopped after {minutes:g} minutes: {len(waiting) - number + 1} units are left")
                return
            file.write(json.dumps(work(*unit, curve)) + "\n")
            file.flush()
            left = (time.monotonic() - began) / number * (len(waiting) - number)
            print(f"\r{number} of {len(waiting)} units, {left / 60:.0f} min left ", end="", flush=True)
    print()


def share(hits: int, count: int) -> str:
    """``95.0 % [88.8, 97.9]``: Wilson's interval."""
    if not count:
        return "–"
    low, high = wilson(hits, count)
    return f"{hits / count:.0%} [{low:.0%}, {high:.0%}]"


def within(interval: list | tuple, value: float) -> bool:
    # A hair's breadth: 0 within [0, 0].
    return interval[0] - 1e-9 <= value <= interval[1] + 1e-9


def really_wrong(unit: dict, name: str) -> bool:
    """Whether an emulation, run without end, is off by more than counts as none in a figure that is judged."""
    margin = unit["result"]["settings"]["margin"]
    link, emulated = unit["endless"]["link"], unit["endless"][name]
    return any(abs(link[key] - emulated[key]) > (LOST_MARGIN if key == "concealed" else margin) for key in JUDGED)


def single(result: dict) -> dict:
    """The result as if each figure were judged by its own 95 % interval."""
    differences = {
        name: {key: value and {k: v for k, v in value.items() if k != "together"} for key, value in found.items()}
        for name, found in result["differences"].items()
    }
    return result | {"differences": differences}


def rows(found: list[dict]) -> Iterator[list[str]]:
    """Lines of the tables."""
    kinds = sorted({(unit["unit"][1], list(TRUTHS).index(unit["unit"][0])) for unit in found})
    yield ["link", "packets", "traces", "loss rate", "parameters", "PSNR", "worst 5 %", "no base layer", "difference"]
    grouped = {
        (packets, truth): [u for u in found if u["unit"][:2] == [list(TRUTHS)[truth], packets]]
        for packets, truth in kinds
    }
    for (packets, place), some in grouped.items():
        truth = list(TRUTHS)[place]
        fitted = [within(*both) for unit in some for values in unit["parameters"].values() for both in values.values()]
        cells = [share(sum(within(u["loss"]["interval"], u["loss"]["true"]) for u in some), len(some))]
        cells.append(share(sum(fitted), len(fitted)))
        for key in JUDGED:
            hits = [within((u["link"][key]["low"], u["link"][key]["high"]), u["endless"]["link"][key]) for u in some]
            cells.append(share(sum(hits), len(hits)))
        gaps = []
        for unit in some:
            for name, difference in unit["result"]["differences"].items():
                true = unit["endless"]["link"]["psnr"] - unit["endless"][name]["psnr"]
                gaps.append(within((difference["psnr"]["low"], difference["psnr"]["high"]), true))
        yield [truth, str(packets), str(len(some)), *cells, share(sum(gaps), len(gaps))]
    yield []
    yield [
        "link", "packets", "BIC right", "changed", "true model refuted by its draws", "false one not",
        "true called false, each at 95 %", "together", "wrong called false, each at 95 %", "together",
        "wrong called true",
    ]  # fmt: skip
    for (packets, place), some in grouped.items():
        truth = list(TRUTHS)[place]
        right = [unit["best"] == truth for unit in some]
        tests = [(name in HOLDS[truth], bool(by)) for unit in some for name, by in unit["refuted"].items()]
        cells = [share(sum(right), len(right)), share(sum(unit["best"] == "drift" for unit in some), len(some))]
        cells.append(share(sum(by for true, by in tests if true), sum(true for true, _ in tests)))
        cells.append(share(sum(not by for true, by in tests if not true), sum(not true for true, _ in tests)))
        verdicts = {
            kind: [
                (really_wrong(unit, name), verdict)
                for unit in some
                for name, verdict in judge(of(unit["result"])).items()
                if name != "interleaving"
            ]
            for kind, of in (("single", single), ("together", lambda result: result))
        }
        called = ("optimistic", "pessimistic")
        for wrong in (False, True):
            for kind in ("single", "together"):
                chosen = [verdict in called for is_wrong, verdict in verdicts[kind] if is_wrong == wrong]
                cells.append(share(sum(chosen), len(chosen)))
        chosen = [verdict == "true" for is_wrong, verdict in verdicts["together"] if is_wrong]
        cells.append(share(sum(chosen), len(chosen)))
        yield [truth, str(packets), *cells]


INTERVALS = ("interval", "independent")


def table(folder: Path) -> None:
    found, fitted = read(folder / UNITS), read(folder / FITS)
    if not found and not fitted:
        sys.exit(f"{folder}: no units yet; run without --table first")
    print("| link | packets | traces | loss rate | the same by Wilson | parameters |\n|---|---|---|---|---|---|")
    for packets, place in sorted({(u["unit"][1], list(TRUTHS).index(u["unit"][0])) for u in fitted}):
        truth = list(TRUTHS)[place]
        some = [u for u in fitted if u["unit"][:2] == [truth, packets]]
        rates = [share(sum(within(u["loss"][k], u["loss"]["true"]) for u in some), len(some)) for k in INTERVALS]
        named = [(name, within(*both)) for u in some for name, both in u["parameters"].get(truth, {}).items()]
        each = [
            f"{name} {share(sum(hit for other, hit in named if other == name), len(some))}"
            for name in PARAMETERS.get(truth, {})
        ]
        print(f"| {truth} | {packets} | {len(some)} | {' | '.join(rates)} | {', '.join(each) or '–'} |")
    print()
    if not found:
        return
    headed = False
    for row in rows(found):
        if not row:
            headed = False
            print()
            continue
        print(f"| {' | '.join(row)} |")
        if not headed:
            print(f"|{'---|' * len(row)}")
            headed = True
    seconds = sum(unit["seconds"]["all"] for unit in found)
    print(f"\n{len(found)} traces, {seconds / 60:.0f} minutes of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packets", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--traces", type=int, default=100)
    parser.add_argument("--links", nargs="+", choices=list(TRUTHS), default=list(TRUTHS))
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so many")
    parser.add_argument("--fits", action="store_true", help="intervals of `trace fit` alone, in little time")
    parser.add_argument("--table", action="store_true", help="print what is known so far")
    asked = parser.parse_args()
    if asked.table:
        table(asked.folder)
    else:
        run(asked.folder, asked.packets, asked.traces, asked.links, asked.minutes, asked.fits)


if __name__ == "__main__":
    main()
