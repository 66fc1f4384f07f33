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

# Seconds at most that a source waits at once, for its time or for a picture: a flowgraph cannot stop meanwhile.
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
        pictures: file, folder or glob, or a list of them; a film, a camera (``/dev/video0``), an address (``rtsp://``,
            ``http://``) or ``-`` for the standard input
        device: auto, cpu, cuda or cuda:N
        fit: how pictures of another size are brought to the stream's: pad or scale
        repeat: start over for ever
        frame_rate: frames a second at most; of a film those that are shown at that rate. 0 for as fast as they are
            taken, of a film for its own rate
        favour: regions that are sent finer at the same rate, a list of ``X,Y,WxH=GAIN`` and
            ``CLASS=GAIN`` (``ds2c2.codec.labels``); for models of profile coded
        labels: folder of the label maps that classes need; for models of profile paper where
            their label maps come from (``ds2c2.ends.session.LabelMaps``)
        count: end after so many frames, 0 for no limit
        follow: ``pictures`` is a folder that grows
        live: drop what is late of a film, of the standard input or of a growing folder, as of a camera
        effort: steps, 0 to 1000, that refine each picture before it is sent, for models of profile coded
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
        count: int = 0,
        follow: bool = False,
        live: bool = False,
        effort: int = 0,
    ):
        # Here and not above: torch takes seconds to load, GRC and the link blocks need none of it.
        from ds2c2.codec.codec import Codec
        from ds2c2.ends.movingfeed import MovingFeed
        from ds2c2.ends.pace import Pace
        from ds2c2.ends.session import PictureFeed, SendingEnd
        from ds2c2.pictures.moving.sources import moves, open_sources, waiting_lines

        if frame_rate < 0:
            raise UserError(f"frame rate {frame_rate:g} is negative; give frames a second, or 0 for no limit")
        self.format = as_format(stream_format)
        names, size = as_sources(pictures), (self.format.width, self.format.height)
        if follow or moves(names):
            for line in waiting_lines(names):
                say("encoder_source", line)
            feed = MovingFeed(open_sources(names, follow), *size, fit, frame_rate, repeat, count, live)
            self._pace = Pace(0.0 if feed.live else feed.rate)
        else:
            feed = PictureFeed(names, *size, fit, repeat, count=count)
            self._pace = Pace(frame_rate)
            for line in feed.skipped_lines:
                say("encoder_source", line)
        self.sender = SendingEnd(Codec(self.format, device), feed, favour, labels, effort)
        self._sent: np.ndarray | None = None  # blocks of the frame sent last
        self._told = 0  # lines about the source
        gr.sync_block.__init__(self, name="encoder_source", in_sig=None, out_sig=[(np.uint8, self.format.block_size)])
        self.set_output_multiple(self.format.blocks)

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        sender, feed = self.sender, self.sender.feed
        if left := self._pace.left:
            time.sleep(min(left, LONGEST_NAP))
            return 0
        if feed.moving and not feed.ready(LONGEST_NAP):
            return 0
        frame = sender.frame
        encoded = sender.next_frame()
        self._tell()
        if encoded is not None:
            self._pace.step()
            last = sender.last
            blocks, self._sent = encoded.blocks, None if last else encoded.blocks
        elif self._sent is not None:
            # A source whose end nobody knew has sent its last picture without saying so: once more, with the end.
            blocks, self._sent, last = self._sent, None, True
        else:
            return WORK_DONE
        count = len(blocks)
        output_items[0][:count] = blocks
        start = self.nitems_written(0)
        self.add_item_tag(0, start, *frame_tag(frame, self.format.base_blocks))
        self.add_item_tag(0, start, *format_tag(sender.codec.stream))
        if last:
            self.add_item_tag(0, start + count - 1, END_TAG, pmt.PMT_T)
        # One frame a call, so that the first is on its way while the second is encoded.
        return count

    def stop(self) -> bool:
        feed = self.sender.feed
        if feed.moving:
            feed.close()
            self._tell()
            if feed.late:
                say("encoder_source", f"{feed.late} of {self.sender.frame + feed.late} pictures came too late")
                feed.late = 0
        return True

    def _tell(self) -> None:
        lines = self.sender.feed.problem_lines if self.sender.feed.moving else []
        for line in lines[self._told :]:
            say("encoder_source", line)
        self._told = len(lines)
