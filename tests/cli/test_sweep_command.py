# SPDX-License-Identifier: GPL-3.0-or-later
"""ds2c2 sweep: packets and pictures over the SNR, into files that can be continued."""

import csv
import os

import pytest
from PIL import Image

from ds2c2.traces.losstrace import read_trace_file

OPTIONS = ("--bpp", "0.6", "--block-size", "48", "--packets", "150", "--frames", "2")


def rows_of(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {float(row["snr"]): row for row in csv.DictReader(lines)}


def test_sweep_measures_and_goes_on(ds2c2, photographs, tmp_path):
    """The split adds up, the loss traces agree, pictures get better; what is there is kept."""
    command = ("sweep", photographs, *OPTIONS, "--air", "fading=rayleigh doppler=1e-4 seed=5", "--out", "found")
    first = ds2c2(*command, "--snr", "14")
    assert first.returncode == 0, first.stderr
    kept = rows_of(tmp_path / "found" / "sweep.csv")
    done = ds2c2(*command, "--snr", "14:30:16")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 SNRs are in found/sweep.csv already" in done.stdout
    rows = rows_of(tmp_path / "found" / "sweep.csv")
    assert list(rows) == [14, 30]
    assert rows[14] == kept[14]
    for snr, row in rows.items():
        parts = [int(row[name]) for name in ("passed", "missed", "header", "crc", "host")]
        assert sum(parts) == int(row["packets"]) >= 150
        assert float(row["per_low"]) <= float(row["per"]) <= float(row["per_high"])
        trace = read_trace_file(tmp_path / "found" / "traces" / f"{snr:g}dB.csv")
        assert trace.lost().sum() == int(row["packets"]) - int(row["passed"])
        assert trace.about["snr"] == f"{snr:g}"
        assert float(row["snr_estimate"]) == pytest.approx(snr, abs=4)
    assert float(rows[14]["per"]) > 0.05 > float(rows[30]["per"])
    assert float(rows[14]["psnr"]) < float(rows[30]["psnr"])
    with Image.open(tmp_path / "found" / "sweep.png") as plot:
        assert plot.width > 500


def test_wrong_input_is_one_line(ds2c2, photographs):
    done = ds2c2("sweep", photographs, *OPTIONS, "--snr", "8:4:1")
    assert done.returncode == 11
    assert done.stderr.startswith("ds2c2: SNRs '8:4:1'") and len(done.stderr.splitlines()) == 1


def test_without_gnu_radio(ds2c2, photographs, tmp_path):
    """One line that names the cause and the remedy."""
    shadow = tmp_path / "shadow" / "gnuradio"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ImportError('no GNU Radio here')")
    path = os.pathsep.join([str(shadow.parent), os.environ.get("PYTHONPATH", "")])
    done = ds2c2("sweep", photographs, *OPTIONS, "--snr", "20", PYTHONPATH=path)
    assert done.returncode == 1
    assert "no GNU Radio here" in done.stderr and "doctor" in done.stderr
    assert "Traceback" not in done.stderr
