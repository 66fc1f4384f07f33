# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets wrong is answered by one line, an exit code, and nothing half-written."""

import re
import socket

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ds2c2 import errors


@pytest.fixture
def refused(ds2c2, tmp_path):
    """Run a command that must fail; its one line, after the checks that all errors share."""

    def run(code: int, *arguments, **environment) -> str:
        before = sorted(tmp_path.rglob("*"))
        process = ds2c2(*arguments, **environment)
        assert process.returncode == code, process.stderr
        assert "Traceback" not in process.stderr
        lines = process.stderr.strip().splitlines()
        assert len(lines) == 1, process.stderr
        assert lines[0].startswith("ds2c2: ")
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return run


def send(*arguments):
    return ("send", *arguments, "--to", "packets.ds2c2")


def test_missing_file(refused):
    line = refused(errors.PictureError.exit_code, *send("nowhere.png"))
    assert "nowhere.png: no such file" in line


def test_text_file_named_png(refused, tmp_path):
    (tmp_path / "text.png").write_text("I am no picture\n")
    line = refused(errors.PictureError.exit_code, *send("text.png"))
    assert "text.png: not a picture" in line


def test_picture_too_small(refused, tmp_path):
    Image.new("RGB", (10, 10)).save(tmp_path / "tiny.png")
    line = refused(errors.PictureError.exit_code, *send("tiny.png"))
    assert "tiny.png: 10x10 pixels" in line and "64 to 4096" in line


def test_truncated_picture(refused, photographs, tmp_path):
    whole = (photographs / "coffee.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    line = refused(errors.PictureError.exit_code, *send("torn.png"))
    assert "torn.png: damaged" in line


def test_rate_too_low_for_the_base_layer_and_the_remedy_works(refused, ds2c2, tmp_path):
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "small.png")
    line = refused(errors.FormatError.exit_code, *send("small.png", "--bpp", "0.1"))
    assert "too low for the base layer" in line
    remedy = re.search(r"bpp ([0-9.]+) or more", line).group(1)
    assert ds2c2(*send("small.png", "--bpp", remedy)).returncode == 0


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--bpp", "3", "bpp 3"),
        ("--block-size", "5", "block_size 5"),
        ("--size", "768", "size '768'"),
        ("--redundancy", "-1", "-1"),
        ("--survive", "0.9", "survive 0.9"),
    ],
)
def test_impossible_formats(refused, photographs, option, value, named):
    assert named in refused(errors.FormatError.exit_code, *send(photographs, option, value))


def test_weights_missing(refused, photographs, tmp_path):
    line = refused(errors.WeightsError.exit_code, *send(photographs, "--model", "nosuch"))
    assert "'nosuch' is unknown" in line and "known: binary, coded" in line


@pytest.mark.parametrize("model", ["binary", "coded"])
def test_weights_truncated(refused, photographs, models, tmp_path, model):
    folder = tmp_path / "models"
    folder.mkdir()
    whole = (models / f"{model}.safetensors").read_bytes()
    (folder / f"{model}.safetensors").write_bytes(whole[: len(whole) // 2])
    line = refused(errors.WeightsError.exit_code, *send(photographs, "--model", model), DS2C2_MODELS=str(folder))
    assert f"{model}.safetensors: truncated" in line


def test_weights_of_another_profile(refused, photographs, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    save_file({"w": torch.zeros(1)}, folder / "coded.safetensors", metadata={"profile": "other", "version": "1"})
    line = refused(errors.WeightsError.exit_code, *send(photographs), DS2C2_MODELS=str(folder))
    assert "holds profile 'other'; this program knows 'binary', 'coded'" in line


@pytest.mark.parametrize("device", ["cuda:63", "tpu"])
def test_device_that_is_not_there(refused, photographs, device):
    line = refused(errors.DeviceError.exit_code, *send(photographs, "--device", device))
    assert f"device '{device}'" in line


def test_port_in_use(refused, ds2c2):
    text = ds2c2("info", "160x128").stdout.splitlines()[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"udp://127.0.0.1:{taken.getsockname()[1]}"
        process = ds2c2("receive", "--from", where, "--out", "received", "--format", text)
    assert process.returncode == errors.LinkError.exit_code
    assert process.stderr.count("\n") == 1 and "port in use" in process.stderr and where in process.stderr


def test_listening_beyond_loopback_must_be_asked_for(refused, ds2c2):
    text = ds2c2("info", "160x128").stdout.splitlines()[0]
    arguments = ("receive", "--from", "udp://0.0.0.0:5999", "--out", "received", "--format", text)
    assert "--off-loopback" in refused(errors.LinkError.exit_code, *arguments)


@pytest.mark.parametrize(
    ("code", "arguments", "named"),
    [
        (7, (), "the pictures would go nowhere; give --out FOLDER, or --http"),
        (7, ("--out", "got", "--http-anyone"), "--http-anyone: there is no page"),
        (7, ("--http", "0.0.0.0:0"), "--http 0.0.0.0:0: others can reach it"),
        (7, ("--http", "somewhere"), "write 127.0.0.1:8080"),
        (1, ("--view",), "--view: no display here"),
        (7, ("--out", "got", "--stay"), "--stay: what is read there ends by itself"),
        (7, ("--out", "got", "--stay", "--wait", "5"), "--stay waits for ever"),
        (7, ("--http", "127.0.0.1:0", "--max-pictures", "3"), "give --max-frames"),
        (7, ("--out", "got", "--frame-rate", "5"), "there is no film"),
        (7, ("--out", "a.mp4", "--frame-rate", "-5"), "out of range"),
        (7, ("--out", "got", "--fit", "scale"), "give --originals"),
        (7, ("--out", "got", "--off-loopback"), "--off-loopback: nothing is listened to there"),
    ],
)
def test_receptions_that_nobody_would_see_and_options_that_do_nothing(
    ds2c2, refused, photographs, code, arguments, named
):
    assert ds2c2(*send(photographs / "coffee.png")).returncode == 0
    quiet = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}
    assert named in refused(code, "receive", "--from", "packets.ds2c2", *arguments, **quiet)


@pytest.mark.parametrize("command", [("info",), ("send", "{}", "--to", "packets.ds2c2")])
def test_a_stream_format_said_twice(ds2c2, refused, photographs, command):
    text = ds2c2("info", "160x128").stdout.splitlines()[0]
    words = [word.format(photographs) for word in command]
    line = refused(errors.FormatError.exit_code, *words, "--format", text, "--bpp", "0.5", "--seed", "3")
    assert "--bpp, --seed: the text of --format says that already" in line


def test_recording_that_is_none(refused, tmp_path):
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    line = refused(errors.FormatError.exit_code, "receive", "--from", "noise.bin", "--out", "received")
    assert "noise.bin: not a packet recording" in line


def test_channel_that_cannot_be(refused, photographs):
    line = refused(8, *send(photographs, "--loss", "1.5"))
    assert "loss 1.5" in line


@pytest.mark.parametrize("command", [("send", "{}", "--to", "packets.ds2c2"), ("info", "160x128")])
def test_interleaving_that_tears_coded_blocks(refused, photographs, command):
    arguments = [word.format(photographs) for word in command]
    line = refused(errors.FormatError.exit_code, *arguments, "--bpp", "0.6", "--interleave", "bit")
    assert "interleave=none" in line


@pytest.mark.parametrize("command", [("send", "{}", "--to", "a.ds2c2"), ("evaluate", "{}", "--bpp", "0.6")])
def test_packets_are_not_lost_bit_by_bit(refused, photographs, command):
    line = refused(8, *(word.format(photographs) for word in command), "--unit", "bit")
    assert "effect erase loses whole packets, unit bit hits single bits: choose effect zero or flip" in line


@pytest.mark.parametrize("effect", ["zero", "flip"])
def test_figures_that_would_mislead(refused, photographs, effect):
    line = refused(8, "evaluate", photographs, "--bpp", "0.6", "--effect", effect)
    assert "--model binary" in line


@pytest.mark.parametrize(
    ("code", "arguments", "named"),
    [
        (errors.FormatError.exit_code, ("--favour", "lorry=2", "--labels", "labels"), "'lorry' is unknown"),
        (errors.FormatError.exit_code, ("--favour", "sign=8", "--labels", "labels"), "0.25 to 4"),
        (errors.FormatError.exit_code, ("--favour", "sign=2"), "labels"),
        (errors.FormatError.exit_code, ("--favour", "0,0,161x16=2"), "not within the stream's 160x128"),
        (errors.FormatError.exit_code, ("--favour", "0,0,64x64=2", "--model", "binary"), "profile coded"),
        (errors.PictureError.exit_code, ("--favour", "sign=2", "--labels", "labels"), "astronaut.png: no such label"),
    ],
)
def test_favours_that_cannot_be(refused, photographs, code, arguments, named):
    assert named in refused(code, *send(photographs, "--bpp", "0.6", *arguments))


def test_training_refuses_a_checkpoint_in_its_way(refused, photographs, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.pt").write_bytes(b"")
    line = refused(errors.ExitCode.PLACE, "train", photographs, "--out", "mine.safetensors")
    assert "--resume" in line


def test_training_names_the_picture_that_is_smaller_than_a_crop(ds2c2, photographs):
    process = ds2c2("train", photographs, "--out", "mine.safetensors", "--steps", "1", "--crop", "256")
    assert process.returncode == errors.PictureError.exit_code
    assert process.stderr.count("\n") == 1
    assert ".png: 160x128 is smaller than the crop of 256" in process.stderr


@pytest.mark.parametrize("name", ["film.mp4", "-"])
def test_serve_takes_still_pictures_alone_and_says_so(refused, name):
    line = refused(errors.PictureError.exit_code, "serve", "encode", name)
    assert f"{name}: serve encode takes still pictures alone" in line


def test_names_that_are_too_long(refused):
    name = "a" * 300
    assert f"{name}: cannot be looked at" in refused(errors.ExitCode.PLACE, "trace", "show", name)
    assert f"model {name!r} is unknown" in refused(errors.ExitCode.WEIGHTS, "pack", name, "--out", "a.safetensors")
