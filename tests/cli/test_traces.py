# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss traces as a user has them: recorded, shown, fitted, compared."""

import html
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ds2c2 as ds2c2_package
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import HOST_DROP, MISSED, OK, LossTrace, read_trace_file, write_trace
from freeport import free_port

OPTIONS = ("--bpp", "0.6", "--block-size", "48")
BURSTY = (*OPTIONS, "--loss", "0.2", "--channel", "gilbert-elliott", "--channel-seed", "5")


@pytest.fixture
def recorder(tmp_path, models):
    """Starts ``ds2c2`` on a free UDP port and waits until it listens; gives the process and where."""
    started = []

    def start(*arguments: str) -> tuple[subprocess.Popen, str]:
        where = f"udp://127.0.0.1:{free_port()}"
        process = subprocess.Popen(
            [sys.executable, "-m", "ds2c2", *arguments, "--from", where],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        )
        started.append(process)
        assert "listening" in process.stdout.readline()
        return process, where

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_record_finds_the_losses_of_the_channel(ds2c2, photographs, tmp_path, recorder):
    """Over a recording, beside the pictures, and over UDP: the same losses, those that were drawn."""
    from ds2c2.channels.channel import BlockChannel

    sent = ds2c2("send", photographs, "--to", "packets.ds2c2", *BURSTY)
    count, hit = map(int, re.search(r"(\d+) blocks, (\d+) of them hit", sent.stdout).groups())
    text = re.search(r"stream format: (.*)", sent.stdout)[1]
    recorded = ds2c2(
        "trace", "record", "--from", "packets.ds2c2", "--out", "r/trace.csv", "--first", "0", "--run", "7",
        "--note", "on the roof",
    )  # fmt: skip
    assert recorded.returncode == 0, recorded.stderr
    assert f"{count - hit} ok, {hit} missed" in recorded.stdout and f"r/trace.csv: {count} packets" in recorded.stdout
    trace = read_trace_file(tmp_path / "r" / "trace.csv")
    assert np.array_equal(trace.lost(), BlockChannel(0.2, "gilbert-elliott", seed=5).draw(count))
    assert (trace.about["run"], trace.about["note"], trace.about["format"]) == ("7", "on the roof", text)
    got = ds2c2("receive", "--from", "packets.ds2c2", "--out", "received", "--trace", "beside.csv")
    assert "wrote loss trace beside.csv" in got.stdout and "wrote 3 pictures" in got.stdout
    beside = read_trace_file(tmp_path / "beside.csv")
    first = int(beside.sequence[0])
    assert beside.status.tolist() == trace.status[first:].tolist() and np.isnan(beside.time).all()

    process, where = recorder("trace", "record", "--out", "udp.csv", "--format", text, "--first", "0", "--wait", "60")
    assert ds2c2("send", photographs, "--to", where, *BURSTY, "--log", "sent.csv").returncode == 0
    assert "wrote udp.csv" in process.communicate(timeout=100)[0] and process.returncode == 0
    over_udp = read_trace_file(tmp_path / "udp.csv")
    assert over_udp.status.tolist() == trace.status.tolist()
    assert np.all(np.diff(over_udp.time[~np.isnan(over_udp.time)]) >= 0) and over_udp.about["link"] == "udp"
    # The sender's host sent all; had it kept two that are missing, they would not be the channel's.
    log = read_trace_file(tmp_path / "sent.csv")
    assert len(log) == count and (log.status == OK).all() and log.about["side"] == "sender"
    log.status[np.flatnonzero(over_udp.status == MISSED)[:2]] = HOST_DROP
    write_trace(tmp_path / "sent.csv", log)
    merged = ds2c2("trace", "merge", "udp.csv", "sent.csv", "--out", "both.csv")
    assert "2 missing packets were lost by the sender's host" in merged.stdout, merged.stderr
    assert f"{count - 2} packets met the channel, {hit - 2} were lost by it" in merged.stdout
    assert len(read_trace_file(tmp_path / "both.csv")) == count


def test_an_interrupted_recording_is_written(ds2c2, photographs, tmp_path, recorder):
    text = re.search(r"ds2c2/2 .*", ds2c2("info", "160x128", *OPTIONS).stdout)[0]
    process, where = recorder("trace", "record", "--out", "t.csv", "--format", text, "--stream", "3")
    from ds2c2.stream.packets import Packetizer
    from ds2c2.stream.streamformat import StreamFormat
    from ds2c2.transport.udp import UdpSender, parse_address

    stream = StreamFormat.parse(text)
    sender = UdpSender(*parse_address(where))
    sender.send(Packetizer(stream, 3).pack(np.zeros((10, stream.block_size), np.uint8)))
    sender.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "wrote t.csv: 10 packets" in output
    assert read_trace_file(tmp_path / "t.csv").counts()["ok"] == 10


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--from", "none.ds2c2", "--out", "t.csv"), 7, "no recording to read"),
        (("--from", "udp://127.0.0.1:5005", "--out", "t.csv"), 4, "--format is needed"),
        (("--from", "none.ds2c2", "--out", "file/t.csv"), 7, "cannot be written"),
    ],
)
def test_wrong_input_of_record_is_one_line(ds2c2, tmp_path, arguments, code, words):
    (tmp_path / "file").write_text("")
    done = ds2c2("trace", "record", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


SMALL = StreamFormat(96, 64, bpp=0.9, block_size=32, base_bpp=0.1)
SHIPPED = {"DS2C2_MODELS": str(Path(ds2c2_package.__file__).parents[1] / "models")}


@pytest.fixture
def outages(tmp_path):
    """A link that is gone for two frames out of ten, somewhere, and loses 2 % in between."""
    rng = np.random.default_rng(1)
    lost = rng.random(120 * SMALL.blocks) < 0.02
    for start in range(0, len(lost), 10 * SMALL.blocks):
        lost[start + rng.integers(2 * SMALL.blocks) :][: 2 * SMALL.blocks] = True
    trace = LossTrace.from_losses(lost, SMALL, {"run": "outages"})
    trace.snr_db[:] = np.where(lost, np.nan, 20.0)
    return write_trace(tmp_path / "outages.csv", trace)


def test_show_and_fit(ds2c2, outages, tmp_path):
    lost = read_trace_file(outages).lost()
    shown = ds2c2("trace", "show", outages, "--plot", "plots/trace.png")
    assert shown.returncode == 0, shown.stderr
    assert f"lost on the link │ {lost.sum()}" in re.sub(" +", " ", shown.stdout) and "20 to 20 dB" in shown.stdout
    assert Image.open(tmp_path / "plots" / "trace.png").size == (1200, 1320)
    fitted = ds2c2(
        "trace", "fit", outages, "--json", "fit.json", "--emulate", "drawn.csv", "--packets", "50000",
        "--also", "semi-markov",
    )  # fmt: skip
    assert fitted.returncode == 0, fitted.stderr
    assert "Losses come in bursts: Gilbert–Elliott, loss in both states fits best" in fitted.stdout
    found = json.loads((tmp_path / "fit.json").read_text())
    iid, _, general, semi = found["models"]
    assert iid["parameters"]["loss"]["value"] == lost.mean() and found["best-model"] == "gilbert-elliott-general"
    assert semi["name"] == "semi-markov" and semi["bursts"]["tail"] > 0
    assert general["parameters"]["good"]["low"] < 0.02 < general["parameters"]["good"]["high"]
    drawn = read_trace_file(tmp_path / "drawn.csv")
    assert len(drawn) == 50000 and drawn.about["model"] == "gilbert-elliott-general"
    assert abs(drawn.lost().mean() - general["loss"]) < 0.05
    wrong = ds2c2("trace", "fit", outages, "--emulate", "x.csv", "--model", "best")
    assert wrong.returncode == 8 and "choose one of iid, gilbert-elliott" in wrong.stderr
    assert not (tmp_path / "x.csv").exists()


def test_compare_says_that_independent_losses_are_not_this_link(ds2c2, outages, photographs, tmp_path):
    done = ds2c2(
        "compare", outages, "--pictures", photographs, "--draws", "20", "--jobs", "2", "--out", "compared", **SHIPPED
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "compared"
    plots = [f"{name}.png" for name in ("differences", "distribution", "pictures", "quality", "trace")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*plots, "compare.json", "report.html"])
    result = json.loads((folder / "compare.json").read_text())
    assert result["verdicts"]["iid"] == "optimistic" and result["verdicts"]["interleaving"] == "not-enough"
    assert result["differences"]["iid"]["worst-5"]["together"][1] < -0.2
    assert result["channels"]["trace"]["concealed"]["value"] > 5 * result["channels"]["iid"]["concealed"]["value"]
    assert result["settings"]["pictures"][0]["format"].startswith("ds2c2/2 96x64 bpp=0.9 block=32 ")
    assert result["trace"]["run"] == "outages" and result["trace"]["missed"] == result["statistics"]["lost"]
    assert all(sentence in done.stdout for sentence in result["words"])
    assert "wrote compared/report.html, compared/compare.json" in done.stdout
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == page.count('src="data:image/') == 5 and html.escape(result["words"][0]) in page


def test_names_of_files_lead_nowhere_else(ds2c2, photographs, tmp_path):
    """A page's links are to the folders beside it; bytes that are no text stand as Python writes them."""
    names = ["javascript:alert(1).csv", "...csv", os.fsdecode(b"r\xffoof.csv"), "report.html.csv"]
    for name in names:
        (tmp_path / name).write_text("0\n1\n0\n0\n" * 200)
    done = ds2c2(
        "compare", *names, "--pictures", photographs / "coffee.png", "--draws", "4", "--out", "a/b", "--size", "96x64",
        **SHIPPED,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folders = ["javascript_alert_1_", "link", "r_oof", "report.html-2"]
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == sorted(
        [*folders, "compare.json", "report.html"]
    )
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    page = (tmp_path / "a/b/report.html").read_text()
    assert re.findall(r'href="([^"]*)"', page) == [f"./{folder}/report.html" for folder in folders]
    assert r"r\udcffoof" in page and r"r\udcffoof.csv" in (tmp_path / "a/b/r_oof/report.html").read_text()
    for command in (("convert", names[2], "c.csv"), ("fit", names[2], "--emulate", "d.csv", "--packets", "9")):
        assert ds2c2("trace", *command).returncode == 0
    assert read_trace_file(tmp_path / "c.csv").about["source"] == r"r\udcffoof.csv"
    assert read_trace_file(tmp_path / "d.csv").about["fitted_to"] == r"r\udcffoof.csv"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "none.csv"), 8, "none.csv: no readable loss trace"),
        (("fit", "one.txt"), 8, "1 packets are no trace to fit a model to; record more"),
        (("fit", "few.txt", "--json", "few.txt/x.json"), 7, "few.txt/x.json: cannot be written"),
        (("compare", "few.txt", "--size", "768x512"), 8, "the trace holds 3 packets"),
        (("compare", "many.txt", "few.txt", "--size", "768x512"), 8, "few.txt: the trace holds 3 packets"),
        (("merge", "many.txt", "none.csv", "--out", "both.csv"), 8, "none.csv: no readable loss trace"),
        (("compare", "many.txt", "--size", "768x512", "--out", "few.txt/x"), 7, "few.txt/x: cannot be written"),
        (("compare", "few.txt", "--pictures", "nothing"), 3, "nothing"),
        (("compare", "few.txt", "--size", "96"), 4, "size '96' is not understood"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(ds2c2, tmp_path, arguments, code, words):
    (tmp_path / "one.txt").write_text("0\n")
    (tmp_path / "few.txt").write_text("0\n1\n0\n")
    (tmp_path / "many.txt").write_text("0\n1\n" * 500)
    command = arguments if arguments[0] == "compare" else ("trace", *arguments)
    done = ds2c2(*command)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.txt", "many.txt", "one.txt"]


LINKS = "device,counter,snr\n" + "".join(
    f"{name},{n},{10 + n % 3}\n" for name, every in (("a", 5), ("b", 7)) for n in range(200) if n % every or n % 3
)


def test_a_trace_of_another_tool_goes_everywhere(ds2c2, photographs, tmp_path):
    """Shown, converted, fitted for each link and for all, put on a stream."""
    (tmp_path / "links.csv").write_text(LINKS)
    several = ds2c2("trace", "show", "links.csv")
    assert several.returncode == 8 and "2 links in it: a, b; choose one with --link" in several.stderr
    shown = ds2c2("trace", "show", "links.csv", "--link", "b")
    assert shown.returncode == 0, shown.stderr
    assert "sequence from column counter (guessed)" in shown.stdout and "10 to 12 dB" in shown.stdout
    converted = ds2c2("trace", "convert", "links.csv", "each")
    assert converted.returncode == 0, converted.stderr
    assert "wrote each/a.csv: 199 packets, 13 lost" in converted.stdout
    lost = read_trace_file(tmp_path / "each" / "b.csv").lost()
    assert np.flatnonzero(lost).tolist() == list(range(20, 199, 21))
    assert ds2c2("trace", "convert", "links.csv", "b.txt", "--link", "b", "--to", "indices").returncode == 0
    assert (tmp_path / "b.txt").read_text().split() == [str(n - 1) for n in range(21, 200, 21)]
    fitted = ds2c2("trace", "fit", "each", "--json", "fit.json", "--model", "gilbert-elliott", "--netem", "eth0")
    assert fitted.returncode == 0, fitted.stderr
    found = json.loads((tmp_path / "fit.json").read_text())
    assert [link["name"] for link in found["links"]] == ["a.csv", "b.csv"] and found["pooled"][0]["name"] == "iid"
    assert "tc qdisc replace dev eth0 root netem loss gemodel" in fitted.stdout
    sent = ds2c2("send", photographs, "--to", "p.ds2c2", *OPTIONS, "--channel", "trace", "--trace", "links.csv")
    assert sent.returncode == 8 and "`ds2c2 trace convert --link NAME`" in sent.stderr
    sent = ds2c2("send", photographs, "--to", "p.ds2c2", *OPTIONS, "--channel", "trace", "--trace", "each/b.csv")
    assert sent.returncode == 0, sent.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("convert", "digits.txt", "out.csv"), "--lost 1 or --lost 0"),
        (("convert", "links.csv", "digits.txt"), "digits.txt is a file: name a folder"),
        (("fit", "links.csv", "--link", "a", "--netem", "eth 0"), "is no name of a network interface"),
    ],
)
def test_wrong_words_about_another_tools_trace_are_one_line(ds2c2, tmp_path, arguments, words):
    (tmp_path / "digits.txt").write_text("0110")
    (tmp_path / "links.csv").write_text(LINKS)
    done = ds2c2("trace", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (8, 1) and words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.txt", "links.csv"]
