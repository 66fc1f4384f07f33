# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture through interleaver, losses and decoder, as often as wanted: what every measurement does."""

from functools import lru_cache

import numpy as np

from ds2c2.codec.codec import Codec, DecodedPicture, grey_picture
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft


def soft_frames(interleaver: Interleaver, blocks: np.ndarray, arrived: np.ndarray) -> np.ndarray:
    """A group of frames as sent ``uint8[g, N, block_size]``, of which ``bool[g, N]`` arrived, to soft bits
    ``int8[g, N, 8 * block_size]`` in the encoder's order."""
    return interleaver.deinterleave(np.stack([to_soft(*frame) for frame in zip(blocks, arrived, strict=True)]))


class Trial:
    """A picture's blocks ``uint8[N, block_size]`` on their way.

    Where the interleaver spans several frames all of them are this picture, and the first is received.

    Attributes:
        sent: blocks in the order of sending, ``uint8[depth * N, block_size]``
    """

    def __init__(self, codec: Codec, blocks: np.ndarray):
        self.codec = codec
        self._interleaver = Interleaver(codec.stream)
        self._shape = (codec.stream.depth, *blocks.shape)
        self.sent = self._interleaver.interleave(np.broadcast_to(blocks, self._shape)).reshape(-1, blocks.shape[1])
        # All receptions that bring the base layer bring the same one, a fifth of the work.
        self._read_base = lru_cache(maxsize=1)(codec.profile.read_base)

    def receive(self, lost: np.ndarray, blocks: np.ndarray | None = None) -> DecodedPicture:
        """What is left when ``bool[depth * N]`` of the blocks sent are lost; ``blocks``, shaped like ``sent``, are
        what arrives in their place."""
        came = (self.sent if blocks is None else blocks).reshape(self._shape)
        soft = soft_frames(self._interleaver, came, ~lost.reshape(self._shape[:2]))
        return self.codec.decode(soft[0], self._read_base)

    def shown(self, decoded: DecodedPicture) -> np.ndarray:
        """``uint8[H, W, 3]``: the picture, or grey where the base layer was lost."""
        return grey_picture(self.codec.stream) if decoded.picture is None else decoded.picture
