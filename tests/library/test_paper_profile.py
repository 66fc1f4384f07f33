# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile paper with random weights: exact rate, both ends alike, the paper's channel."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from ds2c2.channels.channel import BlockChannel
from ds2c2.channels.symbolchannel import SymbolChannel
from ds2c2.codec.baselayer import pack_base, protect_base, recover_base
from ds2c2.codec.codec import Codec
from ds2c2.codec.labelcoder import LabelMapError, decode_labels, encode_labels
from ds2c2.codec.segmentation import open_segmenter
from ds2c2.codec.smallpicture import SmallPictureError, decode_lossless, encode_lossless
from ds2c2.ends.session import PictureFeed, SendingEnd
from ds2c2.errors import FormatError, PictureError, UserError, WeightsError
from ds2c2.networks.modelfiles import MODELS_VARIABLE
from ds2c2.networks.paper import PaperNetworks, PaperShape
from ds2c2.networks.weights import save_weights
from ds2c2.pictures.pictures import fit_picture, write_picture
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

# 12288 pixels at 0.25 bit of r: 3072 symbols, 4 blocks; the base layer has room for c without loss.
STREAM = StreamFormat(128, 96, bpp=0.84636, base_bpp=0.5, base_redundancy=0.1, interleave="bit", model="paper")


def picture_for(stream):
    return fit_picture(astronaut(), stream.width, stream.height, "scale")


def labels_for(stream):
    """Stripes of CamVid's classes."""
    return np.tile(np.arange(stream.width) // 9 % 12, (stream.height, 1)).astype(np.uint8)


def soft_of(stream, blocks, lost=()):
    arrived = np.ones(stream.blocks, bool)
    arrived[list(lost)] = False
    return to_soft(blocks, arrived)


def exact(stream):
    """The stream with the bpp that the profile asks for."""
    try:
        Codec(stream, "cpu")
    except FormatError as error:
        return replace(stream, bpp=float(re.search(r"use bpp ([\d.]+)", str(error))[1]))
    return stream


@pytest.fixture
def codec(models):
    return Codec(STREAM, "cpu")


def base_of(codec, encoded):
    stream = codec.stream
    rows = encoded.blocks[: stream.base_blocks]
    return recover_base(rows, np.ones(len(rows), bool), stream).container


def test_the_enhancement_is_exactly_a_quarter_bit_a_pixel(codec):
    assert codec.profile.symbols == 0.25 * STREAM.pixels
    encoded = codec.encode(picture_for(STREAM), labels=labels_for(STREAM))
    assert encoded.blocks.shape == (STREAM.blocks, 100)
    bits = np.unpackbits(encoded.blocks[STREAM.base_blocks :])
    assert STREAM.enhancement_blocks == 4 and not bits[3072:].any()
    # The bits are the signs of the latents of x - x', channel by channel.
    base = codec.profile.read_base(base_of(codec, encoded))
    pixels = torch.tensor(picture_for(STREAM)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        latents = codec.profile.networks.latents(pixels, base.picture)
    assert bits[:3072].tolist() == (latents.reshape(-1) >= 0).int().tolist()


@pytest.mark.parametrize(("size", "block"), [((64, 64), 32), ((65, 67), 100), ((300, 201), 100), ((256, 256), 1056)])
def test_any_size_is_sent_at_the_rate_that_the_refusal_names(models, size, block):
    stream = exact(StreamFormat(*size, 0.9, block, base_bpp=0.1, base_redundancy=0.5, interleave="bit", model="paper"))
    codec = Codec(stream, "cpu")
    picture = picture_for(stream)
    encoded = codec.encode(picture, labels=labels_for(stream))
    decoded = codec.decode(soft_of(stream, encoded.blocks))
    assert decoded.picture.shape == picture.shape
    assert np.array_equal(decoded.base_picture, encoded.base_picture)
    assert (decoded.concealed, decoded.enhancement_lost) == (False, 0)


def test_a_rate_that_is_not_the_models_is_refused(models):
    for bpp in (0.3, 0.9):
        with pytest.raises(FormatError) as error:
            Codec(replace(STREAM, bpp=bpp, base_bpp=0.05), "cpu")
        assert "3072 symbols for 128x96, exactly 4 blocks of 100 bytes" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(FormatError, match="use a smaller base_bpp"):
        Codec(StreamFormat(128, 96, 1.0, base_bpp=0.4, base_redundancy=0.9, interleave="bit", model="paper"), "cpu")


def test_c_and_s_travel_without_loss_where_there_is_room(codec):
    labels = labels_for(STREAM)
    container = base_of(codec, codec.encode(picture_for(STREAM), b"more", labels=labels))
    assert container[0] >> 4 == 2
    layer = codec.profile.read_layer(container)
    size = int.from_bytes(layer.side_info[:2], "big")
    assert np.array_equal(decode_labels(layer.side_info[2 : 2 + size], 96, 128), labels)
    assert layer.side_info[2 + size :] == b"more"
    with torch.inference_mode():
        pixels = torch.tensor(picture_for(STREAM)).permute(2, 0, 1)[None] / 127.5 - 1
        networks = codec.profile.networks
        small = networks.small(networks.one_hot(torch.from_numpy(labels)[None]), pixels)
    assert np.array_equal(layer.small, ((small[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def test_a_small_base_layer_carries_both_coarser(models):
    stream = exact(replace(STREAM, base_bpp=0.1))
    codec = Codec(stream, "cpu")
    noisy = np.random.default_rng(1).integers(0, 12, (96, 128)).astype(np.uint8)
    container = base_of(codec, codec.encode(picture_for(stream), labels=noisy))
    assert container[0] >> 4 == 1
    layer = codec.profile.read_layer(container)
    assert layer.side_info[2] > 0  # halvings
    assert int.from_bytes(layer.side_info[:2], "big") <= stream.base_bytes // 2


def test_the_label_map_changes_the_picture(codec):
    one = codec.encode(picture_for(STREAM), labels=labels_for(STREAM))
    other = codec.encode(picture_for(STREAM), labels=labels_for(STREAM) * 0)
    assert not np.array_equal(one.base_picture, other.base_picture)


def test_the_papers_channel_reads_lost_ones_as_zeros(codec):
    """Through interleaver, blocks and the emulated channel: as the symbol channel has it."""
    encoded = codec.encode(picture_for(STREAM), labels=labels_for(STREAM))
    interleaver = Interleaver(codec.stream)
    sent = interleaver.interleave(encoded.blocks[None])[0]
    channel = BlockChannel(0.25, "exact", "zero", frame_blocks=STREAM.blocks, base_blocks=STREAM.base_blocks)
    hits = channel.draw(STREAM.blocks)
    arrived = np.ones(STREAM.blocks, bool)
    soft = interleaver.deinterleave(to_soft(channel.damage(sent, hits), arrived)[None])[0]
    decoded = codec.decode(soft)
    symbols = torch.from_numpy(soft_of(STREAM, encoded.blocks)[STREAM.base_blocks :].reshape(-1)[:3072]).float()
    paper = SymbolChannel("zero", seed=STREAM.seed)
    mask = paper.spread(torch.from_numpy(hits[STREAM.base_blocks :]), 3072)
    assert 0 < mask.sum() <= 800
    by_hand = soft.copy()
    by_hand[STREAM.base_blocks :].reshape(-1)[:3072] = paper.through(symbols, mask).numpy().astype(np.int8)
    assert np.array_equal(codec.decode(by_hand).picture, decoded.picture)
    # Nobody knows: nothing counts as lost.
    assert decoded.enhancement_lost == 0 and not decoded.concealed


def test_lost_blocks_are_zeros_to_the_decoder_and_are_counted(codec):
    encoded = codec.encode(picture_for(STREAM), labels=labels_for(STREAM))
    lost = codec.decode(soft_of(STREAM, encoded.blocks, range(STREAM.base_blocks, STREAM.blocks)))
    assert lost.enhancement_lost == 4 and not lost.concealed
    baseless = codec.decode(soft_of(STREAM, encoded.blocks, range(STREAM.base_blocks)))
    assert baseless.concealed


@pytest.mark.parametrize("side_info", [b"", b"\0", b"\0\0", b"\0\x05\x00abcd", b"\xff\xff" + bytes(60)])
def test_a_base_layer_without_a_label_map_is_concealed(codec, side_info):
    encoded = codec.encode(picture_for(STREAM), labels=labels_for(STREAM))
    container = pack_base(np.zeros((12, 16, 3), np.uint8), side_info, STREAM.base_bytes)
    encoded.blocks[: STREAM.base_blocks] = protect_base(container, STREAM)
    assert codec.decode(soft_of(STREAM, encoded.blocks)).concealed


@pytest.mark.parametrize(
    "change", [{"label_set": "none"}, {"depth": 5, "channels": 256}, {"depth": 2, "channels": 4}], ids=str
)
def test_other_cells_and_no_label_map(tmp_path, monkeypatch, tiny_paper_shape, change):
    shape = replace(tiny_paper_shape, **change)
    torch.manual_seed(1)
    save_weights(tmp_path / "paper.safetensors", PaperNetworks(shape), {})
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    stream = exact(replace(STREAM, width=100, base_bpp=0.1))
    codec = Codec(stream, "cpu")
    wide, high = (-(-side // shape.cell) * shape.cell for side in (100, 96))
    assert codec.profile.symbols == shape.bpp * wide * high
    labels = None if codec.label_set == "none" else labels_for(stream)
    encoded = codec.encode(picture_for(stream), labels=labels)
    assert codec.decode(soft_of(stream, encoded.blocks)).picture.shape == (96, 100, 3)


def test_the_segnet_in_models_makes_the_label_map_when_none_is_given(codec, models):
    encoded = codec.encode(picture_for(STREAM))
    from ds2c2.pictures.labelsets import label_set_of

    labels = open_segmenter("segnet:segnet-camvid", label_set_of("camvid"), "cpu").labels(picture_for(STREAM))
    assert labels.shape == (96, 128) and labels.max() < 11
    assert np.array_equal(codec.encode(picture_for(STREAM), labels=labels).blocks, encoded.blocks)


def test_without_segnet_a_stream_says_so_before_its_first_picture(tmp_path, monkeypatch, models):
    import shutil

    shutil.copy(models / "paper.safetensors", tmp_path)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("ds2c2.networks.modelfiles.models_folders", lambda: [tmp_path])
    write_picture(tmp_path / "pictures" / "a.png", picture_for(STREAM))
    feed = PictureFeed([str(tmp_path / "pictures")], 128, 96)
    with pytest.raises(WeightsError) as error:
        SendingEnd(Codec(STREAM, "cpu"), feed)
    assert "no SegNet makes label maps of camvid here: give the folder" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_stream_takes_label_maps_of_a_folder(models, tmp_path):
    from PIL import Image

    path = write_picture(tmp_path / "pictures" / "a.png", picture_for(STREAM))
    feed = PictureFeed([str(path)], 128, 96)
    codec = Codec(STREAM, "cpu")
    with pytest.raises(PictureError, match="a.png: no such label map"):
        SendingEnd(codec, feed, labels=str(tmp_path))
    Image.fromarray(labels_for(STREAM)).save(tmp_path / "a.png")
    sent = SendingEnd(codec, feed, labels=str(tmp_path)).next_frame()
    assert np.array_equal(sent.blocks, codec.encode(picture_for(STREAM), labels=labels_for(STREAM)).blocks)
    with pytest.raises(FormatError, match="profile coded"):
        SendingEnd(codec, feed, ["0,0,64x64=2"], str(tmp_path)).next_frame()


def test_label_maps_that_cannot_be_used_are_refused(codec, models):
    with pytest.raises(PictureError, match="a label map of"):
        codec.encode(picture_for(STREAM), labels=labels_for(STREAM)[:50])
    binary = Codec(StreamFormat(128, 96, bpp=0.6, interleave="bit", model="binary"), "cpu")
    with pytest.raises(FormatError, match="sends no label map"):
        binary.encode(picture_for(STREAM), labels=labels_for(STREAM))
    with pytest.raises(WeightsError, match="weights of a SegNet"):
        Codec(replace(STREAM, model="segnet-camvid"), "cpu")


def test_segnets_are_named_and_refused_in_one_line(models):
    from ds2c2.pictures.labelsets import label_set_of

    camvid, ade20k = label_set_of("camvid"), label_set_of("ade20k")
    for text, labels, words in (
        ("psp:resnet", camvid, "write segnet:MODEL or smp:ENCODER:FILE"),
        ("smp:resnet50", camvid, "write segnet:MODEL or smp:ENCODER:FILE"),
        ("segnet:binary", camvid, "weights of profile binary, a SegNet's are wanted"),
        ("segnet:segnet-camvid", ade20k, "makes label maps of camvid, wanted are those of ade20k"),
        ("segnet:nosuch", camvid, "no SegNet makes label maps of camvid"),
    ):
        with pytest.raises(UserError) as error:
            open_segmenter(text, labels, "cpu")
        assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 33), (100, 128)])
def test_label_maps_come_back_as_fine_as_fits(shape):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 151, shape).astype(np.uint8)
    assert np.array_equal(decode_labels(encode_labels(labels, 60000), *shape), labels)
    data = encode_labels(labels, 60)
    assert len(data) <= 60
    coarse = decode_labels(data, *shape)
    assert coarse.shape == shape and set(np.unique(coarse)) <= set(np.unique(labels))
    with pytest.raises(LabelMapError, match="raise base_bpp"):
        encode_labels(labels, 5)


@pytest.mark.parametrize("data", [b"", b"\x0d", b"\0", b"\0" + bytes(20), b"\0\x2f" + b"\xff" * 20])
def test_bytes_that_are_no_label_map_are_refused(data):
    with pytest.raises(LabelMapError):
        decode_labels(data, 8, 8)


def test_a_label_map_of_another_size_or_damaged_is_refused():
    data = encode_labels(np.zeros((8, 8), np.uint8), 100)
    with pytest.raises(LabelMapError, match="of another size"):
        decode_labels(data, 16, 8)
    with pytest.raises(SmallPictureError):
        decode_lossless(encode_lossless(np.zeros((600, 4, 3), np.uint8)))


def test_the_default_shape_is_what_the_paper_sends_at_0_24_bpp():
    assert PaperShape().bpp == 0.1875
