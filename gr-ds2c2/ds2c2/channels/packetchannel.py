# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated channel of a packet stream: code blocks are hit, end-of-stream packets pass."""

import numpy as np

from ds2c2.channels.channel import DEFAULT_BURST, FITTED, BlockChannel, ChannelError, read_trace
from ds2c2.stream.packets import TYPE_BLOCK
from ds2c2.stream.streamformat import StreamFormat


class PacketChannel:
    """A ``BlockChannel`` for the packets of one stream format.

    Args:
        stream_format: gives N, and N_b for ``protect_base``
        loss, model, effect, burst, seed, unit: of the ``BlockChannel``
        trace: file with a recorded loss trace, for the model ``trace``
        protect_base: base blocks are never hit (paper rules)

    Raises ``ChannelError``, for ``protect_base`` too where the base layer has no blocks of its own.
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        loss: float,
        model: str = "iid",
        effect: str = "erase",
        burst: float = DEFAULT_BURST,
        seed: int = 1,
        trace: str = "",
        protect_base: bool = False,
        unit: str = "block",
    ):
        if protect_base and not stream_format.base_blocks:
            raise ChannelError(
                "protect_base: the base layer has no blocks of its own here, every block carries a share of it; "
                "for the paper's rules use base redundancy 0"
            )
        self._header = stream_format.header_bytes
        self._code_block = stream_format.version << 4 | TYPE_BLOCK  # first byte of such a packet
        self._blocks = BlockChannel(
            loss=loss,
            model=model,
            effect=effect,
            burst=burst,
            seed=seed,
            trace=read_trace(trace) if model in ("trace", *FITTED) and trace else None,
            frame_blocks=stream_format.blocks,
            base_blocks=stream_format.base_blocks if protect_base else 0,
            unit=unit,
        )

    @property
    def passed(self) -> int:
        """Code blocks that were not hit so far."""
        return self._blocks.passed

    @property
    def hit(self) -> int:
        """Code blocks that were hit so far, in one bit or more."""
        return self._blocks.hit

    @property
    def bits_hit(self) -> int:
        """Bits that were hit so far, with unit ``bit``."""
        return self._blocks.bits_hit

    def set_loss(self, loss: float) -> None:
        """Change the loss rate while running. Raises ``ChannelError``."""
        self._blocks.set_loss(loss)

    def through(self, packets: np.ndarray) -> np.ndarray:
        """Packets ``uint8[n, packet_bytes]`` to those that arrive, as they arrive."""
        code_block = packets[:, 0] == self._code_block
        if self._blocks.unit == "bit":
            hit_bits = self._blocks.draw_bits(int(code_block.sum()), packets.shape[1] - self._header)
            out = packets.copy()
            out[code_block, self._header :] = self._blocks.damage(packets[code_block, self._header :], hit_bits)
            return out
        hits = np.zeros(len(packets), bool)
        hits[code_block] = self._blocks.draw(int(code_block.sum()))
        if self._blocks.effect == "erase":
            return np.compress(~hits, packets, axis=0)
        out = packets.copy()
        out[:, self._header :] = self._blocks.damage(packets[:, self._header :], hits)
        return out
