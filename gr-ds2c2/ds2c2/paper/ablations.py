# SPDX-License-Identifier: GPL-3.0-or-later
"""What each part of the paper's chain is worth: models that differ from a reference in one setting."""

from ds2c2.paper import numbers as papernumbers
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.models import complete, course, differences, principal, relatives
from ds2c2.paper.numbers import BPP, PSNR
from ds2c2.paper.run import Measured, Wanted
from ds2c2.paper.table import Column, Panel, PaperTable
from ds2c2.paper.tables import CLEAR, EFFECT_NAMES, PE_TEST, Asked, difference, own
from ds2c2.paper.units import Condition

GAIN = "+.2f"
CONDITIONS = (("pe_test 0", ""), ("paper channel 16 %", "zero"), ("erasure channel 16 %", "erase"))


def _condition(model: PaperModel, effect: str) -> Condition:
    return own(model, effect, PE_TEST) if effect else CLEAR


def want_ablations(asked: Asked) -> Wanted:
    wanted = [
        (model, [_condition(model, effect) for _, effect in CONDITIONS])
        for model in (asked.reference, *relatives(asked.reference, asked.models))
    ]
    both = [Condition(effect, PE_TEST, on) for effect in EFFECT_NAMES for on in (True, False)]
    return [*wanted, (asked.reference, both), *((model, [CLEAR]) for model in complete(asked.models))]


def build_ablations(asked: Asked, found: Measured) -> PaperTable:
    panels = [_settings(asked, found), _interleaver(asked, found), _steps(asked, found), papernumbers.CLAIMS]
    notes = [
        f"The reference is {asked.reference.name}; the others of the first panel have its pe_train and its pictures.",
        "Where the original is encoded and there is no SumNet, the picture does not depend on c and s: they are not "
        "sent and not counted.",
    ]
    if not relatives(asked.reference, asked.models):
        notes.append("None of the models given differs from the reference in its settings alone.")
    return PaperTable("ablations", "What each part is worth", panels, notes)


def _settings(asked: Asked, found: Measured) -> Panel:
    reference = asked.reference
    ours = [found.mean(reference, _condition(reference, effect)) for _, effect in CONDITIONS]
    rows = []
    for model in (reference, *relatives(reference, asked.models)):
        changed = differences(principal(reference), principal(model))
        values = [f"{_text(principal(reference)[key])} → {_text(principal(model)[key])}" for key in changed]
        run = [
            f"{key} {_text(course(reference)[key])} → {_text(course(model)[key])}"
            for key in differences(course(reference), course(model))
        ]
        figures = [found.mean(model, _condition(model, effect)) for _, effect in CONDITIONS]
        pairs = zip(figures, ours, strict=True)
        gains = [(figure, difference(figure, mine) if model is not reference else None) for figure, mine in pairs]
        rows.append([
            model.name, ", ".join(changed) or "reference", ", ".join(values) or None, ", ".join(run) or None,
            found.bpp(model), *(cell for pair in gains for cell in pair),
        ])  # fmt: skip
    columns = [Column("model"), Column("setting"), Column("change"), Column("its run differs in")]
    columns.append(Column("total bpp", BPP))
    for heading, _ in CONDITIONS:
        columns += [Column(heading, PSNR), Column("Δ", GAIN)]
    return Panel("Settings changed, PSNR in dB", tuple(columns), rows)


def _interleaver(asked: Asked, found: Measured) -> Panel:
    rows = []
    for effect, words in EFFECT_NAMES.items():
        on, off = (found.mean(asked.reference, Condition(effect, PE_TEST, is_on)) for is_on in (True, False))
        rows.append([words, on, off, difference(off, on)])
    columns = (Column("16 % of the blocks"), Column("interleaved", PSNR), Column("in order", PSNR), Column("Δ", GAIN))
    return Panel(f"{asked.reference.name} with and without the interleaver in the test, PSNR in dB", columns, rows)


def _steps(asked: Asked, found: Measured) -> Panel:
    models = complete(asked.models)
    steps = {model.digest: found.steps(model) for model in models}
    most = max(len(values) for values in steps.values())
    rows = []
    for model in models:
        values = steps[model.digest]
        plain, whole = (found.mean(model, CLEAR, name) for name in ("sum_psnr", "psnr"))
        rows.append([
            model.name, *values, *[None] * (most - len(values)), values[-1] - values[0], plain, whole,
            difference(whole, plain),
        ])  # fmt: skip
    columns = [Column("model"), Column("c'", PSNR), *(Column(f"x'_{step}", PSNR) for step in range(1, most))]
    columns += [
        Column("RGAN over c'", GAIN), Column("x' + r̂", PSNR), Column("x̂", PSNR), Column("SumNet", GAIN),
    ]  # fmt: skip
    return Panel("Steps of the chain without loss, PSNR in dB", tuple(columns), rows)


def _text(value: object) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
