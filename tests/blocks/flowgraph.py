# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs blocks on finite vectors and never hangs."""

import threading
import time

import numpy as np
import pmt
from gnuradio import blocks, ds2c2, gr

# The tags as docs/flowgraphs.md has them, which blocks of others write and read.
FRAME_TAG, FORMAT_TAG, END_TAG = (pmt.intern(word) for word in ("ds2c2_frame", "ds2c2_format", "ds2c2_end"))
# Seconds: far above what any of these flowgraphs takes; a hung one is stopped and fails.
DEADLINE = 60.0


def run(graph: gr.top_block, max_items: int = 100_000_000) -> None:
    """Run a flowgraph to its end; fail if it does not end by itself or a block failed.

    No call of a block gets more than ``max_items`` items of output.
    """
    run_to_error(graph, max_items)
    assert ds2c2.errors() == []


def run_to_error(graph: gr.top_block, max_items: int = 100_000_000) -> None:
    """Run a flowgraph to its end, whatever ends it."""
    graph.start(max_items)
    waiter = threading.Thread(target=graph.wait, daemon=True)
    waiter.start()
    waiter.join(DEADLINE)
    hung = waiter.is_alive()
    if hung:
        graph.stop()
        waiter.join(10)
    assert not hung, "the flowgraph did not end by itself"


def wait_for(reached) -> None:
    """Until something is so; fails when it takes too long."""
    until = time.monotonic() + DEADLINE
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


class row_sink(gr.sync_block):
    """Keeps what comes as arrays: a vector sink takes seconds for large frames."""

    def __init__(self, size):
        gr.sync_block.__init__(self, "row_sink", [(np.int8, size)], None)
        self._kept = []

    def work(self, input_items, output_items):
        self._kept.append(input_items[0].copy())
        return len(input_items[0])

    def rows(self) -> np.ndarray:
        return np.concatenate(self._kept)


def frame_tags(stream_format, numbers, ended=True) -> list[gr.tag_t]:
    """The tags of frames with these numbers, one after the other."""
    tags = []
    for place, number in enumerate(numbers):
        value = pmt.cons(pmt.from_long(number), pmt.from_long(stream_format.base_blocks))
        tags.append(_tag(place * stream_format.blocks, FRAME_TAG, value))
    if ended:
        tags.append(_tag(len(numbers) * stream_format.blocks - 1, END_TAG, pmt.PMT_T))
    return tags


def format_tags(stream_format, numbers) -> list[gr.tag_t]:
    """The tags that say which stream frames with these numbers are of."""
    text = pmt.intern(stream_format.text)
    return [_tag(place * stream_format.blocks, FORMAT_TAG, text) for place in range(len(numbers))]


def _tag(offset, key, value) -> gr.tag_t:
    tag = gr.tag_t()
    tag.offset, tag.key, tag.value = offset, key, value
    return tag


def through(rows: np.ndarray, *parts, tags=()) -> tuple[np.ndarray, list[gr.tag_t]]:
    """Send rows ``uint8[n, a]`` or ``int8[n, a]`` through blocks in a row, until the input ends.

    Returns the rows that come out (``uint8``) and their tags, sorted by offset.
    """
    flat = np.ascontiguousarray(rows).view(np.uint8).reshape(-1)
    width = rows.shape[1]
    source = blocks.vector_source_b(flat.tolist(), False, width, list(tags))
    out_width = parts[-1].output_signature().sizeof_stream_item(0)
    sink = blocks.vector_sink_b(out_width)
    graph = gr.top_block()
    graph.connect(source, *parts, sink)
    run(graph)
    out = np.array(sink.data(), np.uint8).reshape(-1, out_width)
    return out, sorted(sink.tags(), key=lambda tag: tag.offset)


def numbers_of(tags) -> list[tuple[int, int]]:
    """Offset and frame number of every frame tag."""
    return [(tag.offset, pmt.to_long(pmt.car(tag.value))) for tag in tags if pmt.eq(tag.key, FRAME_TAG)]


def ends_of(tags) -> list[int]:
    """Offsets of the end tags."""
    return [tag.offset for tag in tags if pmt.eq(tag.key, END_TAG)]


def formats_of(tags) -> list[tuple[int, str]]:
    """Offset and text of every format tag."""
    return [(tag.offset, pmt.symbol_to_string(tag.value)) for tag in tags if pmt.eq(tag.key, FORMAT_TAG)]


def random_frames(stream_format, frames, seed=1) -> np.ndarray:
    """Code blocks ``uint8[frames * N, block_size]``."""
    shape = (frames * stream_format.blocks, stream_format.block_size)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
