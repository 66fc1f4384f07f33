# SPDX-License-Identifier: GPL-3.0-or-later
"""SNR lists and the file of a sweep; its measuring is tested with the links."""

import math

import pytest

from ds2c2.evaluation.sweep import SweepError, SweepFile, SweepPoint, parse_snrs

ABOUT = {"link": "ofdm  modulation=qpsk", "air": "", "packets": 100}


def point(snr, **values):
    defaults = dict.fromkeys(("passed", "missed", "header", "crc", "host", "false_alarms", "pictures", "concealed"), 1)
    reals = dict.fromkeys(("per", "per_low", "per_high", "snr_estimate", "psnr", "psnr_low", "ms_ssim"), 0.1)
    return SweepPoint(**{"snr": snr, "packets": 100, **defaults, **reals, **values})


@pytest.mark.parametrize(
    ("text", "snrs"),
    [
        ("8:10:1", [8, 9, 10]),
        ("8:9.9:1", [8, 9]),
        ("-1:-0.7:0.1", [-1, -0.9, -0.8, -0.7]),
        ("5:5:1", [5]),
        ("12", [12]),
        ("12, 8,12", [12, 8]),
    ],
)
def test_snrs(text, snrs):
    assert parse_snrs(text) == snrs


@pytest.mark.parametrize(
    "text", ["", "a", "1:2", "2:1:1", "1:2:0", "1:2:-1", "1:2:3:4", "1:2,3", "nan", "inf", "0:1e9:1"]
)
def test_no_snrs(text):
    with pytest.raises(SweepError, match="SNRs"):
        parse_snrs(text)


def test_points_are_kept_in_order_and_read_back(tmp_path):
    file = SweepFile(tmp_path / "new" / "folder", ABOUT)
    file.add(point(12.5, per=1 / 3))
    file.add(point(8.0, snr_estimate=math.nan))
    again = SweepFile(tmp_path / "new" / "folder", ABOUT)
    assert again.points[12.5] == point(12.5, per=1 / 3)
    assert math.isnan(again.points[8.0].snr_estimate)
    rows = [line for line in again.path.read_text().splitlines() if line[0] not in "#s"]
    assert [row.split(",")[0] for row in rows] == ["8.0", "12.5"]
    assert list(tmp_path.glob("**/.*")) == []


def test_another_sweep_is_not_mixed_in(tmp_path):
    SweepFile(tmp_path, ABOUT).add(point(8.0))
    with pytest.raises(SweepError, match="holds a sweep with packets '100', not '200'"):
        SweepFile(tmp_path, {**ABOUT, "packets": 200})
    with pytest.raises(SweepError, match="with seed None, not '3'"):
        SweepFile(tmp_path, {**ABOUT, "seed": 3})


@pytest.mark.parametrize("content", ["", "snr,per\n1,2\n", b"\xff\xfe", None])
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / SweepFile.NAME
    if content is None:
        SweepFile(tmp_path, ABOUT).add(point(8.0))
        content = path.read_text().replace("8.0,100,1", "8.0,100,one")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    with pytest.raises(SweepError, match=str(path)):
        SweepFile(tmp_path, ABOUT)
    assert path.read_bytes() == before
