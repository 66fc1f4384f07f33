# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures in 16 bits: another precision at either end reads every block, and shows the same picture."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.errors import DeviceError
from ds2c2.networks.precision import VARIABLE, processor_has_bfloat16
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(128, 96, bpp=0.6, block_size=40, survive=0.5, model="coded")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_either_end_may_compute_in_16_bits(models, monkeypatch, precision):
    ends = {}
    for name in ("float32", precision):
        monkeypatch.setenv(VARIABLE, name)
        ends[name] = Codec(STREAM, "cpu")
        assert ends[name].profile.precision == (None if name == "float32" else getattr(torch, name))
    picture = fit_picture(astronaut(), STREAM.width, STREAM.height, "scale")
    for sender in ends.values():
        soft = to_soft(sender.encode(picture).blocks, np.ones(STREAM.blocks, bool))
        frames = [receiver.decode(soft) for receiver in ends.values()]
        assert [frame.enhancement_damaged for frame in frames] == [0, 0]
        first, second = (frame.picture.astype(int) for frame in frames)
        assert np.abs(first - second).max() <= 4 and np.abs(first - second).mean() < 0.3


def test_another_precision_is_refused(models, monkeypatch):
    monkeypatch.setenv(VARIABLE, "float8")
    with pytest.raises(DeviceError, match="float8.*choose auto, float32, bfloat16, float16"):
        Codec(STREAM, "cpu")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 sha_ni\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd i8mm bf16 dgh\n", True),
        ("flags\t\t: fpu avx2 avx512f\nbugs\t\t: avx512_bf16\n", False),
        ("", False),
    ],
)
def test_what_a_processor_says_of_itself(tmp_path, text, has):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert processor_has_bfloat16(file) == has


def test_where_nothing_says_it_there_is_none(tmp_path):
    assert not processor_has_bfloat16(tmp_path / "absent")
