# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends and the channel between them in one headless flowgraph."""

from collections.abc import Sequence

from gnuradio import gr

from ds2c2.channels.channel import DEFAULT_BURST
from ds2c2.stream.streamformat import StreamFormat

from .._failures import clear_errors, errors
from .._stage import as_format
from ..block_erasure_channel import block_erasure_channel
from ..decoder_sink import decoder_sink
from ..deinterleaver import deinterleaver
from ..depacketizer import depacketizer
from ..encoder_source import encoder_source
from ..interleaver import interleaver
from ..packetizer import packetizer


class loopback(gr.top_block):
    """Sends pictures through an emulated link and receives them; ends by itself.

    Args:
        stream_format: a StreamFormat or its text form
        pictures: file, folder or glob, or a list of them
        folder: where received pictures are written, empty for none
        measure: compare with the pictures sent
        loss, model, effect, burst, seed, trace, protect_base, unit: of the Block Erasure Channel
        device: auto, cpu, cuda or cuda:N
        fit: how pictures of another size are brought to the stream's: pad or scale
        timeout: seconds without packets after which unfinished frames go out
        favour, labels, effort: of the Encoder Source
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        pictures: str | list[str],
        folder: str = "",
        measure: bool = True,
        loss: float = 0.16,
        model: str = "iid",
        effect: str = "erase",
        burst: float = DEFAULT_BURST,
        seed: int = 1,
        trace: str = "",
        protect_base: bool = False,
        device: str = "auto",
        fit: str = "pad",
        timeout: float = 1.0,
        favour: Sequence[str] = (),
        labels: str = "",
        unit: str = "block",
        effort: int = 0,
    ):
        gr.top_block.__init__(self, "ds2c2 loopback")
        self.format = stream_format = as_format(stream_format)
        self.source = encoder_source(stream_format, pictures, device, fit, favour=favour, labels=labels, effort=effort)
        self.interleaver = interleaver(stream_format)
        self.packetizer = packetizer(stream_format)
        self.channel = block_erasure_channel(stream_format, loss, model, effect, burst, seed, trace, protect_base, unit)
        self.depacketizer = depacketizer(stream_format, timeout=timeout)
        self.deinterleaver = deinterleaver(stream_format)
        self.sink = decoder_sink(stream_format, folder, pictures if measure else "", device, fit)
        self.connect(
            self.source,
            self.interleaver,
            self.packetizer,
            self.channel,
            self.depacketizer,
            self.deinterleaver,
            self.sink,
        )

    def run_to_end(self) -> None:
        """Run until everything sent is received; raise the first error of a block."""
        clear_errors(raised_later=True)
        self.run()
        failed = errors()
        clear_errors()
        if failed:
            raise failed[0]
