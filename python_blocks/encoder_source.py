# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoder Source: pictures to code blocks."""

import time
from collections.abc import Sequence

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.errors import UserError
from ds2c2.stream.streamformat import StreamFormat

from ._failures import WORK_DONE, guarded, say
from ._lasting import Lasting
from ._stage import END_TAG, as_format, as_sources, format_tag, frame_tag

# Seconds at most that a paced source sleeps at once: a flowgraph cannot stop meanwhile.
LONGEST_NAP = 0.05


class encoder_source(Lasting, gr.sync_block):
    """Encodes pictures, each to the stream format's N code blocks, base layer first.

    Input:
        none

    Output:
        u8[block_size], one item a code block; the first block of a frame carries the tags
        ``ds2c2_frame`` (frame number, N_b) and ``ds2c2_format``, the last of all ``ds2c2_end``

    Args:
        stream_format: a StreamFormat or its text form
        pictures: file, folder or glob, or a list of them
        device: auto, cpu, cuda or cuda:N
        fit: how pictures of another size are brought to the stream's: pad or scale
        repeat: start over for ever
        frame_rate: frames a second at most, 0 for as fast as they are taken
        favour: regions that are sent finer at the same rate, a list of ``X,Y,WxH=GAIN`` and
            ``CLASS=GAIN`` (``ds2c2.codec.labels``); for models of profile coded
        labels: folder of the label maps that classes need; for models of profile paper where
            their label maps come from (``ds2c2.ends.session.LabelMaps``)
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        pictures: str | list[str],
        device: str = "auto",
        fit: str = "pad",
        repeat: bool = False,
        frame_rate: float = 0.0,
        favour: Sequence[str] = (),
        labels: str = "",
    ):
        # Here and not above: torch takes seconds to load, GRC and the link blocks need none of it.
        from ds2c2.codec.codec import Codec
        from ds2c2.ends.session import PictureFeed, SendingEnd

        if frame_rate < 0:
            raise UserError(f"frame rate {frame_rate:g} is negative; give frames a second, or 0 for no limit")
        self.format = as_format(stream_format)
        self.interval = 1.0 / frame_rate if frame_rate else 0.0  # seconds
        self._due = 0.0
        feed = PictureFeed(as_sources(pictures), self.format.width, self.format.height, fit, repeat)
        for line in feed.skipped_lines:
            say("encoder_source", line)
        self.sender = SendingEnd(Codec(self.format, device), feed, favour, labels)
        gr.sync_block.__init__(self, name="encoder_source", in_sig=None, out_sig=[(np.uint8, self.format.block_size)])
        self.set_output_multiple(self.format.blocks)

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        sender, count = self.sender, self.format.blocks
        now = time.monotonic()
        if now < self._due:
            time.sleep(min(self._due - now, LONGEST_NAP))
            return 0
        self._due = max(self._due, now) + self.interval
        frame = sender.frame
        encoded = sender.next_frame()
        if encoded is None:
            return WORK_DONE
        output_items[0][:count] = encoded.blocks
        start = self.nitems_written(0)
        self.add_item_tag(0, start, *frame_tag(frame, self.format.base_blocks))
        self.add_item_tag(0, start, *format_tag(self.sender.codec.stream))
        if not sender.feed.repeat and sender.frame == len(sender.feed.paths):
            self.add_item_tag(0, start + count - 1, END_TAG, pmt.PMT_T)
        # One frame a call, so that the first is on its way while the second is encoded.
        return count
