# SPDX-License-Identifier: GPL-3.0-or-later
"""send and receive as two commands: over a recording and over a real socket."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from urllib.request import urlopen

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ds2c2 import errors
from ds2c2.channels.channel import BlockChannel
from ds2c2.stream.streamformat import PACKET_BYTES, StreamFormat
from ds2c2.transport.recording import RecordingReader, RecordingWriter
from freeport import free_port

OPTIONS = ("--bpp", "0.6", "--block-size", "48")


def pictures_of(folder):
    return [path.read_bytes() for path in sorted(folder.glob("frame-*.png"))]


def watched(address: str) -> dict:
    """The page's numbers, once three frames were shown."""
    while True:
        stats = json.load(urlopen(f"{address}stats.json", timeout=100))
        if stats["frames"]["shown"] == 3:
            return stats
        time.sleep(0.05)


def test_recording_gives_every_picture(ds2c2, photographs, tmp_path):
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS)
    assert sent.returncode == 0, sent.stderr
    assert "sent 3 pictures" in sent.stdout and "0 of them hit" in sent.stdout
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", "--originals", photographs)
    assert got.returncode == 0, got.stderr
    assert "wrote 3 pictures to received, 0 of them concealed" in got.stdout
    sizes = [Image.open(path).size for path in sorted((tmp_path / "received").iterdir())]
    assert sizes == [(160, 128)] * 3
    assert len(re.findall(r"PSNR \d+\.\d\d dB", got.stdout)) == 3


def test_losses_are_counted(ds2c2, photographs):
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS, "--loss", "0.25", "--channel", "exact")
    blocks, hit = map(int, re.search(r"(\d+) blocks, (\d+) of them hit", sent.stdout).groups())
    assert hit == 3 * round(0.25 * blocks / 3)
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received")
    assert f"{hit} missing" in got.stdout
    of_frames = re.findall(r"received \((\d+) blocks? lost, \d+ symbols? of the base layer repaired\)", got.stdout)
    assert [int(lost) for lost in of_frames] == [hit // 3] * 3
    assert f"{blocks - hit} used" in got.stdout


def test_torn_recording_is_read_as_far_as_it_goes(ds2c2, photographs, tmp_path):
    ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS)
    whole = (tmp_path / "packets.ds2c2").read_bytes()
    (tmp_path / "torn.ds2c2").write_bytes(whole[: len(whole) * 2 // 3])
    got = ds2c2("receive", "--from", "torn.ds2c2", "--out", "received")
    assert got.returncode == 0
    assert re.search(r"\d+ bytes of a torn last packet", got.stdout)
    assert len(pictures_of(tmp_path / "received")) >= 2


@pytest.mark.parametrize("grouping", [(), ("--interleave", "block", "--depth", "2"), ("--model", "binary")])
def test_udp_equals_recording(ds2c2, photographs, tmp_path, grouping):
    """One receiver ends with the stream, one stays and shows a page, until it is told, and one is told when the
    pictures were there."""
    options = (*OPTIONS, *grouping, "--loss", "0.1")
    ways = ("--stay", "--timeout", "5", "--http", "127.0.0.1:0") if grouping == () else ("--wait", "100")
    if stamped := "--depth" in grouping:
        options, ways = (*options, "--stamp"), (*ways, "--json")
    ds2c2("send", photographs, "--to", "packets.ds2c2", *options)
    recorded = ds2c2("receive", "--from", "packets.ds2c2", "--out", "recorded", "--json").stdout.splitlines()
    assert [json.loads(line)["delay_s"] for line in recorded[:3]] == [None] * 3  # long ago, however long
    began = time.time()
    text = (tmp_path / "packets.ds2c2").read_bytes().split(b"\n")[1].decode()
    where = f"udp://127.0.0.1:{free_port()}"
    receiver = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ds2c2",
            "receive",
            "--from",
            where,
            "--out",
            "over-udp",
            "--format",
            text,
            *ways,
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if stamped else None,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    try:
        address = receiver.stdout.readline().split()[-1] if grouping == () else ""
        assert "listening" in receiver.stdout.readline()
        assert ds2c2("send", photographs, "--to", where, *options).returncode == 0
        if address:
            stats = watched(address)
            assert stats["frames"] == {"received": 3, "concealed": 0, "lost": 0, "shown": 3}
            shown = urlopen(f"{address}picture.png", timeout=100).read()
            last = tmp_path / "over-udp" / "frame-000002.png"
            assert np.array_equal(*(np.asarray(Image.open(one)) for one in (io.BytesIO(shown), last)))
            receiver.send_signal(signal.SIGINT)
        output, _ = receiver.communicate(timeout=120)
    finally:
        receiver.kill()
    assert receiver.returncode == 0
    assert "wrote 3 pictures" in output
    if stamped:
        delays = [json.loads(line)["delay_s"] for line in output.splitlines() if line.startswith('{"event": "frame"')]
        assert len(delays) == 3 and all(0 < delay < time.time() - began for delay in delays)
    assert pictures_of(tmp_path / "over-udp") == pictures_of(tmp_path / "recorded") != []


def test_an_earlier_runs_pictures_are_kept(ds2c2, photographs, tmp_path):
    assert ds2c2("send", photographs / "coffee.png", "--to", "packets.ds2c2", *OPTIONS).returncode == 0
    runs = [ds2c2("receive", "--from", "packets.ds2c2", "--out", "received").stdout for _ in range(3)]
    names = sorted(str(path.relative_to(tmp_path / "received")) for path in tmp_path.glob("received/**/*.png"))
    assert names == ["frame-000000.png", "run-2/frame-000000.png", "run-3/frame-000000.png"]
    assert "wrote 1 picture to received, " in runs[0] and "earlier run" not in runs[0]
    assert "received has pictures of an earlier run: writing to received/run-2\n" in runs[1]
    assert "wrote 1 picture to received/run-3, 0 of them concealed" in runs[2]


def test_a_film_lines_of_json_and_what_came(ds2c2, photographs, tmp_path):
    """Of pictures of which one is lost; the packets are recorded as they came, and an earlier film is kept."""
    assert ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS).returncode == 0
    magic, text, data = (tmp_path / "packets.ds2c2").read_bytes().split(b"\n", 2)
    stream = StreamFormat.parse(text.decode())
    frame = stream.blocks * stream.packet_bytes
    (tmp_path / "lost.ds2c2").write_bytes(b"\n".join([magic, text, data[:frame] + data[2 * frame :]]))
    receive = ("receive", "--from", "lost.ds2c2", "--originals", photographs, "--out", "film.mp4", "--frame-rate", "5")
    got = ds2c2(*receive, "--json", "--record", "again.ds2c2")
    assert got.returncode == 0, got.stderr
    *frames, end = map(json.loads, got.stdout.splitlines())
    assert [(one["frame"], one["nothing"], one["path"]) for one in frames] == [
        (0, False, None), (1, True, None), (2, False, None),
    ]  # fmt: skip
    assert all(one["psnr_db"] > 0 for one in frames) and frames[1]["base_lost"] == stream.base_blocks
    assert end["frames"] == {"received": 2, "concealed": 0, "lost": 1, "written": 3} and end["out"] == "film.mp4"
    assert end["packets"]["used"] == 2 * stream.blocks
    assert "wrote packet recording again.ds2c2" in got.stderr
    assert (tmp_path / "again.ds2c2").read_bytes() == (tmp_path / "lost.ds2c2").read_bytes()
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert [round(float(one.time), 3) for one in film.decode(video=0)] == [0.0, 0.2, 0.4]
    film = (tmp_path / "film.mp4").read_bytes()
    refused = ds2c2(*receive)
    assert refused.returncode == errors.ExitCode.PLACE and refused.stderr.count("\n") == 1
    assert "film.mp4: is there already" in refused.stderr and (tmp_path / "film.mp4").read_bytes() == film


def test_two_stations_hear_what_neither_hears_alone(ds2c2, photographs, tmp_path):
    """Each lost two packets of three, not the same ones."""
    assert ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS).returncode == 0
    reader = RecordingReader(tmp_path / "packets.ds2c2")
    packets, blocks = np.concatenate(list(reader)), 3 * reader.stream.blocks
    for name, lost in (("hill", 0), ("valley", 1)):
        with RecordingWriter(tmp_path / name, reader.stream) as recording:
            recording.write(packets[np.arange(len(packets)) % 3 != lost])
    ways = (
        ("receive", "--from", "packets.ds2c2", "--out", "sent"),
        ("merge", "hill", "valley", "--out", "got", "--to", "all"),
    )
    told = [ds2c2(*way, "--json") for way in ways]
    assert [one.returncode for one in told] == [0, 0], told[1].stderr
    assert pictures_of(tmp_path / "got") == pictures_of(tmp_path / "sent") != []
    assert np.array_equal(np.concatenate(list(RecordingReader(tmp_path / "all")))[:blocks], packets[:blocks])
    hill, valley, together, *frames, end = map(json.loads, told[1].stdout.splitlines())
    third = blocks // 3
    assert (hill["blocks"], hill["alone"]) == (blocks - third, third) and valley["differing"] == 0
    assert (together["blocks"], together["expected"], together["loss"]) == (blocks, blocks, 0)
    assert len(frames) == 3 and end["frames"]["received"] == 3
    words = ds2c2("merge", "hill", "valley", "--to", "again")
    assert words.returncode == 0 and re.search(rf"valley +{blocks - third} +33\.3% +{third}", words.stdout), (
        words.stdout
    )
    nothing = ds2c2("merge", "hill", "valley")
    assert nothing.returncode == errors.ExitCode.PLACE and "give --out FOLDER, or --to" in nothing.stderr


def test_receiver_set_up_otherwise_says_so(ds2c2, photographs, tmp_path):
    ds2c2("send", photographs, "--to", "packets.ds2c2", *OPTIONS)
    magic, text, packets = (tmp_path / "packets.ds2c2").read_bytes().split(b"\n", 2)
    (tmp_path / "other.ds2c2").write_bytes(b"\n".join([magic, text.replace(b"seed=1", b"seed=2"), packets]))
    got = ds2c2("receive", "--from", "other.ds2c2", "--out", "received")
    assert got.returncode == 9
    assert "another stream format" in got.stderr and "perhaps only in seed: 1 there, 2 here; if the" in got.stderr


def test_interleaving_follows_the_profile(ds2c2, photographs, tmp_path):
    """The printed text always has what was decided."""
    texts = [ds2c2("info", "160x128", *OPTIONS, *model).stdout for model in ((), ("--model", "binary"))]
    assert [re.search(r" interleave=(\w+) .* model=(\w+)@", text).groups() for text in texts] == [
        ("none", "coded"),
        ("bit", "binary"),
    ]
    pinned = re.search(r"binary@\w+", texts[1])[0]
    assert " interleave=bit " in ds2c2("info", "160x128", *OPTIONS, "--model", pinned).stdout
    asked = ds2c2("info", "160x128", *OPTIONS, "--model", "binary", "--interleave", "none").stdout
    assert " interleave=none " in asked


def test_an_effect_that_does_not_suit_the_model_is_said(ds2c2, photographs):
    options = (*OPTIONS, "--loss", "0.3", "--effect", "flip")
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *options)
    assert sent.returncode == 0, sent.stderr
    assert sent.stderr.count("\n") == 1 and "warning: " in sent.stderr and "--model binary" in sent.stderr
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received")
    assert got.returncode == 0, got.stderr
    # Their packets do not check, so they count as lost.
    assert re.search(r"packets: .* [1-9]\d* damaged", got.stdout)
    assert ds2c2("send", photographs, "--to", "binary.ds2c2", *options, "--model", "binary").stderr == ""


def test_favoured_regions_are_sent_and_received(ds2c2, photographs, tmp_path):
    (tmp_path / "labels").mkdir()
    for path in photographs.iterdir():
        Image.new("L", (160, 128), 6).save(tmp_path / "labels" / path.name)
    for name, favour in (("plain", ()), ("finer", ("--favour", "sign=2", "--favour", "0,0,80x128=1"))):
        labels = ("--labels", "labels") if favour else ()
        sent = ds2c2("send", photographs, "--to", f"{name}.ds2c2", *OPTIONS, "--base-bpp", "0.04", *favour, *labels)
        assert sent.returncode == 0, sent.stderr
        got = ds2c2("receive", "--from", f"{name}.ds2c2", "--out", name)
        assert "wrote 3 pictures" in got.stdout
    sizes = [(tmp_path / f"{name}.ds2c2").stat().st_size for name in ("plain", "finer")]
    assert sizes[0] == sizes[1]
    assert pictures_of(tmp_path / "plain") != pictures_of(tmp_path / "finer")


def test_info_text_is_what_send_uses(ds2c2, photographs, tmp_path):
    text = ds2c2("info", "160x128", *OPTIONS).stdout.splitlines()[0]
    ds2c2("send", photographs, "--to", "packets.ds2c2", "--format", text)
    assert (tmp_path / "packets.ds2c2").read_bytes().split(b"\n")[1].decode() == text
    told = json.loads(ds2c2("info", "--format", text, "--json").stdout)
    stream = StreamFormat.parse(text)
    assert (told["format"], told["digest"], told["blocks"]) == (text, stream.digest, stream.blocks)
    assert (told["packet_bytes"], told["bpp"]) == (stream.packet_bytes, round(stream.sent_bpp, 6))


def test_evaluate_writes_every_measurement(ds2c2, photographs, tmp_path):
    done = ds2c2(
        "evaluate", photographs, "--bpp", "0.6", "--loss", "0", "--loss", "0.5", "--draws", "2", "--out", "figures.json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    # Three pictures: one draw without loss, two at 50 %.
    assert len(figures["measurements"]) == 3 * (1 + 2)
    assert figures["results"]["loss"] == [0.0, 0.5]
    assert all(rate <= 0.6 for rate in figures["results"]["bpp"])
    assert all(m["base_damaged"] == m["enhancement_damaged"] == 0 for m in figures["measurements"])


def test_evaluate_measures_what_vgg_sees(ds2c2, photographs, tiny_vgg, tmp_path):
    from ds2c2.evaluation.perception import vgg_distance

    done = ds2c2(
        "evaluate", photographs / "coffee.png", "--bpp", "0.6", "--loss", "0", "--vgg", tiny_vgg, "--out", "a.json"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    assert f" {found['results']['vgg'][0]:.4f} " in done.stdout
    sent = ds2c2("send", photographs / "coffee.png", "--bpp", "0.6", "--to", "a.ds2c2")
    assert sent.returncode == 0, sent.stderr
    assert ds2c2("receive", "--from", "a.ds2c2", "--out", "got").returncode == 0
    pair = [np.asarray(Image.open(path)) for path in (photographs / "coffee.png", tmp_path / "got/frame-000000.png")]
    assert found["measurements"][0]["vgg"] == vgg_distance(*pair, str(tiny_vgg), "cpu")
    assert found["measurements"][0]["lpips"] is None and "lpips" not in found["results"]


def test_evaluate_measures_flips_with_the_binary_model(ds2c2, photographs, tmp_path):
    done = ds2c2(
        "evaluate", photographs / "coffee.png", "--bpp", "0.6", "--loss", "0.5", "--draws", "1", "--model", "binary",
        "--effect", "flip", "--out", "figures.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (measurement,) = json.loads((tmp_path / "figures.json").read_text())["measurements"]
    assert measurement["base_damaged"] > 0 and measurement["enhancement_damaged"] == 0


def test_single_bits_are_hit_counted_and_measured(ds2c2, photographs, tmp_path):
    """The paper's BEC: as many 1s are missing in the recording as the seed draws, none in the base layer."""
    options = (photographs / "coffee.png", "--model", "binary", "--bpp", "0.6", "--block-size", "48")
    hits = ("--loss", "0.2", "--effect", "zero", "--unit", "bit")
    clean = ds2c2("send", *options, "--to", "clean.ds2c2")
    sent = ds2c2("send", *options, "--to", "hit.ds2c2", *hits, "--protect-base")
    assert clean.returncode == sent.returncode == 0, sent.stderr
    blocks, hit, bits = map(int, re.search(r"(\d+) blocks, (\d+) of their (\d+) bits hit", sent.stdout).groups())
    base = int(re.search(r"base layer\s+(\d+) blocks", ds2c2("info", "160x128", *options[1:]).stdout)[1])
    assert bits == blocks * 48 * 8
    channel = BlockChannel(0.2, effect="zero", unit="bit", frame_blocks=blocks, base_blocks=base)
    drawn = channel.draw_bits(blocks, 48)
    assert hit == np.unpackbits(drawn).sum()
    before, after = (np.concatenate(list(RecordingReader(tmp_path / f"{name}.ds2c2"))) for name in ("clean", "hit"))
    expected = before.copy()
    expected[:blocks, PACKET_BYTES:] &= ~drawn
    assert np.array_equal(after, expected) and not np.array_equal(after, before)
    figures = ds2c2("evaluate", *options, *hits, "--rules", "paper", "--draws", "1")
    assert figures.returncode == 0, figures.stderr
    assert "effect zero on single bits" in figures.stdout


def test_train_resumes_to_the_same_weights(ds2c2, photographs, tmp_path):
    common = ("train", photographs, "--profile", "binary", "--steps", "4", "--batch", "1", "--crop", "64")
    assert ds2c2(*common, "--out", "whole.safetensors").returncode == 0
    first = ds2c2(*common, "--out", "parts.safetensors", "--stop-after", "2")
    assert "left off at step 2 of 4" in first.stdout
    assert not (tmp_path / "parts.safetensors").exists()
    second = ds2c2(*common, "--out", "parts.safetensors", "--resume", fresh=True)
    assert second.returncode == 0, second.stderr
    whole, parts = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    card = (tmp_path / "parts.md").read_text()
    assert "4 of 4, batch 1" in card and "ds2c2 train" in card


def test_demo_writes_a_contact_sheet(ds2c2, photographs, tmp_path):
    done = ds2c2("demo", photographs / "coffee.png", "--bpp", "0.9", "--out", "shown")
    assert done.returncode == 0, done.stderr
    sheet = Image.open(tmp_path / "shown" / "coffee-sheet.png")
    # Four panels of 160x128 in two columns, with captions and gaps.
    assert sheet.width == 2 * 160 + 3 * 8
    assert "coffee" in done.stdout and "received PSNR" in done.stdout and "damaged" in done.stdout


def test_a_paper_model_is_sent_at_its_own_rate_through_the_papers_channel(ds2c2, photographs, tmp_path):
    """The refusal of another rate names the right one; label maps come from the SegNet in models/."""
    options = ("--model", "paper", "--base-bpp", "0.2", "--redundancy", "0.2")
    refused = ds2c2("send", photographs, "--to", "packets.ds2c2", *options, "--bpp", "0.7")
    assert refused.returncode == 4 and refused.stderr.count("\n") == 1
    bpp = re.search(r"5120 symbols for 160x128, exactly 7 blocks .*: use bpp ([\d.]+)", refused.stderr)[1]
    hits = ("--loss", "0.3", "--channel", "exact", "--effect", "zero", "--protect-base")
    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *options, "--bpp", bpp, *hits)
    assert sent.returncode == 0, sent.stderr
    assert "6 of them hit" in sent.stdout
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", "--originals", photographs)
    assert "wrote 3 pictures to received, 0 of them concealed" in got.stdout
    assert len(re.findall(r"PSNR \d+\.\d\d dB", got.stdout)) == 3


def test_a_receiver_renders_what_another_model_sent(ds2c2, rendering_models, photographs, tmp_path):
    sent = ds2c2("send", photographs / "coffee.png", "--bpp", "0.8", "--to", "a.ds2c2")
    assert sent.returncode == 0, sent.stderr
    for folder, options in (("plain", ()), ("eye", ("--render", "eye"))):
        got = ds2c2("receive", "--from", "a.ds2c2", "--out", folder, *options)
        assert got.returncode == 0, got.stderr
    plain, eye = (np.asarray(Image.open(tmp_path / folder / "frame-000000.png")) for folder in ("plain", "eye"))
    assert plain.shape == eye.shape and not np.array_equal(plain, eye)
    wrong = ds2c2("receive", "--from", "a.ds2c2", "--out", "no", "--render", "binary")
    assert wrong.returncode == errors.WeightsError.exit_code
    assert "render binary: was not trained from coded@" in wrong.stderr and wrong.stderr.count("\n") == 1
    assert not (tmp_path / "no").exists()
