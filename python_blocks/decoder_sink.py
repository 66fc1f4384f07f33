# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoder Sink: soft bits to pictures."""

from collections.abc import Iterator

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.stream.streamformat import StreamFormat

from ._failures import guarded, say
from ._lasting import Lasting
from ._stage import FRAME_TAG, as_format, as_sources, frame_number

QUALITY_PORT = pmt.intern("quality")


def _quality(result, lost_share: float):
    """A frame's result as a PMT dictionary; what is not known is nil."""
    entries = {
        "frame": pmt.from_long(result.frame),
        "psnr": pmt.PMT_NIL if result.psnr is None else pmt.from_double(result.psnr),
        "ms_ssim": pmt.PMT_NIL if result.ms_ssim is None else pmt.from_double(result.ms_ssim),
        "base_psnr": pmt.PMT_NIL if result.base_psnr is None else pmt.from_double(result.base_psnr),
        "loss": pmt.from_double(lost_share),
        "damaged": pmt.from_long(result.damaged),
        "concealed": pmt.from_bool(result.concealed),
    }
    message = pmt.make_dict()
    for key, value in entries.items():
        message = pmt.dict_add(message, pmt.intern(key), value)
    return message


class decoder_sink(Lasting, gr.sync_block):
    """Decodes frames; writes, shows and measures the pictures.

    A frame whose base layer is lost is concealed by the picture before it, and counted; one of which nothing came is
    not written.

    Input:
        s8[8 * block_size], soft bits of a code block (+1, -1, 0 = erased), whole frames in
        the encoder's order; frame numbers from the tags ``ds2c2_frame``

    Output:
        none; message port ``quality``: a dictionary for each frame with frame, psnr in dB,
        ms_ssim, base_psnr in dB, loss (share of the blocks), damaged (blocks that came and made
        no sense), concealed; nil = not known

    Args:
        stream_format: a StreamFormat or its text form
        folder: where pictures are written as frame-000012.png, empty for none
        originals: the sender's pictures (file, folder, glob or a list), to measure quality
        device: auto, cpu, cuda or cuda:N
        fit: the sender's way to fit pictures, for the originals: pad or scale
        show: a Qt widget with the picture and its numbers, in ``widget``; it says how long no frame has come
        render: weights whose decoder makes the pictures, when not the stream format's own, such as
            coded-perceptual for a stream of coded
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        folder: str = "",
        originals: str | list[str] = "",
        device: str = "auto",
        fit: str = "pad",
        show: bool = False,
        render: str = "",
    ):
        # Here and not above: torch takes seconds to load, GRC and the link blocks need none of it.
        from ds2c2.codec.codec import Codec
        from ds2c2.ends.session import PictureFeed, ReceivingEnd

        self.format = as_format(stream_format)
        size = (self.format.width, self.format.height)
        feed = PictureFeed(as_sources(originals), *size, fit, repeat=True) if originals else None
        self.receiver = ReceivingEnd(Codec(self.format, device, render), folder or None, feed)
        self.view = self.widget = None
        if show:
            from ._picture_view import picture_view

            self.view = picture_view(*size)
            self.widget = self.view.widget
        gr.sync_block.__init__(self, name="decoder_sink", in_sig=[(np.int8, 8 * self.format.block_size)], out_sig=None)
        self.message_port_register_out(QUALITY_PORT)
        self.set_output_multiple(self.format.blocks)
        self._next = 0

    @property
    def results(self) -> list:
        """A ``ds2c2.ends.session.FrameResult`` for each frame, of the last ones where they are many."""
        return self.receiver.results

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        rows, receiver = input_items[0], self.receiver
        # What has queued is decoded together, no more of it than is worked on at a time: a single frame waits for none.
        frames = min(len(rows) // self.format.blocks, receiver.codec.usual_at_once)
        for result in receiver.take_many(self._frames(rows, frames), together=frames > 1):
            lost_share = result.lost / self.format.blocks
            self.message_port_pub(QUALITY_PORT, _quality(result, lost_share))
            if self.view is not None:
                self.view.show_frame(receiver.picture, result, lost_share)
        return frames * self.format.blocks

    def _frames(self, rows: np.ndarray, frames: int) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers and soft bits of so many frames; copies, since a thread may outlast an error in another."""
        count = self.format.blocks
        for start in range(0, frames * count, count):
            number = self._next
            for tag in self.get_tags_in_window(0, start, start + 1):
                if tag.key == FRAME_TAG:
                    number = frame_number(tag.value)
            self._next = number + 1
            yield number, rows[start : start + count].copy()

    def stop(self) -> bool:
        results, receiver = self.results, self.receiver
        line = f"{receiver.frames} frames, {receiver.concealed} concealed"
        if damaged := sum(result.damaged for result in results):
            line += f", {damaged} damaged blocks"
        measured = [result.psnr for result in results if result.psnr is not None and np.isfinite(result.psnr)]
        if measured:
            line += f", mean PSNR {np.mean(measured):.2f} dB"
        say(self.name(), line)
        return True
