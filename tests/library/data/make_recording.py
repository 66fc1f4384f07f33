# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes recording-v1.bin: two frames of a small format as version 1 sends them.

Run once, when version 1 of the packets was settled; the file is kept so that later versions
prove that they still read it. It is a plain recording (``ds2c2.transport.recording``): magic, format,
packets. The enhancement's bytes are counted up, so that no network has a part in it.
"""

from pathlib import Path

import numpy as np

from ds2c2.codec.baselayer import pack_base, protect_base
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(
    96, 64, bpp=0.9, block_size=40, interleave="bit", seed=7, model="binary@0123abcd", base_redundancy=1
)
STREAM_NUMBER = 5


def small_picture(frame: int) -> np.ndarray:
    """c of 12x8 pixels: a ramp of colours that turns with the frame."""
    rows, columns = np.mgrid[0:8, 0:12]
    return np.stack([rows * 30, columns * 20, np.full_like(rows, 100 + 50 * frame)], axis=2).astype(np.uint8)


def blocks_of(frame: int) -> np.ndarray:
    base = protect_base(pack_base(small_picture(frame), b"", STREAM.base_bytes), STREAM)
    count = STREAM.enhancement_blocks * STREAM.block_size
    enhancement = ((np.arange(count) * (frame + 3) + frame) % 251).astype(np.uint8)
    return np.concatenate([base, enhancement.reshape(-1, STREAM.block_size)])


def main() -> None:
    interleaver, packetizer = Interleaver(STREAM), Packetizer(STREAM, STREAM_NUMBER)
    frames = [interleaver.interleave(blocks_of(frame)[None])[0] for frame in range(2)]
    packets = [packetizer.pack(frame) for frame in frames] + [packetizer.end()]
    text = f"ds2c2-packets/1\n{STREAM.text}\n".encode()
    Path(__file__).with_name("recording-v1.bin").write_bytes(text + b"".join(p.tobytes() for p in packets))


if __name__ == "__main__":
    main()
