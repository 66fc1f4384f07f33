# SPDX-License-Identifier: GPL-3.0-or-later
"""Depacketizer: whatever packets arrive to whole frames of soft bits."""

import math
import time
from collections import deque

import numpy as np
import pmt

from ds2c2.errors import FormatError, NothingReceived
from ds2c2.stream.assembler import Frame, FrameAssembler, LinkCounts
from ds2c2.stream.numbering import REORDER_PACKETS
from ds2c2.stream.packetkey import read_key
from ds2c2.stream.packets import MAX_STREAM, known_difference
from ds2c2.stream.packetsize import LOOKED_AT, misfit, packet_size_in
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

from ._failures import record, say
from ._stage import END_TAG, ENDED_PORT, Stage, as_format, as_packet_format, format_tag, frame_tag

# Seconds at most that the last block of a complete frame waits to learn whether it is the last of all.
END_WAIT = 0.05
# Seconds without packets at most after which an end is believed: those of a radio pause longer amid a stream.
END_SILENCE = 1.0
# Items that are none of ours, and none of ours, after which the user is told: not one by accident.
TELL_AFTER = 32
LOSS_PORT = pmt.intern("loss")
SHOWN_FRAMES = 100


class depacketizer(Stage):
    """Puts frames back from packets that come reordered, twice, damaged, or not at all.

    A frame goes out when it is complete and all before it are out, when packets more than
    ``reorder`` behind its end have come, or after ``timeout`` seconds without packets of the stream. It ends
    with the last frame that an end-of-stream packet announces: when ``timeout`` seconds of silence
    follow, 1 at most, of a signed stream at once.

    Input:
        u8[packet_bytes], one item a packet; any bytes may come

    Output:
        s8[8 * block_size], soft bits of a code block (+1, -1, 0 = erased), N a frame, in
        order; the first block of a frame carries the tags ``ds2c2_frame`` (frame number, N_b) and
        ``ds2c2_format``, the last of all ``ds2c2_end``, unless that is announced more than 50 ms
        after a last frame which completes a group of ``depth``;
        message port ``loss``: with each frame the share of blocks that did not come of the last ``SHOWN_FRAMES``
        frames, a PDU of floats for a plot; message port ``ended``: to be connected to the port ``system`` of a source
        that never ends (ZMQ, UDP), which GNU Radio then finishes when this block is finished

    Args:
        stream_format: a StreamFormat or its text form
        stream: number of the stream to receive, 0 to 255
        timeout: seconds without packets of the stream after which unfinished frames go out, and after
            which an announced end is believed
        reorder: packets that a link may reorder
        key: file with the key of a signed stream, which the stream format names
    """

    def __init__(
        self,
        stream_format: StreamFormat | str,
        stream: int = 0,
        timeout: float = 1.0,
        reorder: int = REORDER_PACKETS,
        key: str = "",
    ):
        stream_format = as_format(stream_format)
        if not 0 <= stream <= MAX_STREAM:
            raise FormatError(f"stream {stream} is out of range: 0 to {MAX_STREAM}")
        size = stream_format.block_size
        Stage.__init__(self, "depacketizer", stream_format, (np.uint8, stream_format.packet_bytes), (np.int8, 8 * size))
        self.message_port_register_out(ENDED_PORT)
        self.message_port_register_out(LOSS_PORT)
        self._losses: deque[float] = deque([0.0] * SHOWN_FRAMES, SHOWN_FRAMES)
        self.timeout = timeout
        self._expected = as_packet_format(stream_format)
        self._assembler = FrameAssembler(self._expected, stream, reorder, read_key(key))
        self._format_tag = format_tag(stream_format)
        self._last: np.ndarray | None = None  # last block of a frame, kept back for the end tag
        self._kept_until = math.inf  # monotonic seconds
        self._strange = b""  # the first bytes of what is none of ours
        self._heard = 0.0  # when a packet of the stream came, monotonic seconds
        self._felt = 0.0  # when one came that may be the sender's, or silence was told
        self._erased = np.broadcast_to(np.int8(0), (stream_format.blocks, 8 * size))
        self._told = False

    @property
    def counts(self) -> LinkCounts:
        """What became of the packets so far."""
        return self._assembler.counts

    @property
    def holding(self) -> bool:
        assembler = self._assembler
        return self._last is not None or assembler.waiting or assembler.total_frames is not None

    def take(self, rows: np.ndarray, tags: list[tuple]) -> None:
        used, heard = self.counts.used, self._assembler.heard
        frames = self._assembler.push(rows)
        # The first packets of a stream wait for each other before any is used.
        if self.counts.used != used or not used:
            self._heard = time.monotonic()
        if self._assembler.heard != heard or not used:
            self._felt = time.monotonic()
        if not self._told and self.counts.used == 0:
            if len(self._strange) < LOOKED_AT:
                self._strange += rows[: -(-LOOKED_AT // rows.shape[1])].tobytes()
            if self.counts.other_format + self.counts.malformed >= TELL_AFTER and len(self._strange) >= LOOKED_AT:
                self._tell_difference()
        self._release(frames)
        self.idle()

    def idle(self) -> None:
        self._let_go_in_time()
        # What others send does not keep the stream waiting.
        now = time.monotonic()
        silence = now - max(self._heard, self.out_since)
        # A silence is told once, and again where another as long follows.
        if now - max(self._felt, self.out_since) > self.timeout:
            self._felt = now
            self._release(self._assembler.flush(pause=True))
            if not self._assembler.ended:
                self._let_go([])
        # The end was announced and all there was is out.
        if self._assembler.ended and silence > min(self.timeout, END_SILENCE):
            self._finish()

    def stop(self) -> bool:
        counts = self.counts
        # A stream that lost all but its end is one.
        others = counts.other_format + counts.malformed + counts.forged
        if counts.used == counts.end == 0 and others:
            if counts.forged < others:
                self._tell_difference()
            key = f", {counts.forged} of them not signed by this key: both ends need the same" if counts.forged else ""
            record(self.name(), NothingReceived(f"no packet of this stream came, but {others} others{key}"))
        elif not counts.received:
            record(self.name(), NothingReceived("no packet came; is there a sender?"))
        say(self.name(), counts.line())
        return True

    def _release(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._let_go([])
            self._losses.append(1.0 - float(frame.arrived.mean()))
            # Many frames of which nothing came share one content.
            soft = to_soft(frame.blocks, frame.arrived) if frame.arrived.any() else self._erased
            self.put(soft[:-1], [(0, *frame_tag(frame.number, self.format.base_blocks)), (0, *self._format_tag)])
            self._last = soft[-1:]
            # The Deinterleaver must learn at which frame a stream ends when that does not fill
            # a group: such a frame's last block waits for the next frame or for the end.
            full = (frame.number + 1) % self.format.depth == 0
            self._kept_until = time.monotonic() + END_WAIT if full else math.inf
        if frames:
            shown = pmt.init_f32vector(SHOWN_FRAMES, list(self._losses))
            self.message_port_pub(LOSS_PORT, pmt.cons(pmt.make_dict(), shown))
        if self._assembler.signed and self._assembler.ended:
            self._finish()

    def _finish(self) -> None:
        self._let_go([(0, END_TAG, pmt.PMT_T)])
        self.end()

    def _let_go_in_time(self) -> None:
        # The end comes close behind the last frame, or else the next frame does.
        if self._assembler.ended:
            return  # the last block waits for the silence that follows, to carry the end's tag
        if self._kept_until < math.inf and (self._assembler.waiting or time.monotonic() > self._kept_until):
            self._let_go([])

    def _let_go(self, tags: list[tuple]) -> None:
        if self._last is not None:
            self.put(self._last, tags)
            self._last, self._kept_until = None, math.inf

    def _tell_difference(self) -> None:
        """Say, once, in what the packets that come are not ours."""
        if self._told:
            return
        self._told = True
        ours, digest = self._expected, self._assembler.other_digest
        # Of packets of another size some fit by chance and show another format.
        if digest is not None and packet_size_in(self._strange) in (None, ours.packet_bytes):
            words = (
                f"what comes has another stream format{known_difference(ours, digest)}: its digest is {digest:04x}, "
                f"ours {ours.digest:04x} ({ours.text})"
            )
        else:
            words = misfit(self._strange, ours)
        say(self.name(), f"{words}; if the sender sends that, give both ends the same")
