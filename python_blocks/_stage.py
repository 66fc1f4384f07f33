# SPDX-License-Identifier: GPL-3.0-or-later
"""What the blocks share: tags, arguments, and a general block with an output queue."""

import time
from collections import deque

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.errors import FormatError, LinkError, PictureError, WeightsError
from ds2c2.networks.modelfiles import pinned
from ds2c2.stream import streamtags
from ds2c2.stream.streamformat import StreamFormat

from ._failures import WORK_DONE, guarded
from ._lasting import Lasting

# On the first block of a frame: pair of the frame's number and N_b.
FRAME_TAG = pmt.intern(streamtags.FRAME)
# There as well: the stream format's text form, since a stream may come from another host.
FORMAT_TAG = pmt.intern(streamtags.FORMAT)
# On the last block of the last frame: held frames are let go behind it.
END_TAG = pmt.intern(streamtags.END)
# GNU Radio tells those that are connected here when the block is finished.
ENDED_PORT = pmt.intern("ended")

# Items that buffers hold at least: small calls are dear in Python (130 us for 64 items), and
# more of them only make a change of the loss rate show later.
WINDOW = 1024
# Seconds between two looks of a block that waits for input with frames in hand.
NAP = 0.003


def as_format(stream_format: StreamFormat | str) -> StreamFormat:
    """A stream format or its text form. Raises ``FormatError``."""
    if isinstance(stream_format, StreamFormat):
        return stream_format
    if isinstance(stream_format, str):
        return StreamFormat.parse(stream_format)
    raise FormatError(f"{stream_format!r} is no stream format; give a StreamFormat or its text form")


def as_packet_format(stream_format: StreamFormat | str) -> StreamFormat:
    """A stream format bound to the weights here, as commands bind theirs: packets carry a digest of it. A host
    that has no such weights (a relay's) takes it as it is. Raises ``FormatError``."""
    stream_format = as_format(stream_format)
    try:
        return pinned(stream_format)
    except WeightsError:
        return stream_format


def as_sources(pictures: str | list[str]) -> list[str]:
    """One name or several: files, folders, globs. Raises ``PictureError`` when there is none."""
    names = [pictures] if isinstance(pictures, str) else [str(name) for name in pictures]
    # An empty name would be the current folder.
    if not names or not all(names):
        raise PictureError("no pictures are named; give files, folders or globs")
    return names


def frame_tag(number: int, base_blocks: int) -> tuple:
    """Key and value of the tag on a frame's first block."""
    return FRAME_TAG, pmt.cons(pmt.from_long(number), pmt.from_long(base_blocks))


def format_tag(stream_format: StreamFormat) -> tuple:
    """Key and value of the tag that says what stream a frame is of."""
    return FORMAT_TAG, pmt.intern(stream_format.text)


def frame_number(value) -> int:
    """The number in a frame tag's value."""
    return pmt.to_long(pmt.car(value))


def check_format(value, ours: StreamFormat) -> None:
    """Raises ``FormatError`` when the value of a format tag is of another stream format."""
    text = pmt.symbol_to_string(value)
    if not StreamFormat.parse(text).agrees(ours):
        raise FormatError(f"the stream comes as {text}, the block is set to {ours.text}: give both the same")


def refuse_tag_header(rows: np.ndarray) -> None:
    """Raises ``LinkError`` when a stream of code blocks begins with a ZeroMQ block's tag header."""
    if bytes(rows[0, : len(streamtags.HEADER_START)]) == streamtags.HEADER_START:
        raise LinkError("tags come as if they were code blocks; set Pass Tags to Yes in the ZMQ PULL Source")


class Stage(Lasting, gr.basic_block):
    """A block whose output does not follow its input item by item.

    A subclass gives ``take(rows, tags)``: it sees whole input windows and answers with
    ``put(rows, tags)``, in arrays of its own (the window is gone after the call), or ``end()``.
    Tags are ``(offset in rows, key, value)``. While ``holding`` is true the scheduler comes
    back without input and ``idle()`` is called.

    Facts of GNU Radio 3.10 behind this: a general block that forecasts input is finished,
    without a further call, when its input has ended; one that forecasts none is called
    for ever. So what is queued or held forecasts none, and an empty block forecasts one item.
    """

    def __init__(self, name: str, stream_format: StreamFormat, item_in: tuple, item_out: tuple):
        gr.basic_block.__init__(self, name=name, in_sig=[item_in], out_sig=[item_out])
        self.format = stream_format
        self.set_tag_propagation_policy(gr.TPP_DONT)
        self.set_min_output_buffer(0, max(2 * stream_format.blocks, WINDOW))
        self._queue: deque = deque()
        self._finished = False
        self._agreed = pmt.PMT_NIL  # the format tag's value that was last found to be ours
        # Monotonic seconds when something last came in or went out: a block that waits for its
        # output is not waiting for its input.
        self.quiet_since = time.monotonic()
        self.out_since = self.quiet_since  # when something last went out

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        raise NotImplementedError

    def idle(self) -> None:
        """Called about every ``NAP`` seconds while holding something and no input comes."""

    @property
    def holding(self) -> bool:
        """Something is held that must come out even if no further input does."""
        return False

    def put(self, rows: np.ndarray, tags: list[tuple] = ()) -> None:
        """Queue rows for the output."""
        if len(rows):
            self._queue.append((rows, tags))

    def end(self) -> None:
        """Finish when the queue is out, whatever the input does."""
        self._finished = True

    def forecast(self, noutput_items: int, ninputs: int) -> list[int]:
        return [0 if self._queue or self._finished or self.holding else 1]

    @guarded
    def general_work(self, input_items: list, output_items: list) -> int:
        came = 0
        # Back-pressure: nothing is taken before everything is out.
        if not self._queue and not self._finished:
            rows = input_items[0]
            came = len(rows)
            if came:
                first = self.nitems_read(0)
                tags = [(tag.offset - first, tag.key, tag.value) for tag in self.get_tags_in_window(0, 0, came)]
                for _, key, value in tags:
                    if key == FORMAT_TAG and not pmt.eqv(value, self._agreed):
                        self._agree(value)
                self.take(rows, tags)
                self.consume(0, came)
            else:
                self.idle()
        produced = self._drain(output_items[0])
        if came or produced:
            self.quiet_since = time.monotonic()
            self.out_since = self.quiet_since if produced else self.out_since
        if produced == 0:
            if self._finished and not self._queue:
                return WORK_DONE
            if not came:
                time.sleep(NAP)
        return produced

    def _agree(self, value) -> None:
        """Raises ``FormatError`` when the stream is of another format: it would come out as noise."""
        check_format(value, self.format)
        self._agreed = value

    def _drain(self, out: np.ndarray) -> int:
        written = self.nitems_written(0)
        done = 0
        while self._queue and done < len(out):
            rows, tags = self._queue.popleft()
            count = min(len(rows), len(out) - done)
            out[done : done + count] = rows[:count]
            for offset, key, value in tags:
                if offset < count:
                    self.add_item_tag(0, written + done + offset, key, value)
            if count < len(rows):
                later = [(offset - count, key, value) for offset, key, value in tags if offset >= count]
                self._queue.appendleft((rows[count:], later))
            done += count
        return done
