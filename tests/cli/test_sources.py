# SPDX-License-Identifier: GPL-3.0-or-later
"""``send`` of what moves, and how it goes out."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from ds2c2 import errors
from ds2c2.stream.streamformat import StreamFormat
from films import LEVEL, write_film

OPTIONS = ("--bpp", "0.9", "--block-size", "48")
FORM = StreamFormat(96, 64, bpp=0.9, block_size=48)


def levels(folder) -> list[float]:
    return [np.asarray(Image.open(path)).mean() / LEVEL for path in sorted(folder.glob("frame-*.png"))]


def test_a_film_becomes_pictures(ds2c2, tmp_path):
    """Its own size, every second picture of ten a second; and from the standard input its first two."""
    write_film(tmp_path / "clip.y4m", 8)
    sent = ds2c2("send", "clip.y4m", "--to", "a.ds2c2", *OPTIONS, "--frame-rate", "5")
    assert sent.returncode == 0, sent.stderr
    assert "sent 4 pictures" in sent.stdout and " 96x64 " in sent.stdout
    got = ds2c2("receive", "--from", "a.ds2c2", "--out", "got", "--originals", "clip.y4m")
    assert got.returncode == errors.ExitCode.PICTURE and "clip.y4m" in got.stderr
    got = ds2c2("receive", "--from", "a.ds2c2", "--out", "got")
    assert "wrote 4 pictures to got, 0 of them concealed" in got.stdout
    found = levels(tmp_path / "got")
    assert len(found) == 4 and np.all(np.diff(found) > 0)
    piped = ds2c2("send", "-", "--to", "b.ds2c2", *OPTIONS, "--count", "2", stdin=tmp_path / "clip.y4m")
    assert piped.returncode == 0, piped.stderr
    assert "sent 2 pictures" in piped.stdout


def test_pictures_are_counted_and_repeated(ds2c2, photographs):
    for count, more in ((2, ()), (5, ("--repeat",)), (3, ("--follow",))):
        place = f"{count}.ds2c2"
        sent = ds2c2("send", photographs, "--to", place, "--size", "96x64", *OPTIONS, "--count", str(count), *more)
        assert sent.returncode == 0, sent.stderr
        assert f"sent {count} pictures" in sent.stdout


def test_a_photograph_is_fitted_and_a_mask_favours(ds2c2, tmp_path):
    Image.fromarray(np.full((400, 600, 3), 120, np.uint8)).resize((6000, 4000)).save(tmp_path / "large.jpg")
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(tmp_path / "icon.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 32:64] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ("send", "large.jpg", "icon.png", "--size", "96x64", "--to", "a.ds2c2", *OPTIONS)
    assert "sent 2 pictures" in ds2c2(*words, "--favour", "mask.png=2").stdout
    (tmp_path / "a.ds2c2").unlink()
    refused = ds2c2(*words, "--favour", "nosuch.png=2")
    assert refused.returncode == errors.ExitCode.PICTURE and "nosuch.png: no such file" in refused.stderr


def test_packets_of_a_film_are_spread_over_its_time(models, tmp_path):
    """The first packet comes before the last picture is there, and Ctrl-C ends the stream in good order."""
    write_film(tmp_path / "clip.y4m", 4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(100)
        where = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        command = ("send", "clip.y4m", "--to", where, *OPTIONS, "--repeat", "--live")
        sender = subprocess.Popen(
            [sys.executable, "-m", "ds2c2", *command],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        try:
            times, packets = [], []
            while len(packets) < 3 * FORM.blocks:
                packets.append(receiver.recv(1000))
                times.append(time.monotonic())
            sender.send_signal(signal.SIGINT)
            while packets[-1][0] & 1 == 0:
                packets.append(receiver.recv(1000))
            output, _ = sender.communicate(timeout=100)
        finally:
            sender.kill()
    assert sender.returncode == 0
    frames = int(re.search(r"sent (\d+) pictures", output)[1])
    assert int.from_bytes(packets[-1][2:6], "big") == frames >= 3
    # 10 pictures a second, their packets over 0.08 s each; what is late is never made up for by haste.
    assert times[3 * FORM.blocks - 1] - times[0] > 2 * 0.08


def test_pipes_are_sources_and_say_what_they_wait_for(here, tmp_path):
    """A film and a recording that somebody writes into a pipe."""
    for name in ("film.mp4", "pipe.rec"):
        os.mkfifo(tmp_path / name)
    data = write_film(tmp_path / "clip.y4m", 3).read_bytes()

    def into(name: str, data: bytes) -> threading.Thread:
        writer = threading.Thread(target=(tmp_path / name).write_bytes, args=[data], daemon=True)
        writer.start()
        return writer

    writer = into("film.mp4", data)
    sent = here("send", "film.mp4", "--to", "a.rec", *OPTIONS)
    writer.join()
    assert sent.returncode == 0 and "film.mp4: a pipe; waiting for pictures\n" in sent.stderr, sent.stderr
    assert "sent 3 pictures" in sent.stdout
    for words in ((), ("--format", (tmp_path / "a.rec").read_bytes().split(b"\n")[1].decode())):
        recorded = (tmp_path / "a.rec").read_bytes()
        writer = into("pipe.rec", recorded.split(b"\n", 2)[2] if words else recorded)
        got = here("receive", "--from", "pipe.rec", "--out", f"got{len(words)}", *words)
        writer.join()
        assert got.returncode == 0 and "pipe.rec: a pipe; waiting for packets\n" in got.stderr, got.stderr
        assert "wrote 3 pictures" in got.stdout


@pytest.mark.parametrize(
    "words",
    [("send", "pipe.mp4", "--to", "a.rec"), ("receive", "--from", "pipe.mp4", "--out", "got")],
    ids=["send", "receive"],
)
def test_ctrl_c_leaves_a_pipe_into_which_nobody_writes(here, tmp_path, words):
    os.mkfifo(tmp_path / "pipe.mp4")
    main = threading.main_thread().ident

    def press() -> None:
        with (tmp_path / "pipe.mp4").open("wb"):  # once the command has it open, too
            signal.pthread_kill(main, signal.SIGINT)
            ended.wait()

    ended = threading.Event()
    threading.Thread(target=press, daemon=True).start()
    done = here(*words)
    ended.set()
    assert done.returncode == errors.ExitCode.INTERRUPTED
    assert done.stderr.startswith("pipe.mp4: a pipe; waiting for ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, "INTERRUPTED"), (signal.SIGTERM, "TERMINATED")])
def test_what_came_before_a_signal_is_kept(here, photographs, tmp_path, number, code):
    assert here("send", photographs / "coffee.png", "--to", "a.rec", *OPTIONS).returncode == 0
    os.mkfifo(tmp_path / "pipe")
    main = threading.main_thread().ident
    ended = threading.Event()

    def send() -> None:
        # What could not be written is tried again when it is closed.
        with contextlib.suppress(BrokenPipeError), (tmp_path / "pipe").open("wb") as pipe:
            pipe.write((tmp_path / "a.rec").read_bytes())
            pipe.flush()
            while not (tmp_path / "got" / "frame-000000.png").exists() and not ended.wait(0.01):
                pass
            signal.pthread_kill(main, number)
            with contextlib.suppress(BrokenPipeError):
                pipe.write(b"0")  # a signal that came just before a read is seen behind it
                pipe.flush()
            ended.wait()

    threading.Thread(target=send, daemon=True).start()
    done = here("receive", "--from", "pipe", "--out", "got", "--trace", "a.csv", "--record", "b.rec")
    ended.set()
    assert done.returncode == errors.ExitCode[code], done.stderr
    # What is read after the picture was there may be cut off.
    assert (tmp_path / "a.rec").read_bytes().startswith((tmp_path / "b.rec").read_bytes())
    assert here("receive", "--from", "b.rec", "--out", "again").returncode == 0
    assert here("trace", "show", "a.csv").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"got", "a.csv", "b.rec"}
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("{}", "--live"), errors.ExitCode.PICTURE, "--live: still pictures are never late"),
        (("{}", "--frame-rate", "5"), errors.ExitCode.PICTURE, "a recording of still pictures has none"),
        (("-", "--repeat"), errors.ExitCode.PICTURE, "nothing came"),
        (("{}/coffee.png", "--follow"), errors.ExitCode.PICTURE, "one folder can be followed"),
        (("/dev/video63",), errors.ExitCode.PICTURE, "no such camera"),
        (("rtsp://127.0.0.1:9/none",), errors.ExitCode.PICTURE, "cannot be opened as video"),
        (("{}", "--rate", "5"), errors.ExitCode.PLACE, "nothing but UDP has a rate"),
        (("{}", "--to", "udp://127.0.0.1:9?ttl=3"), errors.ExitCode.PLACE, "for multicast groups"),
        (("{}", "--to", "udp://239.1.1.1:9?ttl=many"), errors.ExitCode.PLACE, "write ?ttl=4"),
    ],
)
def test_what_cannot_be_sent_is_one_line(ds2c2, photographs, tmp_path, arguments, code, words):
    arguments = [word.format(photographs) for word in arguments]
    done = ds2c2("send", *arguments, *(() if "--to" in arguments else ("--to", "a.ds2c2")))
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1 and words in done.stderr, done.stderr
    assert not (tmp_path / "a.ds2c2").exists()
