#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the 95 % intervals of `trace fit` and `compare` hold what they say, and how often are true models called false?

    calibration.py FOLDER [--packets 2000 20000 200000] [--traces 100] [--draws 40] [--minutes M]
    calibration.py FOLDER --worlds
    calibration.py FOLDER --fits
    calibration.py FOLDER --table [--packets 2000] [--links iid drift]

Draws traces from links that are known, fits and sends over each as the commands do, and appends a line a trace to
FOLDER/units.jsonl; begun again it goes on where it was, after --minutes it stops. The figures of every draw are kept,
so that --table judges them by the intervals of today. What traces drawn anew say of the worst frames is measured by
--worlds, after the units; without it a trace is counted neither there nor in the verdicts. In place of pictures and
codec stands FOLDER/curve.json, measured once: the PSNR of scikit-image's four photographs (512x512, 0.26 bpp) over the
blocks that are lost; whether the base layer is lost is counted in its symbols. So losses of equal number count alike.
What a link would give in an endless run is measured on 100 000 frames (FOLDER/endless.json), what its emulations would
on 4000 each.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gr-ds2c2"))

import numpy as np
from knownlinks import HOLDS, PARAMETERS, TRUTHS, drawn
from measuredcurve import STREAM, Curve

from ds2c2.evaluation.compare.compare import (
    REPLAYED,
    ComparisonSettings,
    draw_losses,
    figures_of,
    judged,
    replay_places,
)
from ds2c2.evaluation.compare.figures import JUDGED, ChannelFigures, Worlds
from ds2c2.evaluation.compare.words import LOST_MARGIN
from ds2c2.evaluation.compare.worlds import redrawn
from ds2c2.evaluation.outcomes import Reception, Source
from ds2c2.traces.goodness import goodness
from ds2c2.traces.lossmodels import BASIC, batch_interval, bootstrap_block, fit, wilson

FITTED = 2000  # packets up to which hidden chains are fitted; longer ones take minutes
UNITS, FITS, TESTS, WORLDS = "units.jsonl", "fits.jsonl", "tests.jsonl", "worlds.jsonl"
INTERVALS = ("interval", "independent")
SIZES = (2000, 20_000, 200_000)
ENDLESS = 100_000  # frames
CALLED_WRONG = ("optimistic", "pessimistic")


def settings_of(curve: Curve, seed: int, draws: int) -> ComparisonSettings:
    sources = tuple(Source(name, "", "", STREAM.width, STREAM.height) for name in curve.found)
    return ComparisonSettings(sources, (STREAM,) * len(sources), draws=draws, seed=seed)


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
    models = fit(lost, (truth,)) if truth in PARAMETERS else []
    ends = {"interval": batch_interval(lost), "independent": wilson(int(lost.sum()), len(lost))}
    return {
        "unit": [truth, packets, seed],
        "loss": {"true": TRUTHS[truth].loss, **ends},
        "parameters": parameters_of(truth, models),
        "seconds": {"all": round(time.process_time() - began, 3)},
    }


def measure(truth: str, packets: int, seed: int, curve: Curve, draws: int) -> dict:
    """One trace: drawn, fitted, sent over."""
    lost, rng = drawn(truth, packets, seed)
    began = time.process_time()
    asked = {*BASIC, truth} - ({"hidden-markov"} if packets > FITTED else set())
    models = fit(lost, tuple(asked))
    fitting = time.process_time() - began
    # A seed of its own: with one for all, the same chance of an emulation's draws is counted with every trace.
    losses = draw_losses(settings_of(curve, seed, draws), lost, models)
    channels = {}
    for channel in (REPLAYED, *(model.name for model in models)):
        received = [curve.receive(np.array(drawn_losses)) for drawn_losses in losses[channel]]
        channels[channel] = {
            "psnr": [np.round(values[place], 3).tolist() for place, (values, _) in enumerate(received)],
            "concealed": [hidden.astype(int).tolist() for _, hidden in received],
        }
    return {
        "unit": [truth, packets, seed],
        "parameters": parameters_of(truth, models),
        "bic": {model.name: model.bic for model in models},
        "block": bootstrap_block(lost),
        "channels": channels,
        "endless": {model.name: curve.endless(model, rng, packets) for model in models},
        "seconds": {"fit": round(fitting, 3), "all": round(time.process_time() - began, 3)},
    }


def refutations(truth: str, packets: int, seed: int, curve: Curve | None) -> dict:
    """One trace: what `goodness` says of each model."""
    lost, _ = drawn(truth, packets, seed)
    began = time.process_time()
    models = fit(lost, tuple({*BASIC, truth}))
    return {
        "unit": [truth, packets, seed],
        "refuted": {model.name: goodness(model, lost, seed).refuted_by for model in models},
        "seconds": {"all": round(time.process_time() - began, 3)},
    }


@lru_cache(maxsize=1)
def kept(folder: Path) -> dict[tuple, dict]:
    """The units that are measured."""
    return {tuple(unit["unit"]): unit for unit in read(folder / UNITS)}


def measure_worlds(truth: str, packets: int, seed: int, curve: Curve) -> dict:
    """One trace: by how much intervals of its worst frames must be wider, seen in draws from its models."""
    unit = kept(curve.path.parent).get((truth, packets, seed))
    if unit is None:
        sys.exit(f"{truth}, {packets} packets, seed {seed} is not measured yet; run without --worlds first")
    began = time.process_time()
    lost, _ = drawn(truth, packets, seed)
    names = tuple(unit["bic"])
    settings = settings_of(curve, seed_of(unit), draws_of(unit))
    places = [replay_places(settings, packets, place) for place in range(len(settings.streams))]
    outcomes = outcomes_of(unit, curve)
    windows = [STREAM.blocks] * len(places)
    again = {
        model.name: redrawn(
            model, packets, places, windows, lambda place, lost: curve.receive(lost)[0][place], settings.seed
        )
        for model in fit(lost, names)
    }
    outcomes.allow_for(again, min(unit["bic"], key=unit["bic"].get), float(curve.grey.min()))
    return {
        "unit": [truth, packets, seed],
        "worlds": {
            name: [np.round(one, 5).tolist() for one in (found.off, found.errors)]
            for name, found in outcomes.worlds.items()
        },
        "seconds": {"all": round(time.process_time() - began, 3)},
    }


def endless(folder: Path, curve: Curve) -> dict[str, dict[str, float]]:
    """What each link would give in an endless run; of the drifting one, in its parts' shares."""
    path = folder / "endless.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    for number, (truth, link) in enumerate(TRUTHS.items()):
        if truth not in found:
            found[truth] = curve.endless(link, np.random.default_rng([1, number]), max(SIZES), ENDLESS)
            path.write_text(json.dumps(found, indent=1))
    return found


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


WORK = {UNITS: measure, FITS: measure_fit, TESTS: refutations, WORLDS: measure_worlds}


def run(path: Path, sizes: list[int], traces: int, truths: list[str], minutes: float, *more: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    curve = Curve(path.parent / "curve.json")
    if path.name == UNITS:
        curve.measure()
        endless(path.parent, curve)
    done = {tuple(one["unit"]) for one in read(path)}
    waiting = [unit for unit in units(sizes, traces, truths) if unit not in done]
    began = time.monotonic()
    with path.open("a") as file:
        for number, unit in enumerate(waiting, 1):
            if time.monotonic() - began > 60 * minutes:
                print(f"stopped after {minutes:g} minutes: {len(waiting) - number + 1} units are left")
                return
            file.write(json.dumps(WORK[path.name](*unit, curve, *more)) + "\n")
            file.flush()
            left = (time.monotonic() - began) / number * (len(waiting) - number)
            print(f"\r{number} of {len(waiting)} units, {left / 60:.0f} min left ", end="", flush=True)
    print()


def share(hits: list[bool]) -> str:
    """``95 % [89, 98]`` with Wilson's interval, and of how many."""
    if not hits:
        return "–"
    low, high = (100 * end for end in wilson(sum(hits), len(hits)))
    return f"{100 * sum(hits) / len(hits):.0f} % [{low:.0f}, {high:.0f}] of {len(hits)}"


def within(interval: list | tuple, value: float) -> bool:
    # A hair's breadth: 0 within [0, 0].
    return interval[0] - 1e-9 <= value <= interval[1] + 1e-9


def seed_of(unit: dict) -> int:
    """Of its draws: that of the trace."""
    return unit["unit"][2]


def draws_of(unit: dict) -> int:
    """Replays of each picture."""
    return len(unit["channels"][REPLAYED]["psnr"][0])


def outcomes_of(unit: dict, curve: Curve) -> ChannelFigures:
    """What became of the pictures."""
    _, packets, _ = unit["unit"]
    received = {
        name: [
            [Reception(value, None, bool(hidden)) for value, hidden in zip(values, concealed, strict=True)]
            for values, concealed in zip(channel["psnr"], channel["concealed"], strict=True)
        ]
        for name, channel in unit["channels"].items()
    }
    return figures_of(settings_of(curve, seed_of(unit), draws_of(unit)), received, packets, unit["block"])


def now(unit: dict, curve: Curve, again: dict[str, list] | None) -> tuple[dict, dict]:
    """The figures of the link, and how `compare` judges the emulations."""
    _, packets, _ = unit["unit"]
    settings = settings_of(curve, seed_of(unit), draws_of(unit))
    outcomes = outcomes_of(unit, curve)
    if again:
        likest = min(unit["bic"], key=unit["bic"].get)
        outcomes.keep({name: Worlds(*found) for name, found in again.items()}, likest, float(curve.grey.min()))
    models = [SimpleNamespace(name=name, bic=bic) for name, bic in unit["bic"].items()]
    # Only the trace's length matters here.
    result = judged(settings, outcomes, np.zeros(packets, bool), models, JUDGED)
    return {key: outcomes.figure(REPLAYED, key) for key in JUDGED}, result


def wrong(link: dict, emulated: dict, margin: float) -> bool:
    """Whether an emulation, run without end, is off by more than counts as none in a figure that is judged."""
    return any(abs(link[key] - emulated[key]) > (LOST_MARGIN if key == "concealed" else margin) for key in JUDGED)


class Tally:
    """What became of all traces of one link and length."""

    def __init__(self, truth: str, some: list[dict], link: dict, worlds: dict[tuple, dict], curve: Curve):
        self.covered = {key: [] for key in (*JUDGED, "difference", "zero")}
        self.verdicts: dict[str, list[str]] = {"true": [], "right": [], "wrong": [], "iid": []}
        for unit in some:
            again = worlds.get(tuple(unit["unit"]))
            figures, result = now(unit, curve, again)
            for key, figure in figures.items():
                if key == "worst-5" and again is None:
                    continue
                self.covered[key].append(within((figure["low"], figure["high"]), link[key]))
            for name, differences in result["differences"].items():
                ends = differences["psnr"]["low"], differences["psnr"]["high"]
                endless_here = unit["endless"][name]
                self.covered["difference"].append(within(ends, link["psnr"] - endless_here["psnr"]))
                verdict = result["verdicts"][name]
                if name == truth:
                    self.covered["zero"].append(within(ends, 0.0))
                if again is None:
                    continue
                if name in HOLDS[truth]:
                    self.verdicts["true"].append(verdict)
                off = wrong(link, endless_here, result["settings"]["margin"])
                self.verdicts["wrong" if off else "right"].append(verdict)
                if name == "iid" and truth != "iid" and off:
                    self.verdicts["iid"].append(verdict)

    def said(self, kind: str, *verdicts: str) -> str:
        """How often ``kind`` of emulations got one of the ``verdicts``."""
        return share([verdict in verdicts for verdict in self.verdicts[kind]])


def grouped(found: list[dict]) -> Iterator[tuple[str, int, list[dict]]]:
    """Units by link and length."""
    for packets, place in sorted({(unit["unit"][1], list(TRUTHS).index(unit["unit"][0])) for unit in found}):
        truth = list(TRUTHS)[place]
        yield truth, packets, [unit for unit in found if unit["unit"][:2] == [truth, packets]]


def printed(head: list[str], rows: list[list[str]]) -> None:
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(row)} |")
    print()


def table(folder: Path, sizes: list[int], truths: list[str]) -> None:
    def asked(unit: dict) -> bool:
        truth, packets, _ = unit["unit"]
        return truth in truths and packets in sizes

    found, fitted, tested, again = (list(filter(asked, read(folder / name))) for name in WORK)
    if not found and not fitted and not tested:
        sys.exit(f"{folder}: no units yet; run without --table first")
    lines = []
    for truth, packets, some in grouped(fitted):
        rates = [share([within(u["loss"][kind], u["loss"]["true"]) for u in some]) for kind in INTERVALS]
        each = [
            f"{name} {share([within(*u['parameters'][truth][name]) for u in some if truth in u['parameters']])}"
            for name in PARAMETERS.get(truth, {})
        ]
        lines.append([truth, str(packets), *rates, ", ".join(each) or "–"])
    printed(["link", "packets", "loss rate", "the same by Wilson", "parameters"], lines)
    curve = Curve(folder / "curve.json")
    links = endless(folder, curve) if found else {}
    worlds = {tuple(unit["unit"]): unit["worlds"] for unit in again}
    covered, called = [], []
    for truth, packets, some in grouped(found):
        tally = Tally(truth, some, links[truth], worlds, curve)
        covered.append([truth, str(packets), *(share(hits) for hits in tally.covered.values())])
        right = [min(u["bic"], key=u["bic"].get) == truth for u in some]
        called.append(
            [truth, str(packets), share(right)]
            + [tally.said(kind, *CALLED_WRONG) for kind in ("true", "right", "wrong", "iid")]
            + [tally.said(kind, "true") for kind in ("wrong", "iid")]
        )
    printed(["link", "packets", "PSNR", "worst 5 %", "no base layer", "difference", "0, of the true model"], covered)
    head = ["link", "packets", "BIC right", "true called false", "right within the margin called false"]
    head += ["wrong called false", "i.i.d. called false", "wrong called true", "i.i.d. called true"]
    printed(head, called)
    lines = []
    for truth, packets, some in grouped(tested):
        kinds = [(name in HOLDS[truth], bool(by)) for unit in some for name, by in unit["refuted"].items()]
        lines.append([truth, str(packets), *(share([by for true, by in kinds if true == k]) for k in (True, False))])
    printed(["link", "packets", "true model refuted by its draws", "false model refuted"], lines)
    seconds = sum(unit["seconds"]["all"] for unit in [*found, *fitted, *tested, *again])
    print(f"{len(found)}, {len(fitted)} and {len(tested)} traces, {seconds / 60:.0f} minutes of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packets", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--traces", type=int, default=100)
    parser.add_argument("--draws", type=int, default=40, help="replays and emulations of each picture")
    parser.add_argument("--links", nargs="+", choices=list(TRUTHS), default=list(TRUTHS))
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so many")
    parser.add_argument("--fits", action="store_true", help="intervals of `trace fit` alone")
    parser.add_argument("--worlds", action="store_true", help="what traces drawn anew say of the worst frames")
    parser.add_argument("--tests", action="store_true", help="what refutes a model of many links")
    parser.add_argument("--table", action="store_true", help="print what is known so far")
    asked = parser.parse_args()
    if asked.table:
        table(asked.folder, asked.packets, asked.links)
    else:
        name = FITS if asked.fits else TESTS if asked.tests else WORLDS if asked.worlds else UNITS
        draws = (asked.draws,) if name == UNITS else ()
        run(asked.folder / name, asked.packets, asked.traces, asked.links, asked.minutes, *draws)


if __name__ == "__main__":
    main()
