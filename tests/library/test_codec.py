# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec with random weights: what it promises holds whatever the networks know."""

import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from ds2c2.codec.baselayer import pack_base, protect_base, recover_base, unpack_base
from ds2c2.codec.codec import Codec
from ds2c2.codec.favour import FAVOUR_COUNTS
from ds2c2.codec.mapcoder import decode_map
from ds2c2.ends.session import ReceivingEnd
from ds2c2.errors import DeviceError, FormatError, PictureError, WeightsError
from ds2c2.networks.binary import BinaryNetworks
from ds2c2.networks.modelfiles import MODELS_VARIABLE, weights_digest
from ds2c2.networks.weights import save_weights
from ds2c2.pictures.pictures import fit_picture
from ds2c2.stream.geometry import MID_GREY, REDUCTION
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

# Each profile with the interleaving that suits it.
STREAMS = {
    "binary": StreamFormat(128, 96, bpp=0.5, interleave="bit", model="binary", base_redundancy=1),
    "coded": StreamFormat(128, 96, bpp=0.5, interleave="none", model="coded", base_redundancy=1),
}
FORMATS = [
    StreamFormat(128, 96, bpp=0.5),
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


@pytest.fixture(params=STREAMS)
def stream(request):
    return STREAMS[request.param]


@pytest.fixture
def codec(models, stream):
    return Codec(stream, "cpu")


@pytest.mark.parametrize("size", FORMATS, ids=lambda s: s.text.partition(" interleave")[0])
def test_a_picture_is_always_n_blocks_and_comes_back_in_its_size(models, stream, size):
    interleave = stream.interleave if size.depth == 1 else "block"
    layout = "" if size.version == 1 else {"coded": "spread", "binary": "apart"}[stream.model]
    # With blocks of its own, the base layer of so few blocks survives less.
    survive = 0.2 if layout == "apart" else size.survive
    stream = replace(size, model=stream.model, interleave=interleave, layout=layout, survive=survive)
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


def test_encoding_and_decoding_are_deterministic(models, stream):
    picture = picture_for(stream)
    first, second = Codec(stream, "cpu"), Codec(stream, "cpu")
    blocks = first.encode(picture).blocks
    assert np.array_equal(second.encode(picture).blocks, blocks)
    assert np.array_equal(first.encode(picture).blocks, blocks)
    soft = soft_of(stream, blocks)
    assert np.array_equal(first.decode(soft).picture, second.decode(soft).picture)


def test_the_base_picture_resembles_the_picture(models, stream):
    """FineNets start as nothing, so x' is c enlarged, whatever the weights."""
    stream = replace(stream, width=256, height=256)
    picture = picture_for(stream)
    base = Codec(stream, "cpu").encode(picture).base_picture
    assert np.corrcoef(base.reshape(-1), picture.reshape(-1))[0, 1] > 0.85


def test_the_binary_enhancement_is_the_sign_of_the_latents_in_channel_order(models):
    """Cutting the rate cuts the list: a lower rate's symbols begin the higher rate's."""
    stream = STREAMS["binary"]
    codec = Codec(stream, "cpu")
    low = Codec(replace(stream, bpp=0.4), "cpu")
    picture = picture_for(stream)
    more = codec.encode(picture).blocks[stream.base_blocks :].tobytes()
    less = low.encode(picture).blocks[low.stream.base_blocks :].tobytes()
    assert 0 < len(less) < len(more)
    assert more.startswith(less)


def test_without_enhancement_the_base_picture_carries_the_result(codec, stream):
    encoded = codec.encode(picture_for(stream))
    decoded = codec.decode(soft_of(stream, encoded.blocks, enhancement(stream)))
    assert not decoded.concealed
    assert decoded.enhancement_lost == stream.enhancement_blocks
    assert np.array_equal(decoded.base_picture, encoded.base_picture)
    whole = codec.decode(soft_of(stream, encoded.blocks))
    assert not np.array_equal(decoded.picture, whole.picture)


def test_what_the_lost_enhancement_would_have_been_has_no_influence(codec, stream):
    encoded = codec.encode(picture_for(stream))
    first = codec.decode(soft_of(stream, encoded.blocks, enhancement(stream)))
    encoded.blocks[stream.base_blocks :] ^= 0x5A
    assert np.array_equal(codec.decode(soft_of(stream, encoded.blocks, enhancement(stream))).picture, first.picture)


def test_without_its_base_there_is_no_picture_whatever_came_before(codec, stream):
    encoded = codec.encode(picture_for(stream))
    baseless = soft_of(stream, encoded.blocks, range(stream.base_blocks))
    for _ in range(2):
        decoded = codec.decode(baseless)
        assert (decoded.concealed, decoded.picture, decoded.base_picture) == (True, None, None)
        assert decoded.base_lost == stream.base_blocks
        assert not codec.decode(soft_of(stream, encoded.blocks)).concealed


def test_a_receiver_conceals_by_grey_and_then_by_the_last_picture(codec, stream):
    encoded = codec.encode(picture_for(stream))
    baseless = soft_of(stream, encoded.blocks, range(stream.base_blocks))
    receiver = ReceivingEnd(codec)
    assert receiver.take(0, baseless).concealed
    assert (receiver.picture == MID_GREY).all() and receiver.picture.shape == (stream.height, stream.width, 3)
    assert receiver.base_picture is None
    assert not receiver.take(1, soft_of(stream, encoded.blocks)).concealed
    whole = codec.decode(soft_of(stream, encoded.blocks)).picture
    assert np.array_equal(receiver.picture, whole)
    assert receiver.take(2, baseless).concealed
    assert np.array_equal(receiver.picture, whole)
    assert receiver.concealed == 2


def test_weights_from_a_file_of_any_name(codec, stream, models, tmp_path):
    copied = shutil.copy(models / f"{stream.model_name}.safetensors", tmp_path / "mine.safetensors")
    own = Codec(stream, "cpu", weights=copied)
    assert np.array_equal(own.encode(picture_for(stream)).blocks, codec.encode(picture_for(stream)).blocks)


def test_lost_base_blocks_are_repaired_and_counted(codec, stream):
    encoded = codec.encode(picture_for(stream))
    whole = codec.decode(soft_of(stream, encoded.blocks))
    decoded = codec.decode(soft_of(stream, encoded.blocks, [0]))
    assert (decoded.base_lost, decoded.base_repaired, decoded.base_damaged) == (1, 1, 0)
    assert np.array_equal(decoded.picture, whole.picture)


def test_a_damaged_base_block_is_counted(codec, stream):
    encoded = codec.encode(picture_for(stream))
    encoded.blocks[0, 0] ^= 1
    decoded = codec.decode(soft_of(stream, encoded.blocks))
    assert (decoded.concealed, decoded.base_lost, decoded.base_damaged, decoded.base_repaired) == (False, 0, 1, 1)


def test_lost_blocks_are_counted_after_deinterleaving_too(codec, stream):
    encoded = codec.encode(picture_for(stream))
    interleaver = Interleaver(stream)
    mixed = interleaver.interleave(encoded.blocks[None])[0]
    soft = interleaver.deinterleave(soft_of(stream, mixed, [stream.base_blocks, stream.blocks - 1])[None])[0]
    assert codec.decode(soft).enhancement_lost == 2


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.9]), st.booleans())
def test_any_soft_bits_decode_to_a_picture_where_the_base_is_sound(codec, stream, seed, erased, sound_base):
    rng = np.random.default_rng(seed)
    soft = rng.choice(np.array([-1, 1], np.int8), (stream.blocks, 8 * stream.block_size))
    soft[rng.random(soft.shape) < erased] = 0
    if sound_base:
        blocks = codec.encode(picture_for(stream)).blocks
        soft[: stream.base_blocks] = soft_of(stream, blocks)[: stream.base_blocks]
    decoded = codec.decode(soft)
    assert decoded.concealed is not sound_base
    if sound_base:
        assert decoded.picture.shape == (96, 128, 3)


def test_a_label_map_rides_along_and_takes_its_room(codec, stream):
    picture = picture_for(stream)
    assert codec.encode(picture, bytes(20)).small_bytes + 20 + 5 <= stream.base_bytes


def test_a_picture_of_another_size_is_named(codec, stream):
    with pytest.raises(PictureError, match="96x128 in a stream of 128x96"):
        codec.encode(np.zeros((128, 96, 3), np.uint8))


def test_the_format_is_bound_to_the_weights(models, stream):
    pinned = f"{stream.model}@{weights_digest(stream.model)[:8]}"
    assert Codec(stream, "cpu").stream == replace(stream, model=pinned)
    assert Codec(replace(stream, model=pinned), "cpu").stream.model == pinned


def test_other_weights_than_the_sender_has_are_refused(models, stream):
    with pytest.raises(WeightsError) as error:
        Codec(replace(stream, model=f"{stream.model}@00000000"), "cpu")
    assert f"{stream.model}@00000000" in str(error.value)
    assert weights_digest(stream.model)[:8] in str(error.value)


def test_weights_with_too_few_symbols_for_the_rate_are_refused(tmp_path, monkeypatch, tiny_shape):
    torch.manual_seed(1)
    save_weights(tmp_path / "half.safetensors", BinaryNetworks(replace(tiny_shape, channels=128)), {})
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError) as error:
        Codec(StreamFormat(128, 96, bpp=1.0, base_redundancy=1, interleave="bit", model="half"), "cpu")
    # The rate that it proposes works.
    rate = float(re.search(r"use bpp ([\d.]+) or less", str(error.value))[1])
    assert 0.5 < rate < 0.6
    stream = StreamFormat(128, 96, bpp=rate, base_redundancy=1, interleave="bit", model="half")
    Codec(stream, "cpu").encode(picture_for(STREAMS["binary"]))


def test_unknown_device(models, stream):
    with pytest.raises(DeviceError):
        Codec(stream, "tpu")


def test_coded_blocks_are_not_torn_by_the_interleaver(models):
    with pytest.raises(FormatError, match="interleave=none") as error:
        Codec(replace(STREAMS["coded"], interleave="bit"), "cpu")
    assert "\n" not in str(error.value)


def test_a_block_that_makes_no_sense_is_counted_and_costs_no_more_than_itself(models):
    """All bits of a block turned: its index then points behind the last symbol."""
    stream = STREAMS["coded"]
    codec = Codec(stream, "cpu")
    encoded = codec.encode(picture_for(stream))
    lost = codec.decode(soft_of(stream, encoded.blocks, [stream.base_blocks]))
    encoded.blocks[stream.base_blocks] ^= 0xFF
    damaged = codec.decode(soft_of(stream, encoded.blocks))
    assert (damaged.enhancement_damaged, damaged.enhancement_lost, damaged.concealed) == (1, 0, False)
    assert np.array_equal(damaged.picture, lost.picture)


@pytest.mark.parametrize("side_info", [b"", b"\x04\x00\x00\x00" + bytes(6), bytes(40), b"\xff" * 40])
def test_a_base_layer_without_the_profiles_side_information_is_concealed(models, side_info):
    """Its CRCs are right, so another sender wrote it."""
    stream = STREAMS["coded"]
    codec = Codec(stream, "cpu")
    encoded = codec.encode(picture_for(stream))
    container = pack_base(np.zeros((12, 16, 3), np.uint8), side_info, stream.base_bytes)
    encoded.blocks[: stream.base_blocks] = protect_base(container, stream)
    assert codec.decode(soft_of(stream, encoded.blocks)).concealed


def test_a_favoured_region_is_quantized_finer(models):
    """At the same number of blocks; the map of gains takes its room from c."""
    stream = replace(STREAMS["coded"], bpp=1.0)  # below, random weights need the coarsest step either way
    codec = Codec(stream, "cpu")
    picture = picture_for(stream)
    favour = np.ones(picture.shape[:2])
    favour[:48, :48] = 2
    plain, weighted = codec.encode(picture), codec.encode(picture, favour=favour)
    assert weighted.blocks.shape == plain.blocks.shape
    assert codec.decode(soft_of(stream, weighted.blocks)).picture.shape == picture.shape
    sides = [read_side(encoded, stream) for encoded in (plain, weighted)]
    (coarse, none), (finer, shifts) = sides
    assert none is None
    assert finer > coarse  # the rest pays
    # In 1/256 of an octave: half an octave an entry, two entries for a gain of 2.
    assert shifts[0, 0] - shifts[-1, -1] == 2
    assert ((shifts != shifts[-1, -1]).sum(), shifts.shape) == (9, (6, 8))


def read_side(encoded, stream: StreamFormat) -> tuple[int, np.ndarray | None]:
    """log2 of the step in 1/256, and the favour map, read off the packets as docs/wire-format.md lays them out."""
    rows = encoded.blocks[: stream.base_blocks]
    container = recover_base(rows, np.ones(len(rows), bool), stream).container
    side = unpack_base(container, stream.height // REDUCTION, stream.width // REDUCTION).side_info
    log_step, _, level, orientation, favour = struct.unpack_from("!5H", side)
    data = side[10 + level + orientation :][:favour]
    rows, columns = stream.height // 16, stream.width // 16
    return log_step, decode_map(data, rows, columns, FAVOUR_COUNTS) if favour else None


def test_a_map_of_the_smallest_favour_is_sent(models):
    """No bytes would say that there is none."""
    stream = replace(STREAMS["coded"], bpp=1.0)
    codec = Codec(stream, "cpu")
    encoded = codec.encode(picture_for(stream), favour=np.full((96, 128), 0.25))
    _, shifts = read_side(encoded, stream)
    assert shifts is not None and not shifts.any()
    assert codec.decode(soft_of(stream, encoded.blocks)).enhancement_damaged == 0


def test_a_picture_of_other_numbers_is_refused(models):
    codec = Codec(STREAMS["coded"], "cpu")
    picture = picture_for(STREAMS["coded"])
    for wrong, said in ((picture / 255, "float64[96, 128, 3]"), (picture[..., 0], "uint8[96, 128]")):
        with pytest.raises(PictureError, match=re.escape(f"a picture of {said}; uint8[height, width, 3] is wanted")):
            codec.encode(wrong)


def test_a_favour_needs_the_coded_profile_and_the_pictures_size(models):
    picture = picture_for(STREAMS["binary"])
    with pytest.raises(FormatError, match="profile coded"):
        Codec(STREAMS["binary"], "cpu").encode(picture, favour=np.ones((96, 128)))
    with pytest.raises(PictureError, match="one a pixel"):
        Codec(STREAMS["coded"], "cpu").encode(picture, favour=np.ones((128, 96)))
