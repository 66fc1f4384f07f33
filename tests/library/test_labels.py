# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions that shall come finer: what is understood, what is refused, and which pixels it means."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from ds2c2.codec.codec import Codec
from ds2c2.codec.labels import CLASSES, VOID, FavourMaps, Wish, parse_wish
from ds2c2.ends.session import PictureFeed, SendingEnd
from ds2c2.errors import FormatError, PictureError
from ds2c2.pictures.metrics import psnr
from ds2c2.pictures.pictures import fit_picture, write_picture
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

SIGN = CLASSES.index("sign")


@pytest.fixture
def album(tmp_path):
    """Two pictures of 128x96 and, in ``labels``, their maps: a sign in the left half of the first."""
    (tmp_path / "labels").mkdir()
    for name, wide in (("a", 64), ("b", 0)):
        write_picture(tmp_path / "album" / f"{name}.png", fit_picture(astronaut(), 128, 96, "scale"))
        labels = np.full((96, 128), CLASSES.index("road"), np.uint8)
        labels[:, :wide] = SIGN
        Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
    return tmp_path


def maps(album, *wishes, labels=True, size=(128, 96), fit="pad"):
    paths = sorted((album / "album").iterdir())
    return FavourMaps(wishes, str(album / "labels") if labels else "", paths, *size, fit)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("16,32,48x64=2", Wish(2.0, (16, 32, 48, 64), -1)),
        ("sign=4", Wish(4.0, None, SIGN)),
        ("Sky=0.25", Wish(0.25, None, 0)),
        ("person=1.5", Wish(1.5, None, CLASSES.index("pedestrian"))),
        ("6=2", Wish(2.0, None, SIGN)),
        ("11=0.5", Wish(0.5, None, VOID)),
    ],
)
def test_wishes_are_understood(text, wish):
    assert parse_wish(text) == wish


def test_a_map_without_any_class_is_refused(album):
    """Grey levels, or the void of another data set; some pixels of none are well."""
    labels = np.full((96, 128), 255, np.uint8)
    Image.fromarray(labels).save(album / "labels" / "b.png")
    with pytest.raises(PictureError, match="b.png: no pixel has a class's number, which are 0 to 11; .* 255 to 255"):
        maps(album, "sign=2")
    labels[5, 5] = SIGN
    Image.fromarray(labels).save(album / "labels" / "b.png")
    assert (maps(album, "sign=2").of(1) == 2).sum() == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sign", "not understood"),
        ("sign=", "not understood"),
        ("sign=much", "not understood"),
        ("1,2,3=2", "not understood"),
        ("1,2,-3x4=2", "not understood"),
        ("sign=5", "0.25 to 4"),
        ("sign=0.2", "0.25 to 4"),
        ("sign=nan", "0.25 to 4"),
        ("lorry=2", "'lorry' is unknown; known are 0 sky"),
        ("12=2", "'12' is unknown"),
        ("=2", "'' is unknown"),
    ],
)
def test_other_wishes_are_refused_in_a_line(text, named):
    with pytest.raises(FormatError, match=named) as error:
        parse_wish(text)
    assert "\n" not in str(error.value)


def test_a_rectangle_is_favoured_and_nothing_else(album):
    gains = maps(album, "16,32,48x8=2", labels=False).of(0)
    assert gains.shape == (96, 128)
    assert (gains[32:40, 16:64] == 2).all()
    assert (gains == 2).sum() == 48 * 8 and (gains == 1).sum() == 96 * 128 - 48 * 8


def test_a_class_is_favoured_where_its_label_is(album):
    favours = maps(album, "sign=2", "road=0.5")
    assert (favours.of(0)[:, :64] == 2).all() and (favours.of(0)[:, 64:] == 0.5).all()
    assert (favours.of(1) == 0.5).all()


def test_the_last_wish_for_a_pixel_counts(album):
    gains = maps(album, "sign=2", "0,0,16x96=0.5").of(0)
    assert (gains[:, :16] == 0.5).all() and (gains[:, 16:64] == 2).all()


def test_nothing_wished_gives_nothing(album):
    assert maps(album, labels=False).of(0) is None


@pytest.mark.parametrize("fit", ["pad", "scale"])
@pytest.mark.parametrize("size", [(64, 64), (160, 96), (256, 192)])
def test_label_maps_are_fitted_as_pictures_are(album, size, fit):
    """A white half of a picture and a labelled half end up at the same place."""
    half = np.zeros((96, 128, 3), np.uint8)
    half[:, :64] = 255
    white = fit_picture(half, *size, fit)[:, :, 0] > 127
    favoured = maps(album, "sign=2", size=size, fit=fit).of(0) == 2
    assert (white != favoured).mean() < 0.02
    assert favoured.any()


def test_padding_is_void(album):
    gains = maps(album, "void=0.5", size=(160, 96)).of(0)
    assert (gains[:, :16] == 0.5).all() and (gains[:, 144:] == 0.5).all() and (gains == 0.5).sum() == 32 * 96


def test_label_maps_may_be_palettes(album):
    labels = Image.open(album / "labels" / "a.png").convert("P")
    labels.putdata(np.full(96 * 128, SIGN, np.uint8))
    labels.save(album / "labels" / "a.png")
    assert (maps(album, "sign=2").of(0) == 2).all()


@pytest.mark.parametrize(
    ("wishes", "labels", "named"),
    [
        (["sign=2"], False, "label maps"),
        (["0,0,16x16=2"], True, "no class is favoured"),
        (["100,0,64x16=2"], False, "not within the stream's 128x96"),
        (["0,80,16x17=2"], False, "not within"),
        (["0,0,0x16=2"], False, "not within"),
    ],
)
def test_wishes_that_cannot_be(album, wishes, labels, named):
    with pytest.raises(FormatError, match=named):
        maps(album, *wishes, labels=labels)


def test_label_maps_are_all_checked_at_once(album):
    (album / "labels" / "b.png").unlink()
    with pytest.raises(PictureError, match=r"b\.png: no such label map"):
        maps(album, "sign=2")
    Image.new("L", (96, 128)).save(album / "labels" / "b.png")
    with pytest.raises(PictureError, match=r"b\.png: 96x128, its picture b\.png is 128x96"):
        maps(album, "sign=2")
    Image.new("RGB", (128, 96)).save(album / "labels" / "b.png")
    with pytest.raises(PictureError, match="RGB colours"):
        maps(album, "sign=2")
    (album / "labels" / "b.png").write_text("none")
    with pytest.raises(PictureError, match="not a picture"):
        maps(album, "sign=2")


def test_a_sender_favours_what_it_is_told(models, album):
    stream = StreamFormat(128, 96, bpp=0.5)
    feed = PictureFeed([str(album / "album")], 128, 96)
    sender = SendingEnd(Codec(stream, "cpu"), feed, ["sign=2"], str(album / "labels"))
    gains = np.ones((96, 128), np.float32)
    gains[:, :64] = 2
    expected = Codec(stream, "cpu").encode(feed.picture(0), favour=gains).blocks
    assert np.array_equal(sender.next_frame().blocks, expected)
    assert not np.array_equal(SendingEnd(Codec(stream, "cpu"), feed).next_frame().blocks, expected)


def test_the_binary_profile_sends_every_region_alike(models, album):
    stream = StreamFormat(128, 96, bpp=0.6, interleave="bit", model="binary")
    sender = SendingEnd(Codec(stream, "cpu"), PictureFeed([str(album / "album")], 128, 96), ["0,0,64x96=2"])
    with pytest.raises(FormatError, match="profile coded"):
        sender.next_frame()


def test_a_favoured_region_gains_and_the_rest_pays():
    """The shipped weights: the same number of blocks, quality moved."""
    stream = StreamFormat(256, 192, bpp=0.4)
    codec = Codec(stream, "cpu")
    picture = fit_picture(astronaut(), 256, 192, "scale")
    region = np.s_[48:144, 96:192]
    gains = np.ones((192, 256), np.float32)
    gains[region] = 2
    plain, favoured = (codec.encode(picture, favour=favour) for favour in (None, gains))
    assert plain.blocks.shape == favoured.blocks.shape
    received = [codec.decode(to_soft(e.blocks, np.ones(stream.blocks, bool))).picture for e in (plain, favoured)]
    assert psnr(picture[region], received[1][region]) > psnr(picture[region], received[0][region]) + 1
    outside = gains == 1
    errors = [((picture.astype(float) - r)[outside] ** 2).mean() for r in received]
    assert errors[1] > errors[0]
