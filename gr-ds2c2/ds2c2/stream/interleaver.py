# SPDX-License-Identifier: GPL-3.0-or-later
"""The interleaver: a lost code block costs every region a little instead of one region all.

Base blocks pass. ``bit`` permutes all enhancement bits of a frame (the paper's pixel-level
interleaving); ``block`` permutes the enhancement blocks of ``depth`` frames, which spreads a
burst over frames; ``none`` is the identity.
"""

import numpy as np

from ds2c2.stream.permutation import seeded_order
from ds2c2.stream.streamformat import StreamFormat


class Interleaver:
    """Permutes groups of frames; the same object undoes it on soft bits.

    A group is ``depth`` frames, fewer at the end of a stream; the permutation of a group
    follows from the stream format's seed and the number of frames in the group.
    """

    def __init__(self, stream: StreamFormat):
        self.stream = stream
        # numpy's own index type: any other is converted at every use, which doubles the time.
        self._permutations: dict[int, np.ndarray] = {}
        self._inverses: dict[int, np.ndarray] = {}

    def _permutation(self, size: int) -> np.ndarray:
        if size not in self._permutations:
            self._permutations[size] = seeded_order(self.stream.seed, size)
        return self._permutations[size]

    def _inverse(self, size: int) -> np.ndarray:
        if size not in self._inverses:
            inverse = np.empty(size, np.intp)
            inverse[self._permutation(size)] = np.arange(size)
            self._inverses[size] = inverse
            del self._permutations[size]  # a receiver needs one of the two, and they are large
        return self._inverses[size]

    def interleave(self, frames: np.ndarray) -> np.ndarray:
        """``uint8[g, N, block_size]`` to the same shape; g is 1 to ``depth``."""
        base = self.stream.base_blocks
        out = frames.copy()
        if self.stream.interleave == "bit":
            order = self._permutation(self.stream.enhancement_bits)
            for frame, mixed in zip(frames, out, strict=True):
                bits = np.unpackbits(frame[base:].reshape(-1))
                mixed[base:] = np.packbits(bits.take(order)).reshape(-1, self.stream.block_size)
        elif self.stream.interleave == "block":
            flat = frames[:, base:].reshape(-1, frames.shape[2])
            out[:, base:] = flat[self._permutation(len(flat))].reshape(frames.shape[0], -1, frames.shape[2])
        return out

    def deinterleave(self, frames: np.ndarray) -> np.ndarray:
        """Soft bits ``int8[g, N, 8 * block_size]`` to the same shape: the inverse."""
        base = self.stream.base_blocks
        out = frames.copy()
        if self.stream.interleave == "bit":
            order = self._inverse(self.stream.enhancement_bits)
            for frame, sorted_ in zip(frames, out, strict=True):
                frame[base:].reshape(-1).take(order, out=sorted_[base:].reshape(-1), mode="clip")
        elif self.stream.interleave == "block":
            flat = frames[:, base:].reshape(-1, frames.shape[2])
            sorted_ = flat[self._inverse(len(flat))]
            out[:, base:] = sorted_.reshape(frames.shape[0], -1, frames.shape[2])
        return out
