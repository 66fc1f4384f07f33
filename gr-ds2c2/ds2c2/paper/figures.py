# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's figures 4 to 11 from trained models: what is shown, and what is said of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ds2c2.channels.symbolchannel import BITS_A_BYTE
from ds2c2.evaluation.rivals.rivals import RIVALS, best_within, missing
from ds2c2.networks.binarizer import binarize
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import choose_device, load_networks
from ds2c2.paper.archive import PaperModel
from ds2c2.paper.chain import SentPicture, receive_picture, send_picture
from ds2c2.paper.figuresheet import CaptionedPicture
from ds2c2.paper.latents import (
    RESIDUAL_GAIN,
    correlation,
    describe,
    label_picture,
    neighbour_correlation,
    palette,
    residual_picture,
    tile,
)
from ds2c2.paper.samples import evenly
from ds2c2.paper.tables import PE_TEST
from ds2c2.paper.units import Condition, EvaluationError, PaperRun, channel_of
from ds2c2.pictures.labelsets import LabelSet, label_set_of
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import to_picture, to_tensor
from ds2c2.stream.geometry import LEVELS, MID_GREY

# For figure 8 the paper's own neural rival first.
NEURAL = ("cheng2020-attn", "mbt2018-mean", "bmshj2018-hyperprior", "bmshj2018-factorized")
STAND_IN = "hevc"
WITH_RIVAL = 8  # the figure that has one


@dataclass(frozen=True)
class PaperFigure:
    """A figure: rows of panels under a title, what must be known to read it, and what it was made of."""

    number: int
    title: str
    rows: list[list[CaptionedPicture]]
    notes: list[str]
    models: list[PaperModel]
    pictures: list[str]


@dataclass(frozen=True)
class Shown:
    """One picture of a run, by its index there; ``rival`` as ``choose_rival`` gives it."""

    run: PaperRun
    index: int
    name: str
    original: np.ndarray
    labels: np.ndarray
    rival: tuple[str, str]

    @property
    def panel(self) -> CaptionedPicture:
        return CaptionedPicture(f"{self.name}: original", self.original)

    def quality(self, picture: np.ndarray) -> str:
        similarity = ms_ssim(self.original, picture)
        text = f"{psnr(self.original, picture):.2f} dB"
        return text if math.isnan(similarity) else f"{text}, MS-SSIM {similarity:.4f}"

    def bpp(self, bits: int) -> str:
        return f"{bits / self.labels.size:.4f}"

    def rate(self, sent: SentPicture) -> str:
        parts = f"r {self.bpp(sent.r_bits)}, c {self.bpp(sent.c_bits)}, s {self.bpp(sent.s_bits)}"
        return f"{self.bpp(sent.bits)} bpp ({parts})"


@lru_cache(maxsize=2)
def _networks(path: Path, device: str) -> PaperNetworks:
    return load_networks(path, choose_device(device))


@dataclass(frozen=True)
class Way:
    """A picture through a model: what was sent of it."""

    model: PaperModel
    shown: Shown
    networks: PaperNetworks
    sent: SentPicture

    @classmethod
    def of(cls, model: PaperModel, shown: Shown) -> "Way":
        networks = _networks(model.path, shown.run.device)
        return cls(model, shown, networks, send_picture(networks, shown.original, shown.labels))

    @property
    def pixels(self) -> Tensor:
        return to_tensor(self.shown.original).to(self.sent.base.device)

    def through(self, loss: float) -> tuple[Tensor, Tensor]:
        """Received symbols and which were hit, in the paper's channel; the hits are those of a table's
        first draw."""
        run, sent = self.shown.run, self.sent
        condition = Condition("zero", loss, self.model.recipe.channel.interleave)
        channel = channel_of(run, self.model, condition)
        hits = channel.draw(sent.r_bits, loss, run.generator(self.shown.index, 0)).to(sent.symbols.device)
        return channel.through(sent.symbols.flatten(), hits).view_as(sent.symbols), hits.view_as(sent.symbols)

    def estimate(self, loss: float = 0.0) -> np.ndarray:
        return receive_picture(self.networks, self.sent, self.through(loss)[0]).picture


def ones(symbols: Tensor) -> np.ndarray:
    """Symbols ``(1, C, h, w)`` as ``bool[C, h, w]``."""
    return (symbols[0] > 0).cpu().numpy()


def per_cent(share: float) -> str:
    return f"{100 * share:g} %"


def pe_train(model: PaperModel) -> str:
    low, high = model.pe_train
    return f"pe_train {per_cent(low)}" if low == high else f"pe_train {100 * low:g} to {per_cent(high)}"


def signed(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:+.3f}"


def residual_levels(residual: Tensor) -> np.ndarray:
    """``(1, 3, H, W)`` in [-1, 1] to ``float[H, W, 3]`` in 8-bit levels."""
    return residual[0].permute(1, 2, 0).float().cpu().numpy() * LEVELS


# Rows of panels of one picture, and what is said of it.
Part = tuple[list[list[CaptionedPicture]], list[str]]


def _through_the_channel(models: list[PaperModel], shown: Shown) -> Part:
    way = Way.of(models[0], shown)
    received, hit = way.through(PE_TEST)
    before, after, hits = ones(way.sent.symbols), ones(received), hit[0].cpu().numpy()
    turned = before & ~after
    width = shown.original.shape[1]
    captions = (
        f"{shown.name}: r before the interleaver, {len(before)} channels\n{describe(before)}",
        f"r' after the deinterleaver, {per_cent(PE_TEST)} of the blocks hit\n{describe(after)}",
        f"the mask: black where a symbol was in a hit block, {hits.mean():.1%}",
        f"black where a 1 became a 0, {turned.mean():.1%} of the symbols",
    )
    panels = [
        CaptionedPicture(caption, tile(latents, width))
        for caption, latents in zip(captions, (before, after, ~hits, ~turned), strict=True)
    ]
    note = (
        f"{shown.name}: before {describe(before)}; after {describe(after)}; correlation of before and after "
        f"{signed(correlation(before, after))}, {(before == after).mean():.1%} of the symbols unchanged; the mask's "
        f"neighbours' correlation {signed(neighbour_correlation(hits))}."
    )
    return [panels[:2], panels[2:]], [note]


@torch.inference_mode()
def _through_one_encoder(models: list[PaperModel], shown: Shown) -> Part:
    way = Way.of(models[0], shown)
    residual = residual_picture(residual_levels(way.pixels - way.sent.base))
    # The residual's encoder, given the picture itself.
    of_original = ones(binarize(way.networks.encoder(way.pixels).float()))
    of_residual = ones(way.sent.symbols)
    width = shown.original.shape[1]
    grey = f"the residual r = x - x', grey is 0, {RESIDUAL_GAIN} levels of grey a level"
    rows = [
        [shown.panel, CaptionedPicture(grey, residual)],
        [
            CaptionedPicture(f"latents of the original\n{describe(of_original)}", tile(of_original, width)),
            CaptionedPicture(f"latents of the residual\n{describe(of_residual)}", tile(of_residual, width)),
        ],
    ]
    note = f"{shown.name}: latents of the original: {describe(of_original)}; of the residual: {describe(of_residual)}."
    return rows, [note]


def _errors_in_training(models: list[PaperModel], shown: Shown) -> Part:
    panels, notes = [shown.panel], []
    for model, loss in ((models[0], 0.0), (models[0], PE_TEST), (models[1], PE_TEST)):
        way = Way.of(model, shown)
        picture = way.estimate(loss)
        said = f"{pe_train(model)}, pe_test {per_cent(loss)}: {shown.quality(picture)}"
        panels.append(CaptionedPicture(said, picture))
        notes.append(f"{shown.name}, {said}, {shown.rate(way.sent)}.")
    return [panels[:2], panels[2:]], notes


@torch.inference_mode()
def _residuals(models: list[PaperModel], shown: Shown) -> Part:
    way = Way.of(models[0], shown)
    estimated = residual_levels(receive_picture(way.networks, way.sent, way.sent.symbols).residual)
    residual = residual_levels(way.pixels - way.sent.base)
    size, error = (float(np.sqrt(np.mean(values**2))) for values in (residual, estimated - residual))
    row = [
        CaptionedPicture(f"{shown.name}: residual r = x - x', {size:.1f} levels rms", residual_picture(residual)),
        CaptionedPicture(f"estimated residual, {error:.1f} levels rms from r", residual_picture(estimated)),
    ]
    said = f"r is {size:.2f} levels rms, its estimate {error:.2f} levels rms from it"
    return [row], [f"{shown.name}: {said}; {shown.rate(way.sent)}."]


def choose_rival(asked: Sequence[str] = ()) -> tuple[str, str]:
    """Figure 8's rival, the first of those asked for that is there, else of CompressAI's: its name, and why
    it stands in for those, or nothing. Raises ``EvaluationError`` when there is none."""
    absent = {name: why for name in asked or (*NEURAL, STAND_IN) if (why := missing(name))}
    name = next((name for name in asked or (*NEURAL, STAND_IN) if name not in absent), "")
    if not name:
        raise EvaluationError(f"figure 8 needs a rival: {'; '.join(f'{name}: {why}' for name, why in absent.items())}")
    return name, absent[NEURAL[0]] if name == STAND_IN and not asked else ""


def _beside_a_rival(models: list[PaperModel], shown: Shown) -> Part:
    name, why = shown.rival
    rival, way = RIVALS[name], Way.of(models[0], shown)
    ours = way.estimate()
    budget = way.sent.bits // BITS_A_BYTE
    file = best_within(rival, shown.original, [budget])[budget]
    theirs = rival.decode(file.data) if file else np.full_like(shown.original, MID_GREY)
    said = [
        f"DS2C2: {shown.quality(ours)}, {shown.rate(way.sent)}",
        f"{rival.label}: {shown.quality(theirs)}, {shown.bpp(BITS_A_BYTE * len(file.data))} bpp, {file.setting}"
        if file
        else f"{rival.label}: no file is so small",
    ]
    notes = [f"{shown.name}, {text}." for text in said]
    if why:
        notes.append(f"{rival.label} stands in for a neural codec, the paper's own being {NEURAL[0]}: {why}.")
    return [[shown.panel, CaptionedPicture(said[0], ours), CaptionedPicture(said[1], theirs)]], notes


def _few_pictures(models: list[PaperModel], shown: Shown) -> Part:
    panels, notes = [shown.panel], []
    for model in models:
        way = Way.of(model, shown)
        picture = way.estimate()
        said = f"{model.pictures} training pictures: {shown.quality(picture)}"
        panels.append(CaptionedPicture(said, picture))
        base = psnr(shown.original, to_picture(way.sent.base))
        notes.append(f"{shown.name}, {said}, PSNR(x, x') {base:.2f} dB, {shown.rate(way.sent)}.")
    columns = 2 if len(panels) in (2, 4) else 3
    return [panels[at : at + columns] for at in range(0, len(panels), columns)], notes


def _synthesised(models: list[PaperModel], shown: Shown) -> Part:
    way = Way.of(models[0], shown)
    label_set, sent = label_set_of(models[0].recipe.networks.label_set), way.sent
    row, notes = [shown.panel], []
    if label_set.count:
        colours = f"s, the label map, {shown.bpp(sent.s_bits)} bpp"
        row.append(CaptionedPicture(colours, label_picture(shown.labels, label_set)))
        notes.append(f"{shown.name}, colours of s: {legend(shown.labels, label_set)}.")
    last = len(sent.steps) - 1
    for step, base in enumerate(map(to_picture, sent.steps)):
        name = "x'" if step == last else f"x'_{step}" if step else f"c', c enlarged, {shown.bpp(sent.c_bits)} bpp"
        row.append(CaptionedPicture(f"{name}: {shown.quality(base)}", base))
        notes.append(f"{shown.name}, {row[-1].caption}.")
    return [row], notes


def legend(labels: np.ndarray, label_set: LabelSet) -> str:
    """The classes that are in a label map, and their colours, in words."""
    colours = palette(label_set)
    names = [*(label_set.names or map(str, range(label_set.count))), "void"]
    present = np.unique(np.minimum(labels, label_set.void)).tolist()
    return ", ".join(f"{names[number]} #{bytes(colours[number]).hex()}" for number in present)


@dataclass(frozen=True)
class Kind:
    """A figure of the paper: its title, how many pictures it shows where none are named, what it
    shows of one, and what is to be said once."""

    title: str
    shown: int
    part: Callable[[list[PaperModel], Shown], Part]
    notes: tuple[str, ...] = ()


LATENTS = "White is a 1, black a 0; each tile is a channel."
FEW = Kind("estimates over the number of training pictures, pe_test 0", 1, _few_pictures)
KINDS = {
    4: Kind(
        f"latents of the residual before and after the channel, pe_test {per_cent(PE_TEST)}",
        2,
        _through_the_channel,
        (
            LATENTS,
            "Neighbours are symbols side by side or one above the other in a channel, correlated about its mean. The "
            "paper says that r' keeps the structure of r.",
        ),
    ),
    5: Kind(
        "latents of the original and of the residual through the same BResNet",
        1,
        _through_one_encoder,
        (LATENTS, "The encoder was trained on residuals."),
    ),
    6: Kind("channel errors in training, and none", 1, _errors_in_training),
    7: Kind(
        f"original and estimated residual, grey is 0, {RESIDUAL_GAIN} levels of grey a level, pe_test 0",
        1,
        _residuals,
        (f"What is beyond {MID_GREY // RESIDUAL_GAIN} levels is black or white.",),
    ),
    8: Kind(
        "original, DS2C2 and a rival at equal rate, pe_test 0",
        1,
        _beside_a_rival,
        ("The rival has the whole bytes within the bits of r, c and s together.",),
    ),
    9: FEW,
    10: FEW,
    11: Kind("synthesised pictures x', made of c and s alone", 3, _synthesised),
}


def make_figure(
    number: int, run: PaperRun, models: list[PaperModel], all_of_them: bool = False, rivals: Sequence[str] = ()
) -> PaperFigure:
    """A figure of ``models``, as ``figuremodels.choose_models`` gives them, and of some of the run's pictures,
    evenly spread, or of all. ``rivals``: figure 8's choice. Raises ``UserError``."""
    kind, names, indices = KINDS[number], run.samples.names(), list(range(len(run.samples)))
    rival = choose_rival(rivals) if number == WITH_RIVAL else ("", "")
    chosen = indices if all_of_them else evenly(indices, kind.shown)
    parts = [kind.part(models, Shown(run, index, names[index], *run.load(index), rival)) for index in chosen]
    rows = [row for found, _ in parts for row in found]
    notes = [note for _, found in parts for note in found]
    how = "" if number in (6, 11) else f", {pe_train(models[0])}"
    title = f"Figure {number}: {kind.title}{how}"
    return PaperFigure(number, title, rows, [*notes, *kind.notes], models, [names[index] for index in chosen])
