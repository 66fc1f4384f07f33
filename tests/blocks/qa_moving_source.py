# SPDX-License-Identifier: GPL-3.0-or-later
"""The Encoder Source with what moves: every picture a frame, and the end comes through however the source ends."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from flowgraph import END_TAG, FRAME_TAG, row_sink, run
from gnuradio import blocks, ds2c2, gr
from PIL import Image

from ds2c2.errors import PictureError
from ds2c2.stream.streamformat import StreamFormat
from films import shot, write_film

STREAM = StreamFormat(96, 64, bpp=0.9, block_size=48)

pytestmark = pytest.mark.usefixtures("models")


def sent(source) -> tuple[np.ndarray, list[int], list[int]]:
    """Rows that it gives, and the places of frames and ends."""
    graph, sink, tags = gr.top_block(), row_sink(STREAM.block_size), blocks.tag_debug(STREAM.block_size, "", "")
    tags.set_display(False)
    graph.connect(source, sink)
    graph.connect(source, tags)
    run(graph)
    found = tags.current_tags()
    places = [[tag.offset for tag in found if tag.key == key] for key in (FRAME_TAG, END_TAG)]
    return sink.rows(), *places


def test_a_film_is_as_many_frames_and_its_last_block_carries_the_end(tmp_path):
    film = str(write_film(tmp_path / "clip.y4m", 4, rate=1000))
    rows, _, ends = sent(ds2c2.encoder_source(STREAM, film))
    assert len(rows) == 4 * STREAM.blocks and ends[-1] == len(rows) - 1
    rows, _, ends = sent(ds2c2.encoder_source(STREAM, film, repeat=True, count=6))
    assert len(rows) == 6 * STREAM.blocks and ends[-1] == len(rows) - 1


def test_a_source_whose_end_nobody_knew_ends_the_stream_with_its_last_picture_again(monkeypatch):
    data = io.BytesIO()
    for number in range(2):
        Image.fromarray(shot(10 * number)).save(data, "PNG")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data.getvalue()), isatty=lambda: False))
    rows, _, ends = sent(ds2c2.encoder_source(STREAM, "-"))
    count = STREAM.blocks
    assert len(rows) in (2 * count, 3 * count) and ends[-1] == len(rows) - 1
    if len(rows) == 3 * count:
        assert np.array_equal(rows[2 * count :], rows[count : 2 * count])


def test_what_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(PictureError, match="no such camera"):
        ds2c2.encoder_source(STREAM, "/dev/video63")
    with pytest.raises(PictureError, match="one folder can be followed"):
        ds2c2.encoder_source(STREAM, str(tmp_path / "no"), follow=True)
