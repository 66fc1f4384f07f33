# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a stream around the codec, and the quality that they measure."""

import math

import numpy as np
import pytest
from skimage.data import astronaut, chelsea, coffee

from ds2c2.codec.codec import Codec
from ds2c2.ends.session import PictureFeed, ReceivingEnd, SendingEnd, common_size
from ds2c2.errors import FileError, PictureError
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import fit_picture, read_picture, write_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

STREAMS = {
    "binary": StreamFormat(176, 168, bpp=0.3, base_redundancy=1, interleave="bit", model="binary"),
    "coded": StreamFormat(176, 168, bpp=0.3, base_redundancy=1, interleave="none", model="coded"),
}


@pytest.fixture(params=STREAMS)
def stream(request):
    return STREAMS[request.param]


@pytest.fixture
def album(tmp_path):
    """Three pictures of three sizes, a to c."""
    for name, picture in (("a", astronaut()), ("b", chelsea()), ("c", coffee())):
        write_picture(
            tmp_path / "album" / f"{name}.png", fit_picture(picture, 160 + 16 * (ord(name) - 97), 168, "scale")
        )
    return tmp_path / "album"


def soft_of(blocks: np.ndarray, arrived: bool = True) -> np.ndarray:
    return to_soft(blocks, np.full(len(blocks), arrived))


def test_the_first_picture_gives_the_size(album):
    assert common_size([album / "b.png", album / "a.png"]) == (176, 168)


def test_a_feed_fits_every_picture_to_one_size(album):
    feed = PictureFeed([str(album)], 176, 168)
    pictures = list(feed)
    assert [picture.shape for picture in pictures] == [(168, 176, 3)] * 3
    assert np.array_equal(pictures[1], read_picture(album / "b.png"))
    assert [feed.name(frame) for frame in range(5)] == ["a", "b", "c", "a", "b"]


def test_a_repeated_feed_starts_over(album):
    feed = iter(PictureFeed([str(album)], 176, 168, repeat=True))
    pictures = [next(feed) for _ in range(4)]
    assert np.array_equal(pictures[3], pictures[0])


def test_the_limits_of_a_stream_are_not_those_of_a_picture(album):
    """An icon and a panorama are fitted; only what gives the stream its size has to be of one."""
    for name, size in (("icon", (40, 40)), ("panorama", (200, 6000))):
        write_picture(album / f"{name}.png", np.full((*size, 3), 90, np.uint8))
    feed = PictureFeed([str(album / "icon.png"), str(album / "panorama.png")], 176, 168)
    icon, panorama = feed
    assert icon.shape == panorama.shape == (168, 176, 3)
    assert (icon[:, 4:172] == 90).all() and not icon[:, :4].any()
    assert common_size([album / "icon.png", album / "panorama.png", album / "b.png"]) == (176, 168)


def test_a_bad_picture_is_found_before_the_first_is_sent(album):
    (album / "z.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match="z.png"):
        PictureFeed([str(album)], 176, 168, strict=True)
    with pytest.raises(PictureError, match="z.png"):
        PictureFeed([str(album), str(album / "z.png")], 176, 168)


def test_what_cannot_be_sent_of_a_folder_is_skipped_and_said(album):
    """As people's folders are: a broken download, macOS's own files, notes."""
    whole = (album / "a.png").read_bytes()
    (album / "aa.png").write_bytes(whole[: len(whole) // 2])
    (album / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    (album / "._a.png").write_bytes(b"\0\5\x16\7" + bytes(100))
    (album / ".thumbnails").mkdir()
    (album / ".thumbnails" / "a.png").write_bytes(whole)
    (album / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (album / "notes.txt").write_text("no picture")
    feed = PictureFeed([str(album)], 176, 168)
    assert [path.name for path in feed.paths] == ["a.png", "b.png", "c.png"]
    assert [str(error).split(":")[0].rpartition("/")[2] for error in feed.skipped] == [
        "aa.png",
        "phone.heic",
        "torn.jpg",
    ]
    assert "save it as PNG or JPEG" in feed.skipped_lines[1]
    assert feed.skipped_lines[-1] == "3 files of 6 skipped"
    assert common_size([album / "aa.png", album / "torn.jpg", album / "b.png"]) == (176, 168)
    with pytest.raises(PictureError, match="1 files, none of which can be sent; the first is .*torn.jpg"):
        PictureFeed([f"{album}/torn*"], 176, 168)
    assert PictureFeed([str(album / "a.png")], 176, 168).skipped_lines == []


def test_an_unknown_fit_is_found_before_the_first_is_sent(album):
    with pytest.raises(PictureError, match="'crop'"):
        PictureFeed([str(album / "b.png")], 176, 168, fit="crop")


def test_a_sender_ends_with_its_feed(models, album, stream):
    sender = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album)], 176, 168))
    frames = [sender.next_frame() for _ in range(4)]
    assert [frame is None for frame in frames] == [False, False, False, True]
    assert sender.next_frame() is None
    assert sender.frame == 3


def test_a_repeating_sender_sends_the_same_blocks_again(models, album, stream):
    sender = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album)], 176, 168, repeat=True))
    frames = [sender.next_frame().blocks for _ in range(6)]
    assert all(np.array_equal(frames[i], frames[i + 3]) for i in range(3))
    assert not np.array_equal(frames[0], frames[1])


def test_a_receiver_writes_and_measures(models, album, stream, tmp_path):
    feed = PictureFeed([str(album)], 176, 168)
    sender = SendingEnd(Codec(stream, "cpu"), feed)
    receiver = ReceivingEnd(Codec(stream, "cpu"), tmp_path / "out", originals=feed)
    for frame in range(2):
        blocks = sender.next_frame().blocks
        result = receiver.take(frame, soft_of(blocks))
        assert result.path == tmp_path / "out" / f"frame-{frame:06d}.png"
        assert np.array_equal(read_picture(result.path), receiver.picture)
        assert result.psnr == psnr(feed.picture(frame), receiver.picture)
        assert result.base_psnr == psnr(feed.picture(frame), receiver.base_picture)
        assert result.ms_ssim == ms_ssim(feed.picture(frame), receiver.picture)
        assert not result.concealed
    lost = receiver.take(2, soft_of(blocks, arrived=False))
    assert (lost.lost, lost.damaged) == (stream.blocks, 0)
    assert (lost.concealed, lost.base_psnr, lost.base_lost) == (True, None, stream.base_blocks)
    assert lost.enhancement_lost == stream.enhancement_blocks
    assert lost.psnr == psnr(feed.picture(2), receiver.picture)
    assert (receiver.frames, receiver.concealed, receiver.lost, receiver.written) == (3, 1, 1, 2)
    # A frame of which nothing came is no file, however many there are.
    assert lost.path is None and not receiver.path_of(2).exists()
    assert [result.frame for result in receiver.results] == [0, 1, 2]


@pytest.mark.parametrize(("kept", "left"), [(4, [9, 10]), (0, [])])
def test_of_results_the_last_ones_are_kept_and_all_are_counted(models, stream, kept, left):
    receiver = ReceivingEnd(Codec(stream, "cpu"), kept=kept)
    for frame in range(11):
        assert receiver.lose(frame).frame == frame
    assert [result.frame for result in receiver.results] == left
    assert (receiver.frames, receiver.lost) == (11, 11)


def test_a_sender_that_counts_anew_replaces_nothing(models, album, stream, tmp_path):
    """Neither the second time nor the third."""
    codec = Codec(stream)
    receiver = ReceivingEnd(codec, tmp_path / "received")
    soft = np.zeros((stream.blocks, 8 * stream.block_size), np.int8)
    soft[-1] = 1  # something came
    paths = [receiver.take(frame, soft).path.relative_to(tmp_path / "received") for frame in (0, 1, 0, 1, 2, 1)]
    assert [str(path) for path in paths] == [
        *(f"frame-00000{frame}.png" for frame in (0, 1)),
        *(f"stream-2/frame-00000{frame}.png" for frame in (0, 1, 2)),
        "stream-3/frame-000001.png",
    ]
    assert all((tmp_path / "received" / path).exists() for path in paths)


def test_pictures_of_before_are_kept_when_told_so(models, stream, tmp_path):
    soft = np.zeros((stream.blocks, 8 * stream.block_size), np.int8)
    soft[-1] = 1  # something came
    first, again, kept = (
        ReceivingEnd(Codec(stream), tmp_path / "out", replace=replace) for replace in (True, True, False)
    )
    assert [end.take(frame, soft).path for end in (first, again) for frame in (0, 1)] == [
        tmp_path / "out" / f"frame-00000{frame}.png" for frame in (0, 1, 0, 1)
    ]
    # Frame 2 follows the stream into its folder, though its name is free in the first one.
    assert [kept.take(frame, soft).path for frame in (1, 2, 1)] == [
        tmp_path / "out" / name
        for name in ("stream-2/frame-000001.png", "stream-2/frame-000002.png", "stream-3/frame-000001.png")
    ]


def test_damaged_blocks_are_counted(models, album):
    """A base block by its CRC; an enhancement block of the coded profile by its index."""
    stream = STREAMS["coded"]
    blocks = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album)], 176, 168)).next_frame().blocks
    blocks[[0, stream.base_blocks]] ^= 0xFF
    result = ReceivingEnd(Codec(stream, "cpu")).take(0, soft_of(blocks))
    assert (result.base_damaged, result.enhancement_damaged, result.damaged, result.lost) == (1, 1, 2, 0)


def test_a_receiver_without_originals_measures_nothing(models, album, stream):
    sender = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album)], 176, 168))
    result = ReceivingEnd(Codec(stream, "cpu")).take(7, soft_of(sender.next_frame().blocks))
    assert (result.frame, result.psnr, result.ms_ssim, result.path) == (7, None, None, None)


def test_a_folder_that_cannot_be_written_is_named(models, album, stream, tmp_path):
    (tmp_path / "out").write_text("a file")
    sender = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album)], 176, 168))
    with pytest.raises(FileError, match="out"):
        ReceivingEnd(Codec(stream, "cpu"), tmp_path / "out").take(0, soft_of(sender.next_frame().blocks))


def test_psnr_by_its_formula():
    picture = np.zeros((64, 64, 3), np.uint8)
    assert psnr(picture, picture) == math.inf
    assert psnr(picture, picture + 1) == pytest.approx(20 * math.log10(255))
    assert psnr(picture, picture + 255) == pytest.approx(0.0)


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    picture = fit_picture(astronaut(), 192, 176, "scale")
    noise = np.random.default_rng(1).normal(0, 1, picture.shape)
    values = [ms_ssim(picture, np.clip(picture + level * noise, 0, 255).astype(np.uint8)) for level in (0, 10, 40)]
    assert values[0] == pytest.approx(1.0)
    assert 1.0 > values[1] > values[2] > 0.0


@pytest.mark.parametrize(("side", "known"), [(160, False), (161, True)])
def test_ms_ssim_needs_161_pixels(side, known):
    picture = np.zeros((side, 200, 3), np.uint8)
    assert math.isnan(ms_ssim(picture, picture)) is not known
