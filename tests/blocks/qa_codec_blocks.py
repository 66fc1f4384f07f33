# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoder Source, Decoder Sink and the whole loopback against the library used directly."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pmt
import pytest
from flowgraph import FORMAT_TAG, FRAME_TAG, ends_of, frame_tags, numbers_of, run, run_to_error
from gnuradio import blocks, ds2c2, gr
from PIL import Image

from ds2c2.channels.channel import BlockChannel
from ds2c2.errors import DeviceError, FileError, FormatError, PictureError, UserError, WeightsError
from ds2c2.pictures.metrics import psnr
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import Packetizer
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat

PICTURES = 5
LOSS = 0.3
SEED = 11

pytestmark = pytest.mark.usefixtures("models")


@pytest.fixture(params=["binary", "coded"])
def stream_format(request, stream_format):
    """The format of the other tests, for either profile."""
    interleave = {"binary": "bit", "coded": "none"}[request.param]
    return replace(stream_format, model=request.param, interleave=interleave)


@pytest.fixture(params=["binary", "coded"])
def grouped_format(request, grouped_format):
    return replace(grouped_format, model=request.param)


def codec_of(stream_format):
    from ds2c2.codec.codec import Codec

    return Codec(stream_format, "cpu")


def pictures_of(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]


def encoded(stream_format, folder):
    """Code blocks of every picture, ``uint8[pictures, N, block_size]``."""
    codec = codec_of(stream_format)
    return np.stack([codec.encode(picture).blocks for picture in pictures_of(folder)])


def library_pictures(stream_format, folder, effect="erase"):
    """What the same channel leaves of the pictures, without GNU Radio."""
    interleaver, packetizer = Interleaver(stream_format), Packetizer(stream_format)
    frames = encoded(stream_format, folder)
    groups = [frames[start : start + stream_format.depth] for start in range(0, len(frames), stream_format.depth)]
    mixed = np.concatenate([interleaver.interleave(group) for group in groups])
    packets = packetizer.pack(mixed.reshape(-1, stream_format.block_size))
    channel = BlockChannel(LOSS, effect=effect, seed=SEED, frame_blocks=stream_format.blocks)
    hits = channel.draw(len(packets))
    if effect == "erase":
        packets = packets[~hits]
    else:
        payloads = np.s_[:, stream_format.header_bytes :]
        packets[payloads] = channel.damage(packets[payloads], hits)
    assembler = FrameAssembler(stream_format)
    received = assembler.push(np.concatenate([packets, packetizer.end()])) + assembler.flush()
    assert [frame.number for frame in received] == list(range(len(frames)))
    soft = np.stack([to_soft(frame.blocks, frame.arrived) for frame in received])
    groups = [soft[start : start + stream_format.depth] for start in range(0, len(soft), stream_format.depth)]
    codec = codec_of(stream_format)
    return [codec.decode(frame).picture for group in groups for frame in interleaver.deinterleave(group)]


def test_encoder_source(stream_format, picture_folder):
    """The codec's blocks, on each frame its number and the format, the end tag on the last block."""
    source = ds2c2.encoder_source(stream_format, str(picture_folder), "cpu")
    sink = blocks.vector_sink_b(stream_format.block_size)
    graph = gr.top_block()
    graph.connect(source, sink)
    run(graph)
    expected = encoded(stream_format, picture_folder)
    np.testing.assert_array_equal(np.array(sink.data(), np.uint8), expected.reshape(-1))
    tags = sorted(sink.tags(), key=lambda tag: tag.offset)
    assert numbers_of(tags) == [(number * stream_format.blocks, number) for number in range(PICTURES)]
    assert ends_of(tags) == [PICTURES * stream_format.blocks - 1]
    frames = [tag for tag in tags if pmt.eq(tag.key, FRAME_TAG)]
    assert {pmt.to_long(pmt.cdr(tag.value)) for tag in frames} == {stream_format.base_blocks}
    formats = {tag.offset: pmt.symbol_to_string(tag.value) for tag in tags if pmt.eq(tag.key, FORMAT_TAG)}
    assert formats == dict.fromkeys([tag.offset for tag in frames], codec_of(stream_format).stream.text)


def test_encoder_source_repeats(stream_format, picture_folder):
    """Repeated: the pictures over again, frame numbers going on, no end."""
    source = ds2c2.encoder_source(stream_format, sorted(map(str, picture_folder.glob("*.png")))[:2], "cpu", repeat=True)
    frames = 7
    head = blocks.head(stream_format.block_size, frames * stream_format.blocks)
    sink = blocks.vector_sink_b(stream_format.block_size)
    graph = gr.top_block()
    graph.connect(source, head, sink)
    run(graph)
    out = np.array(sink.data(), np.uint8).reshape(frames, -1)
    np.testing.assert_array_equal(out[::2], np.broadcast_to(out[0], (4, out.shape[1])))
    np.testing.assert_array_equal(out[1::2], np.broadcast_to(out[1], (3, out.shape[1])))
    assert not np.array_equal(out[0], out[1])
    assert numbers_of(sink.tags()) == [(number * stream_format.blocks, number) for number in range(frames)]
    assert ends_of(sink.tags()) == []


@pytest.mark.parametrize("effect", ["erase", "zero", "flip"])
def test_loopback_gives_the_librarys_pictures(stream_format, picture_folder, tmp_path, effect):
    """Same seed, same pictures, bit for bit."""
    graph = ds2c2.loopback(
        stream_format,
        str(picture_folder),
        str(tmp_path),
        loss=LOSS,
        effect=effect,
        seed=SEED,
        device="cpu",
        timeout=0.05,
    )
    run(graph)
    written = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("frame-*.png"))]
    expected = library_pictures(stream_format, picture_folder, effect)
    assert len(written) == PICTURES
    for got, wanted in zip(written, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert not np.array_equal(expected[0], pictures_of(picture_folder)[0])


def test_loopback_over_groups_of_frames(grouped_format, picture_folder, tmp_path):
    """Five frames in groups of four: the last group is short, the pictures are the library's."""
    graph = ds2c2.loopback(
        grouped_format, str(picture_folder), str(tmp_path), loss=LOSS, seed=SEED, device="cpu", timeout=0.05
    )
    run(graph)
    written = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("frame-*.png"))]
    for got, wanted in zip(written, library_pictures(grouped_format, picture_folder), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_results_and_quality_messages(stream_format, picture_folder):
    """One result and one message a frame, saying the same."""
    graph = ds2c2.loopback(stream_format, str(picture_folder), loss=LOSS, seed=SEED, device="cpu", timeout=0.05)
    debug = blocks.message_debug()
    graph.msg_connect(graph.sink, "quality", debug, "store")
    run(graph)
    results = graph.sink.results
    assert [result.frame for result in results] == list(range(PICTURES))
    assert debug.num_messages() == PICTURES
    for number, result in enumerate(results):
        message = debug.get_message(number)

        def field(name, message=message):
            return pmt.dict_ref(message, pmt.intern(name), pmt.PMT_EOF)

        assert pmt.to_long(field("frame")) == number
        assert pmt.to_double(field("psnr")) == result.psnr
        assert pmt.to_bool(field("concealed")) == result.concealed
        assert pmt.to_double(field("loss")) == result.lost / stream_format.blocks
        assert pmt.to_long(field("damaged")) == result.damaged == 0
    assert graph.channel.hit == sum(result.lost for result in results)


def test_damaged_blocks_are_said(stream_format, picture_folder, capfd):
    """Flipped blocks of the base layer and, where the profile can tell, of the enhancement."""
    graph = ds2c2.loopback(
        stream_format, str(picture_folder), loss=LOSS, effect="flip", seed=SEED, device="cpu", timeout=0.05
    )
    run(graph)
    results = graph.sink.results
    damaged = sum(result.damaged for result in results)
    base = sum(result.base_damaged for result in results)
    assert 0 < base <= damaged <= graph.channel.hit
    assert (damaged > base) == (stream_format.model == "coded")
    assert sum(result.lost for result in results) == 0
    assert f"{damaged} damaged blocks" in capfd.readouterr().err


def test_encoder_source_refines_its_pictures(stream_format, picture_folder):
    """As the library does; a model that cannot is refused."""
    if stream_format.model == "binary":
        with pytest.raises(FormatError, match="effort; use one of profile coded"):
            ds2c2.encoder_source(stream_format, str(picture_folder), "cpu", effort=2)
        return
    source = ds2c2.encoder_source(stream_format, str(picture_folder), "cpu", effort=2)
    expected = codec_of(stream_format).encode(pictures_of(picture_folder)[0], effort=2).blocks
    np.testing.assert_array_equal(source.sender.next_frame().blocks, expected)


def test_encoder_source_favours_a_region(stream_format, picture_folder):
    """The library's blocks for the same gains; a model that cannot is refused."""
    wishes = ["0,0,96x64=2"]
    source = ds2c2.encoder_source(stream_format, str(picture_folder), "cpu", favour=wishes)
    if stream_format.model == "binary":
        with pytest.raises(FormatError, match="profile coded"):
            source.sender.next_frame()
        return
    gains = np.ones((stream_format.height, stream_format.width))
    gains[:64, :96] = 2
    expected = codec_of(stream_format).encode(pictures_of(picture_folder)[0], favour=gains).blocks
    np.testing.assert_array_equal(source.sender.next_frame().blocks, expected)


def test_psnr_is_that_of_the_written_picture(stream_format, picture_folder, tmp_path):
    """What is reported is computed from what is written."""
    graph = ds2c2.loopback(stream_format, str(picture_folder), str(tmp_path), loss=0.1, device="cpu", timeout=0.05)
    run(graph)
    for result, original in zip(graph.sink.results, pictures_of(picture_folder), strict=True):
        written = np.asarray(Image.open(tmp_path / f"frame-{result.frame:06d}.png")).astype(float)
        error = ((written - original) ** 2).mean()
        assert result.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-6)


def test_all_frames_lost(stream_format, picture_folder):
    """Loss 1: the end packets still end the graph, and nothing is shown."""
    graph = ds2c2.loopback(stream_format, str(picture_folder), loss=1.0, device="cpu", timeout=0.05)
    run(graph)
    assert graph.sink.results == []
    assert graph.channel.hit == PICTURES * stream_format.blocks


def test_frame_without_base_is_concealed(stream_format, picture_folder):
    """Frame 2 wholly lost: the decoder shows frame 1's picture again and says so."""
    frames = encoded(stream_format, picture_folder)
    soft = to_soft(frames.reshape(-1, stream_format.block_size), np.ones(frames.shape[0] * frames.shape[1], bool))
    soft.reshape(PICTURES, -1)[2] = 0
    source = blocks.vector_source_b(soft.view(np.uint8).reshape(-1).tolist(), False, soft.shape[1])
    sink = ds2c2.decoder_sink(stream_format, device="cpu")
    graph = gr.top_block()
    graph.connect(source, sink)
    run(graph)
    assert [result.concealed for result in sink.results] == [False, False, True, False, False]
    assert [result.frame for result in sink.results] == list(range(PICTURES))
    assert sink.results[2].psnr is None


def test_frame_numbers_come_from_the_tags(stream_format, picture_folder, tmp_path):
    """Frames 1003 and 1004: so are the files named, and the originals are the fourth and fifth."""
    rows = encoded(stream_format, picture_folder)[3:].reshape(-1, stream_format.block_size)
    soft = to_soft(rows, np.ones(len(rows), bool))
    tags = frame_tags(stream_format, [1003, 1004])
    source = blocks.vector_source_b(soft.view(np.uint8).reshape(-1), False, soft.shape[1], tags)
    sink = ds2c2.decoder_sink(stream_format, str(tmp_path), str(picture_folder), "cpu")
    graph = gr.top_block()
    graph.connect(source, sink)
    run(graph)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame-001003.png", "frame-001004.png"]
    for result, original in zip(sink.results, pictures_of(picture_folder)[3:], strict=True):
        written = np.asarray(Image.open(tmp_path / f"frame-{result.frame:06d}.png")).astype(float)
        assert result.psnr == pytest.approx(10 * np.log10(255**2 / ((written - original) ** 2).mean()), abs=1e-6)


def test_a_sink_renders_what_another_model_sent(rendering_models, stream_format, picture_folder):
    """The sender has ``coded`` and knows nothing of the decoder that makes the pictures."""
    stream_format = replace(stream_format, model="coded", interleave="none")
    frames = encoded(stream_format, picture_folder)
    soft = to_soft(frames.reshape(-1, stream_format.block_size), np.ones(frames.shape[0] * frames.shape[1], bool))
    source = blocks.vector_source_b(soft.view(np.uint8).reshape(-1), False, soft.shape[1])
    sink = ds2c2.decoder_sink(stream_format, originals=str(picture_folder), device="cpu", render="eye")
    graph = gr.top_block()
    graph.connect(source, sink)
    run(graph)
    eye = codec_of(replace(stream_format, model="eye"))
    ours = soft.reshape(PICTURES, -1, soft.shape[1])
    for result, sent, original in zip(sink.results, ours, pictures_of(picture_folder), strict=True):
        assert result.psnr == pytest.approx(psnr(original, eye.decode(sent).picture), abs=1e-9)
    with pytest.raises(WeightsError, match="render binary: was not trained from coded@"):
        ds2c2.decoder_sink(stream_format, device="cpu", render="binary")


def break_source(stream_format, pictures, folder):
    """A picture is gone when its turn comes."""
    graph = ds2c2.loopback(stream_format, str(pictures), str(folder), device="cpu", measure=False)
    (pictures / "1.png").unlink()
    return graph, PictureError, "1.png"


def break_middle(stream_format, pictures, folder):
    """A block is set to another format than the one before it."""
    other = replace(stream_format, seed=stream_format.seed + 1)
    graph = gr.top_block()
    graph.connect(
        ds2c2.encoder_source(stream_format, str(pictures), "cpu"), ds2c2.interleaver(stream_format),
        ds2c2.packetizer(other), blocks.null_sink(stream_format.packet_bytes),
    )  # fmt: skip
    return graph, FormatError, "the block is set to"


def break_sink(stream_format, pictures, folder):
    """Where pictures are to be written a file stands by then."""
    graph = ds2c2.loopback(stream_format, str(pictures), str(folder), device="cpu", measure=False)
    folder.rmdir()
    folder.write_text("in the way")
    return graph, FileError, "cannot be written"


@pytest.fixture
def own_pictures(picture_folder, tmp_path):
    return Path(shutil.copytree(picture_folder, tmp_path / "own"))


@pytest.mark.parametrize("broken", [break_source, break_middle, break_sink])
def test_an_error_in_any_block_ends_the_graph(stream_format, own_pictures, tmp_path, broken):
    """Wherever it happens, upstream or downstream of the others, nothing hangs."""
    graph, error, words = broken(stream_format, own_pictures, tmp_path / "got")
    run_to_error(graph)
    (failed,) = ds2c2.errors()
    assert isinstance(failed, error) and words in str(failed)
    assert ds2c2.exit_code() == error.exit_code
    ds2c2.clear_errors()


@pytest.mark.parametrize("broken", [break_source, break_sink])
def test_run_to_end_raises_the_first_error(stream_format, own_pictures, tmp_path, broken):
    """A failing block ends the graph, and its error is the caller's."""
    graph, error, words = broken(stream_format, own_pictures, tmp_path / "got")
    with pytest.raises(error, match=words):
        graph.run_to_end()
    assert ds2c2.errors() == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pictures": "/nowhere/a.png"}, PictureError, "/nowhere/a.png"),
        ({"pictures": []}, PictureError, "no pictures are named"),
        ({"pictures": ""}, PictureError, "no pictures are named"),
        ({"device": "abacus"}, DeviceError, "abacus"),
        ({"frame_rate": -1.0}, UserError, "frame rate -1"),
        ({"effort": 1001}, FormatError, "effort 1001 is out of range"),
    ],
)
def test_encoder_source_refuses(stream_format, picture_folder, arguments, error, message):
    with pytest.raises(error, match=message):
        ds2c2.encoder_source(**{"stream_format": stream_format, "pictures": str(picture_folder), **arguments})


def test_model_that_is_not_there(picture_folder):
    stream_format = StreamFormat(192, 128, bpp=0.6, block_size=40, model="missing")
    with pytest.raises(WeightsError, match="missing"):
        ds2c2.encoder_source(stream_format, str(picture_folder))
    with pytest.raises(WeightsError, match="missing"):
        ds2c2.decoder_sink(stream_format)


def test_show_needs_a_qt_program(stream_format):
    with pytest.raises(UserError, match="Qt"):
        ds2c2.decoder_sink(stream_format, device="cpu", show=True)
