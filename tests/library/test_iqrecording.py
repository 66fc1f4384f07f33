# SPDX-License-Identifier: GPL-3.0-or-later
"""SigMF recordings: what is written is read back, by others too, and an interruption is survived and said."""

import hashlib
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sigmf

from ds2c2.errors import FileError, FormatError, LinkError
from ds2c2.links.iqrecording import IqReader, IqWriter, recording_paths

RATE = 2e6


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    return (rng.normal(size=3000) + 1j * rng.normal(size=3000)).astype(np.complex64)


def write(path, samples, **settings):
    writer = IqWriter(path, RATE, **settings)
    writer.write(samples[:1000])
    writer.write(samples[1000:])
    return writer


def test_what_is_written_is_read(samples, tmp_path):
    writer = write(tmp_path / "run", samples, frequency=868.3e6, hardware="a radio", stream_format="ds2c2/1 text",
                   about={"gain": "12 dB", "antenna": "TX/RX"})  # fmt: skip
    writer.close()
    reader = IqReader(tmp_path / "run.sigmf-meta")
    np.testing.assert_array_equal(np.concatenate([reader.read(0, 7), reader.read(7, 10**9)]), samples)
    assert len(reader.read(3000, 5)) == 0
    assert (reader.samples, reader.rate, reader.hardware) == (3000, RATE, "a radio")
    assert reader.stream_format == "ds2c2/1 text" and reader.about == {"gain": "12 dB", "antenna": "TX/RX"}
    assert reader.captures[0].frequency == 868.3e6 and reader.captures[0].time.endswith("Z")
    assert reader.trouble == ""


def test_others_read_it_too(samples, tmp_path):
    """The sigmf library itself, check sum included."""
    write(tmp_path / "run", samples).close()
    signal = sigmf.sigmffile.fromfile(tmp_path / "run.sigmf-meta")
    np.testing.assert_array_equal(signal.read_samples(), samples)
    assert signal.get_global_field("core:sha512") == hashlib.sha512(samples.tobytes()).hexdigest()
    signal.validate()


def test_gaps_and_events_stand_at_their_samples(samples, tmp_path):
    writer = IqWriter(tmp_path / "run", RATE, frequency=1e9)
    writer.write(samples[:500])
    writer.event("overrun", "120 samples lost")
    writer.capture(1_700_000_000.25, 2e9)
    writer.write(samples[500:])
    writer.close()
    reader = IqReader(tmp_path / "run")
    assert [(capture.start, capture.frequency) for capture in reader.captures] == [(0, 1e9), (500, 2e9)]
    assert reader.captures[1].time == "2023-11-14T22:13:20.250000Z"
    assert reader.events == [(500, "overrun")]


@pytest.mark.parametrize("torn", [0, 5])
def test_an_interrupted_recording_is_readable_and_says_so(samples, tmp_path, torn):
    """As a process that was killed leaves it: data written, nothing closed."""
    writer = write(tmp_path / "run", samples)
    writer._file.flush()
    with writer.data_path.open("ab") as file:
        file.write(b"\0" * torn)
    reader = IqReader(tmp_path / "run")
    np.testing.assert_array_equal(reader.read(0, 10**6), samples)
    assert "interrupted" in reader.trouble and ("5 bytes of a torn" in reader.trouble) == bool(torn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sigmf.sigmffile.fromfile(tmp_path / "run.sigmf-meta", skip_checksum=True).sample_count == 3000


def test_a_truncated_recording_says_so(samples, tmp_path):
    write(tmp_path / "run", samples).close()
    data, _ = recording_paths(tmp_path / "run")
    data.write_bytes(data.read_bytes()[: 2000 * 8])
    assert IqReader(tmp_path / "run").trouble == "1000 of 3000 samples are missing at the end"


def test_a_full_disk_leaves_nothing_and_the_name_can_be_tried_again(tmp_path):
    """A process that may write so many bytes a file stands in for a disk with so much room."""
    script = (
        "import resource, sys, numpy as np; from ds2c2.links.iqrecording import IqWriter\n"
        "from ds2c2.errors import FileError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "writer = IqWriter(sys.argv[1], 1e6)\n"
        "try:\n"
        "    for _ in range(100): writer.write(np.ones(1000, np.complex64))\n"
        "    raise SystemExit('written beyond the limit')\n"
        "except FileError as error: print(error)\n"
        "writer.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "run"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "run.sigmf-data: no space is left" in done.stdout and done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())
    IqWriter(tmp_path / "run", RATE).close()


def test_nothing_is_overwritten(samples, tmp_path):
    write(tmp_path / "run", samples).close()
    before = [path.read_bytes() for path in recording_paths(tmp_path / "run")]
    with pytest.raises(LinkError, match="run.sigmf-data: there is a recording already"):
        IqWriter(tmp_path / "run", RATE)
    assert [path.read_bytes() for path in recording_paths(tmp_path / "run")] == before


def test_integers_of_others_are_scaled(tmp_path):
    (tmp_path / "other.sigmf-data").write_bytes(np.array([16384, -16384, 0, 32767], "<i2").tobytes())
    meta = {
        "global": {"core:datatype": "ci16_le", "core:sample_rate": 1e6, "core:version": "1.0.0"},
        "captures": [{"core:sample_start": 0}],
        "annotations": [],
    }
    (tmp_path / "other.sigmf-meta").write_text(json.dumps(meta))
    reader = IqReader(tmp_path / "other")
    np.testing.assert_allclose(reader.read(0, 10), [0.5 - 0.5j, 1j], atol=1e-4)
    assert (reader.stream_format, reader.about, reader.trouble) == ("", {}, "")


def test_what_others_put_before_and_behind_the_samples_is_left_out(samples, tmp_path):
    """``core:header_bytes`` and ``core:trailing_bytes``: they were read as samples, past the end."""
    data, meta = recording_paths(tmp_path / "theirs")
    data.write_bytes(b"HEAD" * 4 + samples.tobytes() + b"tail" * 3)
    described = {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:trailing_bytes": 12}
    captures = [{"core:sample_start": 0, "core:header_bytes": 16}]
    described |= {"core:dataset": data.name}
    meta.write_text(json.dumps({"global": described, "captures": captures, "annotations": []}))
    reader = IqReader(data)
    assert reader.samples == len(samples) and reader.trouble == ""
    np.testing.assert_array_equal(np.concatenate([reader.read(0, 7), reader.read(7, 10**9)]), samples)
    captures.append({"core:sample_start": 100, "core:header_bytes": 16})
    meta.write_text(json.dumps({"global": described, "captures": captures, "annotations": []}))
    with pytest.raises(FormatError, match="not the first"):
        IqReader(data)


def describe(meta, datatype, **more):
    described = {"core:datatype": datatype, "core:version": "1.0.0"} | more
    meta.write_text(json.dumps({"global": described, "captures": [{"core:sample_start": 0}], "annotations": []}))


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("kind", ["f64", "f32", "i32", "u32", "i16", "u16", "i8", "u8"])
def test_every_complex_type_is_read_as_the_sigmf_library_reads_it(tmp_path, kind, order):
    numbers = (
        np.random.default_rng(2).integers(0, 127, 40).astype(f"{'<>'[order == 'be']}{kind[0]}{int(kind[1:]) // 8}")
    )
    data, meta = recording_paths(tmp_path / "other")
    numbers.tofile(data)
    describe(meta, f"c{kind}" if kind.endswith("8") else f"c{kind}_{order}")
    reader = IqReader(data)
    samples = np.concatenate([reader.read(0, 3), reader.read(3, 99)])
    assert samples.dtype == np.complex64 and reader.samples == 20
    np.testing.assert_allclose(samples, sigmf.fromfile(str(meta)).read_samples(), rtol=1e-6)
    if kind.endswith("8"):
        np.testing.assert_allclose(samples.real * 128 + (128 if kind == "u8" else 0), numbers[::2])


def test_samples_of_no_modem_are_named(samples, tmp_path):
    data, meta = recording_paths(tmp_path / "other")
    samples.tofile(data)
    describe(meta, "ru8")
    with pytest.raises(FormatError, match="complex samples of one channel are wanted, not ru8"):
        IqReader(data)
    describe(meta, "cf32_le", **{"core:num_channels": 2})
    with pytest.raises(FormatError, match="not 2 channels of cf32_le"):
        IqReader(data)


def test_a_file_that_the_metadata_name_is_read(samples, tmp_path):
    samples.tofile(tmp_path / "radio.raw")
    describe(tmp_path / "other.sigmf-meta", "cf32_le", **{"core:dataset": "radio.raw"})
    np.testing.assert_array_equal(IqReader(tmp_path / "other").read(0, 10**6), samples)
    describe(tmp_path / "other.sigmf-meta", "cf32_le", **{"core:dataset": "gone.raw"})
    with pytest.raises(LinkError, match="gone.raw: no such file"):
        IqReader(tmp_path / "other")
    describe(tmp_path / "other.sigmf-meta", "cf32_le", **{"core:dataset": "../radio.raw"})
    with pytest.raises(FormatError, match="no file beside it"):
        IqReader(tmp_path / "other")


def test_an_archive_is_read_as_it_is(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("run", samples, stream_format="ds2c2/1 text").close()
    sigmf.fromfile("run.sigmf-meta").archive("packed")
    (tmp_path / "run.sigmf-data").unlink()
    for name in ("packed", "packed.sigmf"):
        reader = IqReader(name)
        np.testing.assert_array_equal(np.concatenate([reader.read(0, 7), reader.read(7, 10**6)]), samples)
        assert (reader.stream_format, reader.rate, reader.trouble) == ("ds2c2/1 text", RATE, "")
    (tmp_path / "torn.sigmf").write_bytes(b"none" * 200)
    with pytest.raises(FormatError, match="no tar file"):
        IqReader("torn.sigmf")


def test_an_empty_recording_has_no_samples(tmp_path):
    IqWriter(tmp_path / "run", RATE).close()
    reader = IqReader(tmp_path / "run")
    assert reader.samples == 0 and len(reader.read(0, 10)) == 0 and reader.trouble == ""


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ("no json", "no SigMF recording that can be read (its metadata are no JSON, line 1)"),
        ("[]", "no SigMF recording that can be read (its metadata are not as SigMF has them)"),
        ('{"global": null}', "(its metadata are not as SigMF has them)"),
        ('{"captures": []}', "(its metadata are not as SigMF has them)"),
        ("[" * 100_000, "(its metadata are nested too deep)"),
        (
            '{"global": {"core:datatype": "cf32_le", "core:version": "1.0.0", "core:sample_rate": "x"}, '
            '"captures": [], "annotations": []}',
            "(global.core:sample_rate: 'x' is not of type 'number')",
        ),
        ('{"global": {"core:version": "1.0.0"}, "captures": [], "annotations": []}', "can be read"),
        (
            '{"global": {"core:datatype": "rf32_le", "core:version": "1.0.0"}, "captures": [], "annotations": []}',
            "complex samples of one channel are wanted, not rf32_le",
        ),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, metadata, named):
    (tmp_path / "bad.sigmf-meta").write_text(metadata)
    (tmp_path / "bad.sigmf-data").write_bytes(bytes(16))
    with pytest.raises(FormatError) as refused:
        IqReader(tmp_path / "bad")
    assert named in str(refused.value) and "bad.sigmf-meta" in str(refused.value)


def test_missing_files_are_named(tmp_path):
    (tmp_path / "circle.sigmf-meta").symlink_to("circle.sigmf-meta")
    with pytest.raises(LinkError, match="circle.sigmf-meta: a link that leads in a circle"):
        IqReader(tmp_path / "circle")
    with pytest.raises(LinkError, match="nowhere.sigmf-meta: no such file"):
        IqReader(tmp_path / "nowhere")
    with pytest.raises(FileError, match="cannot be written"):
        IqWriter(tmp_path / "no" / "folder", RATE)
