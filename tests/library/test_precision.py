# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures in bfloat16: another precision at either end reads every block, and shows the same picture."""

import numpy as np
import pytest
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.errors import DeviceError
from ds2c2.networks.precision import VARIABLE, processor_has_bfloat16
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(128, 96, bpp=0.6, block_size=40, survive=0.5, model="coded")


def test_either_end_may_compute_in_bfloat16(models, monkeypatch):
    ends = {}
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv(VARIABLE, precision)
        ends[precision] = Codec(STREAM, "cpu")
        assert ends[precision].profile.mixed == (precision == "bfloat16")
    picture = fit_picture(astronaut(), STREAM.width, STREAM.height, "scale")
    for sender in ends.values():
        soft = to_soft(sender.encode(picture).blocks, np.ones(STREAM.blocks, bool))
        frames = [receiver.decode(soft) for receiver in ends.values()]
        assert [frame.enhancement_damaged for frame in frames] == [0, 0]
        first, second = (frame.picture.astype(int) for frame in frames)
        assert np.abs(first - second).max() <= 4 and np.abs(first - second).mean() < 0.3


def test_another_precision_is_refused(models, monkeypatch):
    monkeypatch.setenv(VARIABLE, "float16")
    with pytest.raises(DeviceError, match="float16.*choose auto, float32 or bfloat16"):
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
