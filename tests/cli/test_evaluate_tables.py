# SPDX-License-Identifier: GPL-3.0-or-later
"""evaluate --table: figures that the codec's own path gives too, resuming, and what is refused."""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.cli.program import app
from ds2c2.codec.codec import Codec
from ds2c2.errors import FormatError, UserError
from ds2c2.evaluation.erasurecode import design_k
from ds2c2.evaluation.rivals.rivals import RIVALS, best_within
from ds2c2.networks.modelfiles import MODELS_VARIABLE
from ds2c2.networks.paper import PaperNetworks
from ds2c2.networks.weights import save_weights
from ds2c2.paper import run as paperrun
from ds2c2.paper import units as paperunits
from ds2c2.paper.archive import list_models
from ds2c2.paper.run import code_budgets
from ds2c2.paper.samples import open_samples
from ds2c2.paper.units import PaperRun, damaged_file
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import to_tensor
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.training.recipefile import PaperRecipe
from ds2c2.training.vgg import LAYERS, VggFeatures

WIDTH, HEIGHT = 128, 96
DRAWS = 2
# As tests/cli/test_recipe.py trains them, untrained: name, changes of networks, of channel and of training, pictures.
MODELS = {
    "plain": ({}, {}, {}, 40),
    "hard": ({}, {"pe_train": (0.08, 0.08)}, {}, 40),
    "few": ({}, {}, {}, 8),
    "once": ({"fine_steps": 1}, {}, {"steps": 9}, 40),
    "whole": ({"source": "original", "sum_blocks": 0}, {}, {}, 40),
    "alone": ({}, {}, {"phases": ("rgan",)}, 40),
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny_paper_shape):
    """A folder of models that say how they were trained."""
    folder = tmp_path_factory.mktemp("trained")
    for seed, (name, (networks, channel, plan, pictures)) in enumerate(MODELS.items()):
        shape = replace(tiny_paper_shape, norm="none", **networks)
        recipe = PaperRecipe(networks=shape)
        recipe = replace(
            recipe,
            channel=replace(recipe.channel, **{"pe_train": (0.0, 0.0), **channel}),
            training=replace(recipe.training, **{"phases": ("enhancement",), **plan}),
        )
        torch.manual_seed(seed)
        built = PaperNetworks(shape)
        for parameter in built.sumnet.parameters() if built.sumnet else ():
            parameter.data += 0.02 * torch.randn_like(parameter)  # it begins as the plain sum
        notes = {"recipe": json.dumps(recipe.as_dict()), "pictures": str(pictures), "steps": "3"}
        save_weights(folder / f"{name}.safetensors", built, notes)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch, trained):
    """An empty work folder beside a data set in CamVid's layout, two pictures to test with."""
    rng = np.random.default_rng(1)
    for folder in ("test", "testannot"):
        (tmp_path / "camvid" / folder).mkdir(parents=True)
    for number in range(2):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(tmp_path / f"camvid/test/{number}.png")
        classes = rng.integers(0, 12, (HEIGHT // 16, WIDTH // 16), np.uint8)
        Image.fromarray(classes.repeat(16, 0).repeat(16, 1)).save(tmp_path / f"camvid/testannot/{number}.png")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv(MODELS_VARIABLE, str(trained))
    monkeypatch.delenv("DS2C2_VGG", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def arguments(trained, *tables, models=None, jobs=1):
    common = (
        "../camvid", "--layout", "camvid", "--draws", str(DRAWS), "--device", "cpu", "--jobs", str(jobs),
        "--out", "out",
    )  # fmt: skip
    places = [str(trained / f"{name}.safetensors") for name in models] if models else [str(trained)]
    asked = [word for table in tables for word in ("--table", table)]
    return ["evaluate", *common, *asked, *(word for place in places for word in ("--models", place))]


def ds2c2(*words):
    """What the command prints; its error is raised."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words):
    """The one line that the command is refused with."""
    with pytest.raises(UserError) as error:
        CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def rows(name, panel=0):
    """A written table's rows: model to heading to value."""
    found = json.loads(Path(f"out/{name}.json").read_text())["panels"][panel]
    return {row[0]: dict(zip(found["headings"], row, strict=True)) for row in found["rows"]}


def the_run(trained, most=2):
    samples = open_samples(["../camvid"], list_models([trained]), "camvid", most=most)
    return PaperRun(samples, tuple(samples.sha256(index) for index in range(most)), DRAWS, 1, 100)


def through_the_codec(run, model, effect, loss):
    """Mean PSNR of what the codec gives."""
    return np.mean([psnr(*pair) for pair in codec_pictures(run, model, effect, loss)])


def codec_pictures(run, model, effect, loss):
    """Original and received picture of every draw: encode, interleave, lose blocks, deinterleave, decode."""
    stream = StreamFormat(WIDTH, HEIGHT, bpp=0.9, base_bpp=0.5, base_redundancy=0.0, interleave="bit", model=model)
    try:
        Codec(stream, "cpu")
    except FormatError as error:
        stream = replace(stream, bpp=float(re.search(r"use bpp ([\d.]+)", str(error))[1]))
    codec, interleaver, found = Codec(stream, "cpu"), Interleaver(stream), []
    for index in range(len(run.samples)):
        picture, labels = run.samples.load(index)
        sent = interleaver.interleave(codec.encode(picture, labels=labels).blocks[None])[0]
        for draw in range(DRAWS):
            channel = SymbolChannel(interleave=False)
            hits = np.zeros(stream.blocks, bool)
            bits = 800 * stream.enhancement_blocks
            hits[stream.base_blocks :] = channel.draw(bits, loss, run.generator(index, draw))[::800].numpy()
            damaged = sent.copy()
            damaged[hits] = 0
            soft = to_soft(sent, ~hits) if effect == "erase" else to_soft(damaged, np.ones(stream.blocks, bool))
            found.append((picture, codec.decode(interleaver.deinterleave(soft[None])[0]).picture))
    return found


def test_tables_say_what_the_codec_gives(work, trained):
    said = ds2c2(*arguments(trained, "1", "5", "6", "grid", "ablations"))
    assert "wrote out/table-1.md, out/table-1.json, out/table-5.md" in said and "out/grid.png" in said
    run = the_run(trained)
    clear, hit = (through_the_codec(run, "hard", "zero", loss) for loss in (0.0, 0.16))
    ours = rows("table-1")
    assert list(ours) == ["plain", "hard"]
    assert ours["hard"]["pe_test 0"] == pytest.approx(clear, abs=1e-3)
    assert ours["hard"]["pe_test 16 %"] == pytest.approx(hit, abs=1e-3) != pytest.approx(clear, abs=1e-3)
    assert ours["hard"]["pe_train"] == "8 %" and ours["hard"]["r bpp"] == 0.25
    grid = rows("grid", 1)["plain"]
    assert grid["50 %"] == pytest.approx(through_the_codec(run, "plain", "erase", 0.5), abs=1e-3)
    assert grid["0 %"] == rows("grid")["plain"]["0 %"] == ours["plain"]["pe_test 0"]
    assert {name: row["training pictures"] for name, row in rows("table-5").items()} == {"few": 8, "plain": 40}
    rates = rows("table-6")["plain"]
    assert rates["r"] == 0.25 and rates["total"] == pytest.approx(rates["r"] + rates["c"] + rates["s"])
    assert rates["total"] == pytest.approx(ours["plain"]["total bpp"])

    changed = rows("ablations")
    assert changed["plain"]["setting"] == "reference" and "hard" not in changed and "few" not in changed
    assert (changed["once"]["setting"], changed["once"]["change"]) == ("networks.fine_steps", "2 → 1")
    assert changed["once"]["its run differs in"] == "training.steps 0 → 9"
    assert changed["whole"]["setting"] == "networks.source, networks.sum_blocks"
    assert changed["whole"]["total bpp"] == 0.25  # it needs neither c nor s
    steps = rows("ablations", 2)
    assert steps["once"]["x'_2"] is None and "alone" not in steps
    assert steps["plain"]["x'_2"] == ours["plain"]["PSNR(x, x')"]
    assert steps["plain"]["SumNet"] == pytest.approx(steps["plain"]["x̂"] - steps["plain"]["x' + r̂"]) != 0

    text = Path("out/table-1.md").read_text()
    for words in (
        "Pictures: 2 of camvid, part test, whole, the first 128x96; label maps: the data set's own.", "plain@",
        "blocks of 100 bytes", "2 draws",
        "The paper's table 1, from other pictures and models", "| Cityscapes | 0 % | 0.11 | 34.68 | 33.03 | 1.65 |",
        "In no table, for only RGAN is trained: alone.", "Command: `ds2c2",
    ):  # fmt: skip
        assert words in text
    assert Image.open("out/grid.png").width > 500


def test_the_vgg_distance_is_the_papers_loss(work, trained, tmp_path):
    """With a VGG of few channels: the weighted L1 between what it sees of original and received picture."""
    torch.manual_seed(1)
    tensors, channels = {}, 3
    for width, level in zip((4, 4, 6, 6, 8), LAYERS["VGG16"], strict=True):
        for index in level:
            conv = torch.nn.Conv2d(channels, width, 3)
            tensors |= {f"features.{index}.{name}": value.detach() for name, value in conv.named_parameters()}
            channels = width
    torch.save(tensors, tmp_path / "small.pth")
    ds2c2(*arguments(trained, "1", models=["plain"]), "--vgg", "../small.pth", "--pictures", "1")
    vgg, found = VggFeatures(tmp_path / "small.pth"), []
    run = the_run(trained, most=1)
    for pair in codec_pictures(run, "plain", "zero", 0.16):
        original, received = (vgg(to_tensor(picture)) for picture in pair)
        levels = zip((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), original, received, strict=True)
        found.append(sum(weight * float((a - b).abs().mean()) for weight, a, b in levels))
    assert rows("table-1", 1)["plain"]["VGG distance, pe_test 16 %"] == pytest.approx(np.mean(found), abs=1e-5)
    assert "what small.pth sees (relu1_1 to relu5_1), which is not LPIPS" in Path("out/table-1.md").read_text()


def test_rivals_have_the_same_rate_and_meet_the_same_losses(work, trained):
    ds2c2(*arguments(trained, "3", "4"), "--rivals", "webp")
    run, webp = the_run(trained), RIVALS["webp"]
    units = [json.loads(line) for line in Path("out/progress.jsonl").read_text().splitlines()[1:]]
    sent = {tuple(u["unit"][1:3]): u for u in units if u["unit"][0] == "model" and u["unit"][3] == "sent"}
    plain = next(model for model in list_models([trained]) if model.name == "plain")
    clear, bare, coded, damaged, refused_files = [], [], [], [], 0
    for index, digest in enumerate(run.digests):
        picture, _ = run.samples.load(index)
        grey = psnr(picture, np.full_like(picture, 128))
        budget = sum(sent[plain.digest, digest][f"{part}_bits"] for part in "rcs") // 8
        blocks = budget // 100
        exact = 100 * (blocks - int(np.ceil(0.16 * blocks)))
        assert code_budgets(budget, 100, 0.16) == (exact, 100 * design_k(blocks, 0.16))
        files = best_within(webp, picture, [budget, exact])
        clear.append(files[budget].psnr if files[budget] else grey)
        coded.append(files[exact].psnr if files[exact] else grey)
        for draw in range(DRAWS):
            data = files[budget].data
            received, hit = damaged_file(data, 100, 0.16, run.generator(index, draw))
            assert len(received) == len(data) and hit == sum(
                received[i : i + 100] != data[i : i + 100] for i in range(0, len(data), 100)
            )
            bare.append(grey if hit else clear[-1])
            try:
                with Image.open(io.BytesIO(received)) as image:
                    damaged.append(psnr(picture, np.asarray(image.convert("RGB"))))
            except (OSError, SyntaxError):
                damaged.append(grey)
                refused_files += 1
    label = webp.label
    assert rows("table-3")[label]["PSNR"] == pytest.approx(np.mean(clear), abs=1e-3)
    assert rows("table-3")[label]["bpp"] <= rows("table-3")["DS²C², plain"]["bpp"]
    unknown = rows("table-4")
    assert unknown[label]["trained without errors, pe_test 16 %"] == pytest.approx(np.mean(damaged), abs=1e-3)
    assert unknown[label]["files refused"] == f"{refused_files} of 4"
    known = json.loads(Path("out/table-4.json").read_text())["panels"][1]["rows"]
    sendings = {row[1]: row for row in known if row[0] == label}
    assert sendings["bare"][4] == pytest.approx(np.mean(bare), abs=1e-3)
    assert sendings["code for exactly 16 %"][4] == pytest.approx(np.mean(coded), abs=1e-3)
    ours = unknown["DS²C², plain and hard"]
    assert ours["benchmark, no loss"] == pytest.approx(through_the_codec(run, "plain", "zero", 0.0), abs=1e-3)
    assert ours["pe_train"] == "8 %"


def test_a_killed_run_goes_on_to_the_same_files_and_does_nothing_twice(work, trained, monkeypatch):
    computed = []

    def work_noted(*task):
        found = paperunits.work(*task)
        computed.extend(tuple(unit["unit"]) for unit in found)
        return found

    monkeypatch.setattr(paperrun, "work", work_noted)
    command = [*arguments(trained, "1", "4"), "--rivals", "webp"]
    ds2c2(*command)
    progress = Path("out/progress.jsonl")
    whole = progress.read_bytes()
    tables = {path: path.read_bytes() for path in Path("out").iterdir() if path != progress}
    assert len(computed) == len(set(computed)) == len(whole.splitlines()) - 1
    for kept in (0.0, 0.4, 0.9):
        progress.write_bytes(whole[: int(kept * len(whole))])
        before = {tuple(json.loads(line)["unit"]) for line in progress.read_bytes().split(b"\n")[1:-1]}
        computed.clear()
        said = ds2c2(*command)
        assert not before & set(computed) and len(before) + len(computed) == len(whole.splitlines()) - 1
        assert ("were finished before" in said) is bool(before)
        assert {path: path.read_bytes() for path in tables} == tables
    # A table that needs nothing new computes nothing.
    computed.clear()
    ds2c2(*arguments(trained, "6"))
    assert not computed


def test_two_processes_give_what_one_gives(work, trained):
    found = []
    for jobs in (1, 2):
        ds2c2(*arguments(trained, "1", models=["plain"], jobs=jobs))
        found.append((rows("table-1"), set(Path("out/progress.jsonl").read_bytes().splitlines())))
        Path("out").rename(f"of-{jobs}")
    assert found[0] == found[1]


def test_what_cannot_be_is_one_line(work, trained, monkeypatch):
    assert "--table 7 is unknown; choose from 1, 2, 3" in refused(*arguments(trained, "7"))
    assert "--models: none given" in refused("evaluate", "../camvid", "--table", "1")
    assert "--bpp does not go with --table" in refused(*arguments(trained, "1"), "--bpp", "0.5")
    assert "--layout goes with --table or --figure; add one" in refused("evaluate", "../camvid", "--layout", "camvid")
    assert "table 5 needs models like the reference that were trained on different numbers of pictures" in refused(
        *arguments(trained, "5", models=["plain", "hard"])
    )
    assert "table 4 needs a model of pe_train 0 and one of pe_train above 0" in refused(
        *arguments(trained, "4", models=["plain", "few"])
    )
    assert "no model has a trained BResNet" in refused(*arguments(trained, "1", models=["alone"]))
    assert "--reference other: no such model; there are once, plain, whole, few, hard" in refused(
        *arguments(trained, "1"), "--reference", "other"
    )
    assert "rival 'gif' is unknown" in refused(*arguments(trained, "3"), "--rivals", "gif")
    assert "shares of 0 to 1 are wanted" in refused(*arguments(trained, "grid"), "--loss", "16")
    assert "--block-size 8: 32 to 1056 bytes are wanted" in refused(*arguments(trained, "1"), "--block-size", "8")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--ray-address needs the package ray: pip install 'gr-ds2c2[ray]'" in refused(
        *arguments(trained, "6"), "--ray-address", "local"
    )
    assert not Path("out").exists()
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert "--lpips needs the package lpips: pip install 'gr-ds2c2[lpips]'" in refused(
        *arguments(trained, "1"), "--lpips", "alexnet.pth"
    )
    # One of two that cannot be is said, the other written; other settings in the same folder are refused.
    said = ds2c2(*arguments(trained, "5", "6", models=["plain", "hard"]))
    assert "not written: table 5 needs" in said and "wrote out/table-6.md" in said
    assert "out was begun with seed 1, now 2; use the same settings or another --out" in refused(
        *arguments(trained, "6"), "--seed", "2"
    )
