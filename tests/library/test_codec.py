# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec with random weights: what it promises holds whatever the networks know."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from ds2c2.codec import MID_GREY, Codec
from ds2c2.errors import DeviceError, PictureError, WeightsError
from ds2c2.interleaver import Interleaver
from ds2c2.networks.binary import BinaryNetworks
from ds2c2.pictures import fit_picture
from ds2c2.softbits import to_soft
from ds2c2.streamformat import StreamFormat
from ds2c2.weights import FOLDER_VARIABLE, save_weights, weights_digest

STREAM = StreamFormat(128, 96, bpp=0.5)
FORMATS = [
    STREAM,
    StreamFormat(64, 64, bpp=1.0, block_size=32),
    StreamFormat(65, 67, bpp=0.8),
    StreamFormat(300, 201, bpp=0.26),
    StreamFormat(300, 201, bpp=0.2, block_size=33, base_redundancy=0.25),
    StreamFormat(256, 256, bpp=1.0, block_size=1056),
    StreamFormat(64, 300, bpp=0.7, base_redundancy=0),
    StreamFormat(256, 192, bpp=0.3, interleave="block", depth=4),
]


def picture_for(stream: StreamFormat) -> np.ndarray:
    return fit_picture(astronaut(), stream.width, stream.height, "scale")


def soft_of(stream: StreamFormat, blocks: np.ndarray, lost: list[int] | range = ()) -> np.ndarray:
    arrived = np.ones(stream.blocks, bool)
    arrived[list(lost)] = False
    return to_soft(blocks, arrived)


def enhancement(stream: StreamFormat) -> range:
    return range(stream.base_blocks, stream.blocks)


@pytest.fixture
def codec(models):
    return Codec(STREAM, "cpu")


@pytest.mark.parametrize("stream", FORMATS, ids=lambda s: s.text.partition(" interleave")[0])
def test_a_picture_is_always_n_blocks_and_comes_back_in_its_size(models, stream):
    codec = Codec(stream, "cpu")
    picture = picture_for(stream)
    encoded = codec.encode(picture)
    assert encoded.blocks.shape == (stream.blocks, stream.block_size)
    assert encoded.blocks.dtype == np.uint8
    assert encoded.base_picture.shape == picture.shape
    assert 0 < encoded.small_bytes < stream.base_bytes
    decoded = codec.decode(soft_of(stream, encoded.blocks))
    assert decoded.picture.shape == picture.shape
    assert decoded.picture.dtype == np.uint8
    # Both ends compute x' from the same bytes.
    assert np.array_equal(decoded.base_picture, encoded.base_picture)
    assert (decoded.concealed, decoded.base_lost, decoded.base_repaired, decoded.enhancement_lost) == (False, 0, 0, 0)


def test_encoding_and_decoding_are_deterministic(models):
    picture = picture_for(STREAM)
    first, second = Codec(STREAM, "cpu"), Codec(STREAM, "cpu")
    blocks = first.encode(picture).blocks
    assert np.array_equal(second.encode(picture).blocks, blocks)
    assert np.array_equal(first.encode(picture).blocks, blocks)
    soft = soft_of(STREAM, blocks)
    assert np.array_equal(first.decode(soft).picture, second.decode(soft).picture)


def test_the_base_picture_resembles_the_picture(models):
    """FineNets start as nothing, so x' is c enlarged, whatever the weights."""
    stream = StreamFormat(256, 256, bpp=0.5)
    picture = picture_for(stream)
    base = Codec(stream, "cpu").encode(picture).base_picture
    assert np.corrcoef(base.reshape(-1), picture.reshape(-1))[0, 1] > 0.85


def test_the_enhancement_is_the_sign_of_the_latents_in_channel_order(codec):
    """Cutting the rate cuts the list: a lower rate's symbols begin the higher rate's."""
    low = Codec(replace(STREAM, bpp=0.4), "cpu")
    picture = picture_for(STREAM)
    more = codec.encode(picture).blocks[STREAM.base_blocks :].tobytes()
    less = low.encode(picture).blocks[low.stream.base_blocks :].tobytes()
    assert 0 < len(less) < len(more)
    assert more.startswith(less)


def test_without_enhancement_the_base_picture_carries_the_result(codec):
    encoded = codec.encode(picture_for(STREAM))
    decoded = codec.decode(soft_of(STREAM, encoded.blocks, enhancement(STREAM)))
    assert not decoded.concealed
    assert decoded.enhancement_lost == STREAM.enhancement_blocks
    assert np.array_equal(decoded.base_picture, encoded.base_picture)
    whole = codec.decode(soft_of(STREAM, encoded.blocks))
    assert not np.array_equal(decoded.picture, whole.picture)


def test_what_the_lost_enhancement_would_have_been_has_no_influence(codec):
    encoded = codec.encode(picture_for(STREAM))
    first = codec.decode(soft_of(STREAM, encoded.blocks, enhancement(STREAM)))
    encoded.blocks[STREAM.base_blocks :] ^= 0x5A
    assert np.array_equal(codec.decode(soft_of(STREAM, encoded.blocks, enhancement(STREAM))).picture, first.picture)


def test_a_lost_base_is_concealed_by_grey_and_then_by_the_last_picture(codec):
    encoded = codec.encode(picture_for(STREAM))
    baseless = soft_of(STREAM, encoded.blocks, range(STREAM.base_blocks))
    first = codec.decode(baseless)
    assert (first.concealed, first.base_picture, first.base_lost) == (True, None, STREAM.base_blocks)
    assert (first.picture == MID_GREY).all()
    whole = codec.decode(soft_of(STREAM, encoded.blocks))
    again = codec.decode(baseless)
    assert again.concealed
    assert np.array_equal(again.picture, whole.picture)


def test_lost_base_blocks_are_repaired_and_counted(codec):
    encoded = codec.encode(picture_for(STREAM))
    whole = codec.decode(soft_of(STREAM, encoded.blocks))
    decoded = codec.decode(soft_of(STREAM, encoded.blocks, [0]))
    assert (decoded.base_lost, decoded.base_repaired, decoded.base_damaged) == (1, 1, 0)
    assert np.array_equal(decoded.picture, whole.picture)


def test_a_damaged_base_block_is_counted(codec):
    encoded = codec.encode(picture_for(STREAM))
    encoded.blocks[0, 0] ^= 1
    decoded = codec.decode(soft_of(STREAM, encoded.blocks))
    assert (decoded.concealed, decoded.base_lost, decoded.base_damaged, decoded.base_repaired) == (False, 0, 1, 1)


def test_lost_blocks_are_counted_after_deinterleaving_too(codec):
    encoded = codec.encode(picture_for(STREAM))
    interleaver = Interleaver(STREAM)
    mixed = interleaver.interleave(encoded.blocks[None])[0]
    soft = interleaver.deinterleave(soft_of(STREAM, mixed, [STREAM.base_blocks, STREAM.blocks - 1])[None])[0]
    assert codec.decode(soft).enhancement_lost == 2


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.9]), st.booleans())
def test_any_soft_bits_decode_to_a_picture(codec, seed, erased, sound_base):
    rng = np.random.default_rng(seed)
    soft = rng.choice(np.array([-1, 1], np.int8), (STREAM.blocks, 8 * STREAM.block_size))
    soft[rng.random(soft.shape) < erased] = 0
    if sound_base:
        blocks = codec.encode(picture_for(STREAM)).blocks
        soft[: STREAM.base_blocks] = soft_of(STREAM, blocks)[: STREAM.base_blocks]
    decoded = codec.decode(soft)
    assert decoded.picture.shape == (96, 128, 3)
    assert decoded.concealed is not sound_base


def test_a_label_map_rides_along_and_takes_its_room(codec):
    picture = picture_for(STREAM)
    assert codec.encode(picture, bytes(20)).small_bytes + 20 + 5 <= STREAM.base_bytes


def test_a_picture_of_another_size_is_named(codec):
    with pytest.raises(PictureError, match="96x128 in a stream of 128x96"):
        codec.encode(np.zeros((128, 96, 3), np.uint8))


def test_the_format_is_bound_to_the_weights(models):
    digest = weights_digest("binary")[:8]
    assert Codec(STREAM, "cpu").stream == replace(STREAM, model=f"binary@{digest}")
    assert Codec(replace(STREAM, model=f"binary@{digest}"), "cpu").stream.model == f"binary@{digest}"


def test_other_weights_than_the_sender_has_are_refused(models):
    with pytest.raises(WeightsError) as error:
        Codec(replace(STREAM, model="binary@00000000"), "cpu")
    assert "binary@00000000" in str(error.value)
    assert weights_digest("binary")[:8] in str(error.value)


def test_weights_with_too_few_symbols_for_the_rate_are_refused(tmp_path, monkeypatch, tiny_shape):
    torch.manual_seed(1)
    save_weights(tmp_path / "half.safetensors", BinaryNetworks(replace(tiny_shape, channels=128)), {})
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError) as error:
        Codec(StreamFormat(128, 96, bpp=1.0, model="half"), "cpu")
    # The rate that it proposes works.
    rate = float(re.search(r"use bpp ([\d.]+) or less", str(error.value))[1])
    assert 0.5 < rate < 0.6
    Codec(StreamFormat(128, 96, bpp=rate, model="half"), "cpu").encode(picture_for(STREAM))


def test_unknown_device(models):
    with pytest.raises(DeviceError):
        Codec(STREAM, "tpu")
