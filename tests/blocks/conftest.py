# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the block tests: formats and small pictures."""

import numpy as np
import pytest
from PIL import Image

from ds2c2.networks.modelfiles import pinned
from ds2c2.stream.streamformat import StreamFormat

WIDTH, HEIGHT = 192, 128


@pytest.fixture
def stream_format():
    """46 blocks of 40 bytes a frame, bits interleaved: the most that a link's blocks have to do."""
    return pinned(StreamFormat(WIDTH, HEIGHT, bpp=0.6, block_size=40, interleave="bit", model="binary"))


@pytest.fixture
def grouped_format():
    """The same, with blocks interleaved over 4 frames."""
    return pinned(
        StreamFormat(WIDTH, HEIGHT, bpp=0.6, block_size=40, interleave="block", depth=4, model="binary", layout="apart")
    )


@pytest.fixture(autouse=True)
def no_errors_left():
    """No test leaves a block's error behind unseen, nor sees another's."""
    from gnuradio import ds2c2

    ds2c2.clear_errors()
    yield
    left = ds2c2.errors()
    ds2c2.clear_errors()
    assert left == []


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """Five pictures, gradients with noise, named in the order they are sent."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    for number in range(5):
        base = np.stack([rows * 255 / HEIGHT, columns * 255 / WIDTH, np.full(rows.shape, 50.0 * number)], axis=2)
        noisy = np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.png")
    return folder
