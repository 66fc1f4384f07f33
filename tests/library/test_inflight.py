# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frames at once: the same bytes in the same order as one after the other."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut, chelsea, coffee

from ds2c2.codec.codec import Codec
from ds2c2.codec.inflight import MOST_PIXELS, in_order, usual_at_once
from ds2c2.ends.packetstream import PacketsToPictures, pictures_to_packets
from ds2c2.ends.session import PictureFeed, ReceivingEnd, SendingEnd
from ds2c2.errors import FormatError, PictureError
from ds2c2.pictures.pictures import fit_picture, read_picture, write_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAM = StreamFormat(128, 96, bpp=0.5, survive=0.5, model="coded")
FORMATS = {
    "coded": STREAM,
    "a higher rate": replace(STREAM, bpp=1.0, block_size=40),
    "binary": StreamFormat(128, 96, bpp=0.5, interleave="bit", model="binary", base_redundancy=1),
}
PATIENCE = 60  # seconds for two threads to meet
SHARES = (0.0, 0.2, 1.0, 0.45, 0.0)  # of the blocks lost; of the third frame nothing comes


def pictures(stream: StreamFormat) -> list[np.ndarray]:
    """Five, no two alike."""
    found = [fit_picture(one(), stream.width, stream.height, "scale") for one in (astronaut, chelsea, coffee)]
    return [*found, found[0][::-1].copy(), found[1][:, ::-1].copy()]


def decoded_as(one, other) -> bool:
    alike = [
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    ]
    return all(alike)


@pytest.mark.parametrize("stream", FORMATS.values(), ids=FORMATS)
def test_many_are_as_one_after_the_other_to_the_byte(models, stream):
    codec, rng = Codec(stream, "cpu"), np.random.default_rng(1)
    sent = [codec.encode(picture) for picture in pictures(stream)]
    together = list(codec.encode_many(iter(pictures(stream)), at_once=3))
    assert [each.small_bytes for each in together] == [each.small_bytes for each in sent]
    for one, other in zip(sent, together, strict=True):
        assert np.array_equal(one.blocks, other.blocks) and np.array_equal(one.base_picture, other.base_picture)

    frames = [
        to_soft(each.blocks, rng.random(stream.blocks) >= share) for each, share in zip(sent, SHARES, strict=True)
    ]
    received = [codec.decode(frame) for frame in frames]
    assert [frame.concealed for frame in received] == [False, False, True, False, False]
    assert all(map(decoded_as, received, codec.decode_many(iter(frames), at_once=2)))


def test_a_picture_that_does_not_fit_comes_in_its_place(models):
    codec = Codec(STREAM, "cpu")
    one, two, *_ = pictures(STREAM)
    encoded = codec.encode_many([one, two[:50]], at_once=2)
    assert np.array_equal(next(encoded).blocks, codec.encode(one).blocks)
    with pytest.raises(PictureError, match="a picture of 128x50 in a stream of 128x96"):
        next(encoded)
    with pytest.raises(FormatError, match="effort"):
        codec.encode_many([one], effort=-1)


@given(st.integers(0, 9), st.integers(1, 4), st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
def test_results_and_errors_come_in_the_order_of_the_items(count, at_once, broken, torn):
    """``broken``: the item whose work fails; ``torn``: where the items themselves end with an error."""

    def items():
        for number in range(count):
            if number == torn:
                raise OSError(number)
            yield number

    def work(number):
        if number == broken:
            raise PictureError(str(number))
        return number

    first = min(number for number in (broken, torn, count) if number is not None)
    found, error = [], None
    try:
        found += in_order(work, items(), at_once)  # a list keeps what came before an error
    except (OSError, PictureError) as raised:
        error = raised
    assert found == list(range(first))
    wanted = None if first == count else OSError if torn == first else PictureError
    assert (wanted is None and error is None) or type(error) is wanted


def test_two_run_together_and_no_more_are_begun():
    """Each work waits until another is there: one alone would wait for ever."""
    meet, running, most, taken = threading.Barrier(2, timeout=PATIENCE), set(), [], []

    def work(number):
        running.add(number)
        most.append(len(running))
        meet.wait()
        running.discard(number)
        return number

    results = in_order(work, (taken.append(number) or number for number in range(6)), 2)
    assert taken == []
    assert next(results) == 0 and taken == [0, 1]
    assert list(results) == [1, 2, 3, 4, 5]
    assert max(most) == 2


def test_large_pictures_are_taken_one_by_one():
    cores = len(os.sched_getaffinity(0))
    assert usual_at_once(MOST_PIXELS) == min(2, cores)
    assert usual_at_once(MOST_PIXELS + 1) == 1


def test_a_file_that_goes_midway_ends_the_stream_behind_those_before_it(models, tmp_path):
    for name, picture in zip("abc", pictures(STREAM), strict=False):
        write_picture(tmp_path / f"{name}.png", picture)
    feed = PictureFeed([str(tmp_path)], STREAM.width, STREAM.height)
    codec = Codec(STREAM, "cpu")
    sending = SendingEnd(codec, feed)
    (tmp_path / "b.png").unlink()
    assert np.array_equal(sending.next_frame().blocks, codec.encode(read_picture(tmp_path / "a.png")).blocks)
    with pytest.raises(PictureError, match=r"b\.png"):
        sending.next_frame()
    assert sending.next_frame() is None and sending.frame == 1


def test_a_recording_read_at_once_gives_what_its_packets_one_by_one_give(models, tmp_path):
    for number, picture in enumerate(pictures(STREAM)):
        write_picture(tmp_path / "album" / f"{number}.png", picture)
    codec = Codec(STREAM, "cpu")
    sending = SendingEnd(codec, PictureFeed([str(tmp_path / "album")], STREAM.width, STREAM.height))
    packets = np.concatenate(list(pictures_to_packets(sending)))
    packets = packets[np.random.default_rng(1).random(len(packets)) >= 0.2]
    shown = []
    for step in (len(packets), 1):
        seen = []
        receiving = ReceivingEnd(codec, shown=lambda result, picture, seen=seen: seen.append((result, picture)))
        way = PacketsToPictures(receiving, most_frames=4)
        for start in range(0, len(packets), step):
            way.push(packets[start : start + step])
        way.flush()
        shown.append(seen)
    assert [result.frame for result, _ in shown[0]] == [0, 1, 2, 3]
    assert [result for result, _ in shown[0]] == [result for result, _ in shown[1]]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(*shown, strict=True))
