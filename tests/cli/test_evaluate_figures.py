# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate --figure``: the panels are the networks' own pictures and symbols, pixel for pixel."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.cli.program import app
from ds2c2.errors import UserError
from ds2c2.evaluation.rivals import hevc
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import load_networks, save_weights
from ds2c2.paper.figuresheet import CaptionedPicture, draw_sheet
from ds2c2.paper.latents import correlation, label_picture, neighbour_correlation, palette, tile
from ds2c2.pictures.labelsets import label_set_of
from ds2c2.pictures.metrics import psnr
from ds2c2.training.recipefile import make_recipe

CAMVID = ("evaluate", "camvid", "--layout", "camvid", "--models", "trained", "--device", "cpu", "--out", "drawn")


def train_none(name, shape, pe_train, pictures=4, **sizes):
    """Weights at random that say they were trained so."""
    recipe = make_recipe(
        {"networks": replace(shape, **sizes).as_dict(), "channel": {"pe_train": pe_train}, "training": {"pictures": 4}}
    )
    torch.manual_seed(1)
    notes = {"recipe": json.dumps(recipe.as_dict()), "pictures": str(pictures), "steps": "8"}
    save_weights(Path(f"{name}.safetensors"), PaperNetworks(recipe.networks), notes)


@pytest.fixture
def work(tmp_path, monkeypatch, tiny_paper_shape):
    """The work folder: two pictures of 90x70 in CamVid's layout, three models."""
    rng = np.random.default_rng(1)
    for folder in ("camvid/test", "camvid/testannot", "trained"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ("bus", "kerb"):
        picture, labels = rng.integers(0, 256, (7, 9, 3), np.uint8), rng.integers(0, 12, (7, 9), np.uint8)
        Image.fromarray(picture.repeat(10, 0).repeat(10, 1)).save(f"camvid/test/{name}.png")
        Image.fromarray(labels.repeat(10, 0).repeat(10, 1)).save(f"camvid/testannot/{name}.png")
    train_none("trained/clear", tiny_paper_shape, 0.0)
    train_none("trained/lossy", tiny_paper_shape, 0.08)
    train_none("trained/few", tiny_paper_shape, 0.08, pictures=2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def evaluate(*arguments):
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, [*CAMVID, *arguments], catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments):
    """The one line that the command is refused with."""
    with pytest.raises(UserError) as error:
        CliRunner().invoke(app, [*CAMVID, *arguments], catch_exceptions=False)
    assert "\n" not in str(error.value) and not Path("drawn").exists()
    return str(error.value)


def holds(sheet, panel):
    """Whether a picture is somewhere in the sheet, pixel for pixel."""
    height, width = panel.shape[:2]
    starts = np.all(sheet[: sheet.shape[0] - height + 1, : sheet.shape[1] - width + 1] == panel[0, 0], axis=-1)
    for row, column in np.argwhere(starts):
        if np.array_equal(sheet[row, column : column + width], panel[0]) and np.array_equal(
            sheet[row : row + height, column : column + width], panel
        ):
            return True
    return False


def drawn(number):
    return np.asarray(Image.open(f"drawn/figure-{number}.png")), Path(f"drawn/figure-{number}.md").read_text()


def squares(planes):
    """16 planes of 8x11 as the figure tiles them for a picture 88 wide: 4 by 4, two pixels a symbol."""
    sheet = np.full((4 * 16 + 3 * 2, 4 * 22 + 3 * 2, 3), (120, 150, 200), np.uint8)
    for number, plane in enumerate(planes):
        top, left = number // 4 * 18, number % 4 * 24
        sheet[top : top + 16, left : left + 22] = np.kron(plane, np.ones((2, 2)))[..., None] * 255
    return sheet


@torch.inference_mode()
def by_hand(model, name):
    """x, s one-hot, x' and its steps, r and the symbols of a picture, straight from the networks."""
    networks = load_networks(f"trained/{model}.safetensors")
    picture = np.asarray(Image.open(f"camvid/test/{name}.png"))[3:67, 1:89]
    labels = np.asarray(Image.open(f"camvid/testannot/{name}.png"))[3:67, 1:89]
    x = torch.tensor(picture).permute(2, 0, 1)[None] / 127.5 - 1
    s = networks.one_hot(torch.tensor(labels)[None])
    steps = networks.base_pictures(s, networks.small(s, x))
    symbols = torch.where(networks.encoder(x - steps[-1]) >= 0, 1.0, -1.0)
    return networks, picture, labels, x, steps, symbols


def as_picture(tensor):
    return np.clip(np.rint((tensor[0].permute(1, 2, 0).numpy() + 1) * 127.5), 0, 255).astype(np.uint8)


def test_all_figures_that_the_models_allow(work, monkeypatch):
    monkeypatch.setenv("DS2C2_COMPRESSAI", str(work))
    monkeypatch.setattr(hevc, "HEVC_STEPS", {"": ""})  # a fifth of the encodings
    said = evaluate("--figure", "all", "--picture", "kerb", "--block-size", "32", "--seed", "5")
    assert said.count("wrote drawn/figure-") == 7 and "figure-10" not in said and "not drawn" not in said
    assert not list(Path("drawn").glob(".*"))

    networks, picture, labels, x, steps, symbols = by_hand("clear", "kerb")
    sheet, text = drawn(4)
    before = (symbols[0] > 0).numpy()
    assert holds(sheet, squares(before))
    # 1408 symbols are six blocks, of which 16 % are none or one: whichever, its symbols lie where the
    # interleaver has taken them from.
    channel = SymbolChannel("zero", "block", 32, True, 1)
    masks = [channel.spread(blocks, symbols.numel()).view(16, 8, 11).numpy() for blocks in torch.eye(6).bool()]
    found = [mask for mask in masks if holds(sheet, squares(~mask))]
    assert len(found) == 1
    after = before & ~found[0]
    assert holds(sheet, squares(after)) and holds(sheet, squares(~(before & found[0])))
    assert f"before ones {before.mean():.1%}" in text and f"after ones {after.mean():.1%}" in text
    assert f"{(before == after).mean():.1%} of the symbols unchanged" in text
    for words in ("clear@", "pe_train 0 %", "Pictures of camvid, part test: kerb", "seed 5", "Command: `ds2c2"):
        assert words in text

    with torch.inference_mode():
        of_original = (networks.encoder(x)[0] >= 0).numpy()
        residual = networks.residual(symbols, steps[-1])
        estimate = as_picture(networks.picture(residual, steps[-1]))
        hit = torch.tensor(np.where(after, 1.0, -1.0)[None], dtype=torch.float32)
        hit_estimate = as_picture(networks.picture(networks.residual(hit, steps[-1]), steps[-1]))
        grey = [
            np.clip(np.rint(128 + 2 * 127.5 * part[0].permute(1, 2, 0).numpy()), 0, 255).astype(np.uint8)
            for part in (x - steps[-1], residual)
        ]
    five, six, seven, eight, nine, eleven = (drawn(number)[0] for number in (5, 6, 7, 8, 9, 11))
    assert holds(five, squares(of_original)) and holds(five, squares(before)) and holds(five, grey[0])
    for panel in (picture, estimate, hit_estimate):
        assert holds(six, panel)
    assert f"pe_train 0 %, pe_test 0 %: {psnr(picture, estimate):.2f} dB" in drawn(6)[1]
    assert f"pe_train 0 %, pe_test 16 %: {psnr(picture, hit_estimate):.2f} dB" in drawn(6)[1]
    assert holds(seven, grey[0]) and holds(seven, grey[1])
    assert holds(eight, estimate) and holds(eight, picture)
    text = drawn(8)[1]
    assert "HEVC intra (x265, 4:4:4) stands in for a neural codec" in text
    ours, theirs = (float(re.search(pattern, text)[1]) for pattern in (r"DS2C2.*?([\d.]+) bpp", r"HEVC.*?([\d.]+) bpp"))
    assert 0.5 * ours < theirs <= ours
    evaluate("--figure", "8", "--picture", "kerb", "--rivals", "bmshj2018-factorized,webp")
    assert re.search(r"kerb, WebP: [\d.]+ dB", drawn(8)[1]) and "stands in" not in drawn(8)[1]
    assert holds(nine, picture) and "2 training pictures" in drawn(9)[1] and "4 training pictures" in drawn(9)[1]
    for panel in (picture, label_picture(labels, label_set_of("camvid")), *map(as_picture, steps)):
        assert holds(eleven, panel)
    assert "colours of s: " in drawn(11)[1] and "x'_1: " in drawn(11)[1]


def test_what_cannot_be_drawn_is_refused_before_anything_is_written(work, tiny_paper_shape, monkeypatch):
    monkeypatch.setenv("DS2C2_COMPRESSAI", str(work))
    assert "--figure 12 is unknown; choose from 4, 5" in refused("--figure", "12")
    assert "9 and 10 are one figure of two data sets" in refused("--figure", "9", "--figure", "10")
    assert "--picture tram: none is called so; there are 2" in refused("--figure", "11", "--picture", "tram")
    assert "--reference none: no such model" in refused("--figure", "4", "--reference", "none")
    assert "figure 8 needs a rival: mbt2018-mean: " in refused("--figure", "8", "--rivals", "mbt2018-mean")
    assert "rival 'gif' is unknown" in refused("--figure", "8", "--rivals", "gif")
    Path("trained/few.safetensors").unlink()
    assert "figure 9 needs models like" in refused("--figure", "9")
    Path("trained/clear.safetensors").unlink()
    assert "figure 4 needs a model like lossy that was trained without channel errors" in refused("--figure", "4")
    assert "figure 6 needs two models like lossy of one rate" in refused("--figure", "6")
    train_none("trained/lossy", tiny_paper_shape, 0.08, source="original")
    assert "figure 5 needs models that send the residual" in refused("--figure", "5")
    assert "--bpp does not go with --table and --figure" in refused("--figure", "5", "--bpp", "0.3")
    assert "--loss goes with --table, figures do without" in refused("--figure", "5", "--loss", "0.3")
    said = evaluate("--figure", "all", "--pictures", "1")
    assert said.count("not drawn: figure") == 6 and "wrote drawn/figure-11.png" in said


def test_statistics_of_latents():
    board = np.indices((6, 8)).sum(0) % 2 == 0
    assert neighbour_correlation(np.stack([board, ~board])) == pytest.approx(-1)
    halves = np.zeros((1, 40, 40), bool)
    halves[:, 20:] = True
    assert neighbour_correlation(halves) == pytest.approx(1 - 2 * 40 / (2 * 39 * 40))
    # Channels that are constant, each another, have no neighbours that vary together.
    noise = np.random.default_rng(1).random((3, 50, 50)) < np.array([0.1, 0.5, 0.9])[:, None, None]
    assert abs(neighbour_correlation(noise)) < 0.05
    assert np.isnan(neighbour_correlation(np.ones((2, 4, 4), bool)))
    assert correlation(board, ~board) == pytest.approx(-1)


def test_a_sheet_keeps_every_pixel_and_writes_every_word():
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, size, np.uint8) for size in ((30, 40, 3), (50, 400, 3), (20, 20, 3))]
    sheet = draw_sheet(
        "a title",
        [
            [CaptionedPicture("one", pictures[0]), CaptionedPicture("two", pictures[1])],
            [CaptionedPicture("", pictures[2])],
        ],
    )
    assert all(holds(sheet, picture) for picture in pictures)
    assert sheet.shape[1] == 300 + 400 + 3 * 8
    longer = draw_sheet("a title", [[CaptionedPicture("many words " * 20, pictures[0])]])
    assert longer.shape[0] > draw_sheet("a title", [[CaptionedPicture("few", pictures[0])]]).shape[0] + 50
    assert tile(np.ones((5, 3, 4), bool), 24).shape == (2 * 6 + 2, 3 * 8 + 4, 3)
    for name, void in (("ade20k", 150), ("camvid", 11), ("cityscapes19", 19)):
        colours = palette(label_set_of(name))
        assert len(np.unique(colours, axis=0)) == void + 1 and not colours[void].any()
    assert colours[0].tolist() == palette(label_set_of("camvid"))[3].tolist() == [128, 64, 128]  # road
