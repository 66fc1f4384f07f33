# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's tables 3 and 4: our models beside picture codecs of the same total rate, picture by picture."""

from ds2c2.channels.symbolchannel import BITS_A_BYTE
from ds2c2.evaluation.rivals.rivals import label
from ds2c2.paper import numbers as papernumbers
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.models import pe_train_text, with_and_without_errors
from ds2c2.paper.numbers import BPP, PSNR
from ds2c2.paper.run import Measured, Wanted, WantedOfRivals, code_budgets, mean
from ds2c2.paper.table import Column, Panel, PaperTable
from ds2c2.paper.tables import CLEAR, MS_SSIM, PE_TEST, Asked, own
from ds2c2.paper.units import EvaluationError
from ds2c2.stream.protection import OUTAGE

PERCENT = ".1f"
SAME_RATE = (
    "A rival's file takes at most as many bytes as c, s and r of the same picture together; where none of its files is "
    "that small the receiver shows mid-grey."
)
FOR_FREE = (
    "Our c and s arrive and their bits are counted without protection (the paper's rule), a favour that no rival's "
    "file has; `ds2c2 benchmark --rules air` counts that protection."
)


def _lossless(asked: Asked) -> list[PaperModel]:
    """Models of pe_train 0, as in the paper, or all where there are none."""
    return [model for model in asked.family if model.pe_train == (0, 0)] or asked.family


def _fits(found: Measured, name: str, budgets: list[int]) -> int:
    return sum(found.rival(name, index, budget)["bytes"] is not None for index, budget in enumerate(budgets))


def _budgets(found: Measured, model: PaperModel) -> list[int]:
    return [found.budget(model, index) for index in range(len(found.run.digests))]


def _pixels(found: Measured, model: PaperModel, index: int) -> int:
    return found.units["model", model.digest, found.run.digests[index], "sent"]["pixels"]


def _bpp(found: Measured, model: PaperModel, name: str, budgets: list[int]) -> float | None:
    """Of a rival's files, where there are any."""
    sizes = [(found.rival(name, i, budget)["bytes"], _pixels(found, model, i)) for i, budget in enumerate(budgets)]
    return mean(BITS_A_BYTE * size / pixels for size, pixels in sizes if size is not None)


def _clear(found: Measured, name: str, budgets: list[int], what: str = "psnr") -> float | None:
    return mean(found.rival(name, index, budget)[what] for index, budget in enumerate(budgets))


def _share(clear: float, lossy: float | None) -> float | None:
    """What is lost, in % of the benchmark's PSNR, as the paper has it."""
    return None if lossy is None else 100 * (clear - lossy) / clear


def want_lossless(asked: Asked) -> Wanted:
    return [(model, [CLEAR]) for model in _lossless(asked)]


def rivals_lossless(asked: Asked, found: Measured) -> WantedOfRivals:
    return [
        (name, index, {found.budget(model, index)}, set())
        for model in _lossless(asked)
        for name in asked.rivals
        for index in range(len(found.run.digests))
    ]


def build_lossless(asked: Asked, found: Measured) -> PaperTable:
    panels, count = [], len(found.run.digests)
    columns = (
        Column("codec"), Column("bpp", BPP), Column("PSNR", PSNR), Column("MS-SSIM", MS_SSIM),
        Column("pictures that fit"),
    )  # fmt: skip
    for model in _lossless(asked):
        budgets = _budgets(found, model)
        ours = [found.mean(model, CLEAR, kind) for kind in ("psnr", "ms_ssim")]
        rows = [[f"DS²C², {model.name}", found.bpp(model), *ours, f"{count} of {count}"]]
        for name in asked.rivals:
            measures = [_clear(found, name, budgets, kind) for kind in ("psnr", "ms_ssim")]
            fits = f"{_fits(found, name, budgets)} of {count}"
            rows.append([label(name), _bpp(found, model, name, budgets), *measures, fits])
        title = f"At the rate of {model.name} (r {model.r_bpp:g} bpp, pe_train {pe_train_text(model)}), no loss"
        panels.append(Panel(title, columns, rows))
    return PaperTable(
        "table-3", "Table 3: beside picture codecs, no loss", [*panels, papernumbers.TABLE_3], [SAME_RATE]
    )


def _groups(asked: Asked) -> list[tuple[PaperModel, list[PaperModel]]]:
    """Raises ``EvaluationError`` where models with or without errors in training are missing."""
    found = with_and_without_errors(asked.family)
    if not found:
        given = ", ".join(f"{model.name} ({pe_train_text(model)})" for model in asked.family)
        raise EvaluationError(
            "table 4 needs a model of pe_train 0 and one of pe_train above 0 (8 % in the paper), otherwise alike; "
            f"those like the reference are {given}"
        )
    return found


def want_losses(asked: Asked) -> Wanted:
    """Raises ``EvaluationError``."""
    return [
        (model, [CLEAR, own(model, "zero", PE_TEST), own(model, "erase", PE_TEST)])
        for plain, trained in _groups(asked)
        for model in (plain, *trained)
    ]


def rivals_losses(asked: Asked, found: Measured) -> WantedOfRivals:
    wanted = []
    for plain, _ in _groups(asked):
        for index, budget in enumerate(_budgets(found, plain)):
            coded = code_budgets(budget, found.run.block_size, PE_TEST)
            for name in asked.rivals:
                wanted.append((name, index, {budget, *coded}, {(budget, PE_TEST)}))
    return wanted


def build_losses(asked: Asked, found: Measured) -> PaperTable:
    panels = []
    for plain, trained in _groups(asked):
        panels += [_unknown(asked, found, plain, trained), _erased(asked, found, plain, trained)]
    notes = [
        SAME_RATE, FOR_FREE,
        "Loss, in % of the PSNR without loss of the first column, as the paper has it (of the model without errors in "
        "training, for both).",
        "Paper channel: a rival's bare file goes through it in its own order, without an interleaver, which leaves "
        "more of it whole; its decoder makes of it what it can, and where it refuses the receiver shows mid-grey.",
        "Erasure channel: a bare file is lost, and the picture grey, when one of its blocks is. The codes are ideal "
        "(MDS): one for a channel that loses exactly 16 % of the blocks, as this one does, and one that holds when "
        f"each block is lost by itself, with an outage of {OUTAGE:.0%} at most.",
    ]  # fmt: skip
    return PaperTable("table-4", "Table 4: losses", [*panels, papernumbers.TABLE_4], notes)


def _unknown(asked: Asked, found: Measured, plain: PaperModel, trained: list[PaperModel]) -> Panel:
    """The paper channel, by which bare files are damaged."""
    budgets = _budgets(found, plain)
    clear, lossy = found.mean(plain, CLEAR), found.mean(plain, own(plain, "zero", PE_TEST))
    rows = []
    for model in trained:
        better = found.mean(model, own(model, "zero", PE_TEST))
        rows.append([
            f"DS²C², {plain.name} and {model.name}", found.bpp(plain), clear, lossy, _share(clear, lossy),
            pe_train_text(model), better, _share(clear, better), None,
        ])  # fmt: skip
    for name in asked.rivals:
        bare = _clear(found, name, budgets)
        damaged = [found.damaged(name, index, budget, PE_TEST) for index, budget in enumerate(budgets)]
        shown = mean(value for unit in damaged for value in unit["psnr"])
        refused = [value for unit in damaged for value in unit["refused"]]
        counts = f"{sum(refused)} of {len(refused)}"
        rate = _bpp(found, plain, name, budgets)
        rows.append([label(name), rate, bare, shown, _share(bare, shown), None, None, None, counts])
    columns = (
        Column("codec"), Column("bpp", BPP), Column("benchmark, no loss", PSNR),
        Column("trained without errors, pe_test 16 %", PSNR), Column("loss, %", PERCENT), Column("pe_train"),
        Column("trained with errors, pe_test 16 %", PSNR), Column("loss, %", PERCENT), Column("files refused"),
    )  # fmt: skip
    title = f"(a) Paper channel, positions unknown, at the rate of {plain.name} (r {plain.r_bpp:g} bpp), PSNR in dB"
    return Panel(title, columns, rows)


def _erased(asked: Asked, found: Measured, plain: PaperModel, trained: list[PaperModel]) -> Panel:
    """The erasure channel, where codes help."""
    budgets, size = _budgets(found, plain), found.run.block_size
    clear, rows = found.mean(plain, CLEAR), []
    for model in (plain, *trained):
        lossy = found.mean(model, own(model, "erase", PE_TEST))
        how = f"pe_train {pe_train_text(model)}, lost symbols read 0"
        rows.append([f"DS²C², {model.name}", how, found.bpp(model), found.mean(model, CLEAR), lossy,
                     _share(clear, lossy)])  # fmt: skip
    coded = list(zip(*(code_budgets(budget, size, PE_TEST) for budget in budgets), strict=True))
    for name in asked.rivals:
        bare = _clear(found, name, budgets)
        lossy = mean(
            entry["grey_psnr"] if hit else entry["psnr"]
            for index, budget in enumerate(budgets)
            for entry in [found.rival(name, index, budget)]
            for hit in found.damaged(name, index, budget, PE_TEST)["hit"]
        )
        rate = _bpp(found, plain, name, budgets)
        rows.append([label(name), "bare", rate, bare, lossy, _share(bare, lossy)])
        for how, kept in zip(("code for exactly 16 %", f"code for 16 %, outage {OUTAGE:.0%}"), coded, strict=True):
            lossy = _clear(found, name, list(kept))
            rows.append([label(name), how, found.bpp(plain), lossy, lossy, _share(bare, lossy)])
    columns = (
        Column("codec"), Column("how"), Column("bpp", BPP), Column("no loss", PSNR), Column("16 % lost", PSNR),
        Column("loss, %", PERCENT),
    )  # fmt: skip
    title = f"(b) Erasure channel, positions known, at the rate of {plain.name} (r {plain.r_bpp:g} bpp), PSNR in dB"
    return Panel(title, columns, rows)
