# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's tables 1, 2, 5 and 6 and the grid of pe_train over pe_test, from what was measured.

Each table says which conditions it wants of which models (``wants``) and is then built (``build``).
"""

from dataclasses import dataclass

from ds2c2.paper import numbers as papernumbers
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.models import by_pictures, family_of, pe_train_text
from ds2c2.paper.numbers import BPP, PSNR
from ds2c2.paper.run import Measured, Wanted
from ds2c2.paper.table import Column, Panel, PaperTable
from ds2c2.paper.units import Condition, EvaluationError

PE_TEST = 0.16  # the paper's
GRID_LOSSES = (0.0, 0.04, 0.08, 0.16, 0.3, 0.5)
CLEAR = Condition()
EFFECT_NAMES = {
    "zero": "paper channel (a hit block's 1s become 0, nobody knows where)",
    "erase": "erasure channel (a hit block does not arrive, the receiver knows)",
}
MS_SSIM = ".4f"
PERCEPTUAL = ".4f"
MODEL_COLUMNS = (Column("model"), Column("trained"), Column("pe_train"), Column("r bpp", BPP))


@dataclass(frozen=True)
class Asked:
    """What tables are made of: the models, the one others are compared with, the grid's losses."""

    models: list[PaperModel]
    reference: PaperModel
    losses: tuple[float, ...] = GRID_LOSSES
    rivals: tuple[str, ...] = ()

    @property
    def family(self) -> list[PaperModel]:
        return family_of(self.reference, self.models)


def own(model: PaperModel, effect: str, loss: float) -> Condition:
    """A condition with the interleaver that the model was trained with."""
    return Condition(effect, loss, model.recipe.channel.interleave)


def model_cells(model: PaperModel) -> list:
    """For ``MODEL_COLUMNS``."""
    return [model.name, model.training, pe_train_text(model), model.r_bpp]


def difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def want_rows(asked: Asked) -> Wanted:
    return [(model, [CLEAR, own(model, "zero", PE_TEST)]) for model in asked.family]


def _rows_table(number: int, *paper: Panel):
    def build(asked: Asked, found: Measured) -> PaperTable:
        run, name = found.run, found.run.samples.name
        kinds = [
            ("ms_ssim", "MS-SSIM", MS_SSIM),
            *([("vgg", "VGG distance", PERCEPTUAL)] if run.vgg else []),
            *([("lpips", "LPIPS", PERCEPTUAL)] if run.lpips else []),
        ]
        rows, others = [], []
        for model in asked.family:
            hit = own(model, "zero", PE_TEST)
            clear, lossy = (found.mean(model, condition) for condition in (CLEAR, hit))
            base = found.steps(model)[-1]
            rows.append([*model_cells(model), found.bpp(model), name, clear, lossy, clear - lossy, base])
            measures = [found.mean(model, c, kind) for kind, *_ in kinds for c in (CLEAR, hit)]
            others.append([*model_cells(model), *measures])
        psnr = [Column(heading, PSNR) for heading in ("pe_test 0", "pe_test 16 %", "Δ", "PSNR(x, x')")]
        columns = (*MODEL_COLUMNS, Column("total bpp", BPP), Column("data"), *psnr)
        more = [Column(f"{title}, pe_test {loss}", form) for _, title, form in kinds for loss in ("0", "16 %")]
        panels = [Panel("PSNR in dB", columns, rows), Panel("Other measures", (*MODEL_COLUMNS, *more), others), *paper]
        return PaperTable(f"table-{number}", f"Table {number}: PSNR over rate, pe_train and pe_test", panels)

    return build


def want_pictures(asked: Asked) -> Wanted:
    """Raises ``EvaluationError`` where all were trained on as many pictures."""
    found = by_pictures(asked.reference, asked.models)
    if not found:
        counts = sorted({m.pictures for m in asked.models if m.pictures is not None})
        raise EvaluationError(
            "table 5 needs models like the reference that were trained on different numbers of pictures "
            f"(training.pictures of a recipe, or ds2c2 update); those of {asked.reference.name} are on "
            f"{', '.join(map(str, counts)) or 'unknown numbers'}"
        )
    return [(model, [CLEAR, own(model, "zero", PE_TEST)]) for model in found]


def build_pictures(asked: Asked, found: Measured) -> PaperTable:
    rows = [
        [
            *model_cells(model), found.bpp(model), model.pictures, found.steps(model)[-1], found.mean(model, CLEAR),
            found.mean(model, own(model, "zero", PE_TEST)),
        ]
        for model in by_pictures(asked.reference, asked.models)
    ]  # fmt: skip
    columns = (
        *MODEL_COLUMNS, Column("total bpp", BPP), Column("training pictures"), Column("PSNR(x, x')", PSNR),
        Column("PSNR(x, x̂), pe_test 0", PSNR), Column("PSNR(x, x̂), pe_test 16 %", PSNR),
    )  # fmt: skip
    panels = [Panel("PSNR in dB", columns, rows), papernumbers.TABLE_5]
    return PaperTable("table-5", "Table 5: low number of training pictures", panels)


def want_rates(asked: Asked) -> Wanted:
    return [(model, []) for model in asked.family]


def build_rates(asked: Asked, found: Measured) -> PaperTable:
    rows = []
    for model in asked.family:
        parts = [found.bpp(model, part) for part in ("r", "c", "s")]
        rows.append([model.name, *parts, parts[1] + parts[2], sum(parts), (parts[1] + parts[2]) / 3, sum(parts) / 3])
    headings = ("r", "c", "s", "c and s", "total", "c and s, ÷ 3", "total, ÷ 3")
    columns = (Column("model"), *(Column(heading, ".4f") for heading in headings))
    notes = [
        "The columns ÷ 3 divide by the three colours of a pixel, as DSSLIC's evaluation does; the paper's c and s fit "
        "that reading, while its r is C / 4^d undivided."
    ]
    panels = [Panel("Bits per pixel", columns, rows), papernumbers.TABLE_6]
    return PaperTable("table-6", "Table 6: what r, c and s contribute", panels, notes)


def want_grid(asked: Asked) -> Wanted:
    return [
        (model, [own(model, effect, loss) for effect in EFFECT_NAMES for loss in asked.losses])
        for model in asked.family
    ]


def build_grid(asked: Asked, found: Measured) -> PaperTable:
    panels = []
    for effect, words in EFFECT_NAMES.items():
        rows = [
            [*model_cells(model), *(found.mean(model, own(model, effect, loss)) for loss in asked.losses)]
            for model in asked.family
        ]
        columns = (*MODEL_COLUMNS, *(Column(f"{100 * loss:g} %", PSNR) for loss in asked.losses))
        panels.append(Panel(f"PSNR in dB over pe_test, {words}", columns, rows))
    return PaperTable("grid", "pe_train over pe_test", panels)


build_1 = _rows_table(1, papernumbers.TABLE_1)
build_2 = _rows_table(2, papernumbers.TABLE_2, papernumbers.SECTION_4_3)
