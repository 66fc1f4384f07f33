# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts at both ends of a radio that loses nothing: real sockets, tiny networks."""

import threading

import numpy as np
import pytest
from PIL import Image

from ds2c2.codec.codec import Codec
from ds2c2.ends.session import PictureFeed, ReceivingEnd, SendingEnd
from ds2c2.errors import FormatError
from ds2c2.networks.weights import resolve_interleave
from ds2c2.serve.frames import frame_messages
from ds2c2.serve.hosts import DecodeHost, EncodeHost
from ds2c2.serve.pipe import Address, Inbox, Pipe
from ds2c2.stream.softbits import to_soft
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.stream.streamtags import HEADER, Tag, pack_message, unpack_message
from freeport import free_port

pytestmark = pytest.mark.usefixtures("models")
STREAM = StreamFormat(96, 64, bpp=0.9, block_size=40)
DEADLINE = 60.0  # seconds: far above what any of these takes
WAIT = 20.0  # seconds that the hosts wait


def free_address():
    return Address.parse(f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def codecs(tiny_models):
    """Codecs by stream: loading the networks takes longer than these tests."""
    made = {}

    def codec(stream):
        if stream not in made:
            made[stream] = Codec(stream, "cpu")
        return made[stream]

    return codec


def running(host, *arguments):
    thread = threading.Thread(target=host.run, args=arguments, daemon=True)
    thread.start()
    return thread


def ended(thread):
    thread.join(DEADLINE)
    return not thread.is_alive()


def sending_end(codec, pictures, repeat=False):
    return SendingEnd(codec, PictureFeed([str(pictures)], 96, 64, repeat=repeat))


def messages_of(codec, pictures, **arguments):
    """What the encoder of these pictures sends."""
    sending, parts = sending_end(codec, pictures), []
    while (encoded := sending.next_frame()) is not None:
        last = arguments.get("ended", True) and sending.frame == len(sending.feed.paths)
        parts += frame_messages(codec.stream, sending.frame - 1, encoded.blocks, last)
    return parts


class Radio:
    """A flowgraph whose link loses nothing: code blocks in, soft bits out, tags where they were."""

    def __init__(self):
        self.offset = 0

    def through(self, message):
        _, tags, items = unpack_message(message)
        rows = np.frombuffer(items, np.uint8).reshape(-1, STREAM.block_size)
        soft = to_soft(rows, np.ones(len(rows), bool))
        tags = [Tag(tag.offset + self.offset, tag.key, tag.value) for tag in tags]
        packed = pack_message(tags, soft.tobytes(), 8 * STREAM.block_size)
        message = HEADER.pack(0x5FF0, 1, self.offset, len(tags)) + packed[HEADER.size :]
        self.offset += len(rows)
        return message


def decode_host(codec, folder, address, stream=None):
    said, shown = [], []
    pipe = Pipe(address, sends=False, listens=False)

    def receiver(stream):
        return ReceivingEnd(codec(stream), folder, replace=False)

    host = DecodeHost(receiver, pipe, WAIT, said.append, shown.append, stream)
    return host, said, shown


def deliver(sender, messages):
    for message in messages:
        while not sender.send(message, 0.1):
            sender.news()


def received(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def local(codec, pictures, folder):
    """The pictures of a stream that stays in one process."""
    receiving, sending = ReceivingEnd(codec, folder), sending_end(codec, pictures)
    while (encoded := sending.next_frame()) is not None:
        receiving.take(sending.frame - 1, to_soft(encoded.blocks, np.ones(len(encoded.blocks), bool)))
    return received(folder)


@pytest.mark.parametrize("model", ["coded", "binary"])
def test_the_same_pictures_as_in_one_process(codecs, pictures, tmp_path, model):
    """Encode host, a radio, decode host: bit for bit, and all of them end by themselves."""
    stream = StreamFormat(96, 64, bpp=0.9, block_size=40, interleave=resolve_interleave("auto", model), model=model)
    blocks_at, soft_at = free_address(), free_address()
    encode = EncodeHost(sending_end(codecs(stream), pictures), Pipe(blocks_at, sends=True, listens=True), WAIT, print)
    decode, said, shown = decode_host(codecs, tmp_path / "remote", soft_at)
    threads = [running(encode), running(decode)]
    inbox = Inbox(Pipe(blocks_at, sends=False, listens=False))
    sender, radio, count = Pipe(soft_at, sends=True, listens=True), Radio(), 0
    while count < 5:
        item = inbox.get(DEADLINE)
        assert item is not None
        if isinstance(item, bytes):
            deliver(sender, [radio.through(item)])
            count += 1
    assert all(ended(thread) for thread in threads)
    inbox.close()
    sender.close()
    assert encode.ended and encode.frames == len(shown) == 4 and decode.reader.ended
    assert decode.reader.counts.line() == "5 messages, 4 frames"
    assert received(tmp_path / "remote") == local(codecs(stream), pictures, tmp_path / "local") != {}


def test_both_ends_of_the_flowgraph_s_pipes_restart(codecs, pictures, tmp_path):
    """A sender whose numbers begin again loses no picture of before; a frame it left torn is counted."""
    address = free_address()
    codec = codecs(STREAM)
    parts = messages_of(codec, pictures, ended=False)
    decode, said, shown = decode_host(codecs, tmp_path / "out", address, STREAM)
    thread = running(decode)
    first, radio = Pipe(address, sends=True, listens=True), Radio()
    whole = [radio.through(part) for part in parts[:3]]
    half = whole[2][: len(whole[2]) - 9 * 8 * STREAM.block_size]
    deliver(first, [*whole[:2], half])
    first.close(DEADLINE)
    second = Pipe(address, sends=True, listens=True)
    radio = Radio()
    deliver(second, [radio.through(part) for part in messages_of(codec, pictures)])
    assert ended(thread)
    second.close()
    expected = local(codec, pictures, tmp_path / "local")
    assert [result.frame for result in shown] == [0, 1, 0, 1, 2, 3]
    assert received(tmp_path / "out") == dict(list(expected.items())[:2])
    assert received(tmp_path / "out" / "stream-2") == expected
    assert (decode.reader.counts.torn, decode.reader.counts.restarts) == (1, 1)
    assert any("disconnected" in line for line in said) and any("stream-2" in line for line in said)


def test_another_format_ends_the_decoder_before_a_picture(codecs, pictures, tmp_path):
    address = free_address()
    decode, _, shown = decode_host(
        codecs, tmp_path / "out", address, StreamFormat(96, 64, bpp=0.9, block_size=40, seed=2)
    )
    sender = Pipe(address, sends=True, listens=True)
    failed = []
    thread = threading.Thread(target=lambda: failed.append(pytest.raises(FormatError, decode.run)), daemon=True)
    thread.start()
    deliver(sender, [Radio().through(messages_of(codecs(STREAM), pictures)[0])])
    assert ended(thread)
    sender.close()
    assert "seed=2" in str(failed[0].value) and shown == [] and received(tmp_path / "out") == {}


def test_stop_ends_the_stream_with_a_whole_frame(codecs, pictures):
    """A repeated feed: the frame that is sent last carries the end."""
    address, sent = free_address(), []
    host = EncodeHost(
        sending_end(codecs(STREAM), pictures, repeat=True), Pipe(address, sends=True, listens=True), WAIT, print
    )
    inbox = Inbox(Pipe(address, sends=False, listens=False))

    def progress(frames):
        sent.append(frames)
        if frames == 6:
            host.stop()

    thread = running(host, progress)
    messages = []
    while not messages or not any(tag.key == "ds2c2_end" for tag in unpack_message(messages[-1])[1]):
        item = inbox.get(DEADLINE)
        assert item is not None
        if isinstance(item, bytes):
            messages.append(item)
    assert ended(thread)
    inbox.close()
    numbers = [tag.value[0] for message in messages for tag in unpack_message(message)[1] if tag.key == "ds2c2_frame"]
    assert numbers == list(range(7)) and host.frames == 7 and sent == list(range(1, 8))


def test_nobody_there(codecs, pictures, tmp_path):
    """Each host gives up after its wait, and says so by what it has not done."""
    encode = EncodeHost(
        sending_end(codecs(STREAM), pictures), Pipe(free_address(), sends=True, listens=True), 0.3, print
    )
    assert ended(running(encode))
    assert (encode.frames, encode.ended) == (0, False)
    decode, _, _ = decode_host(codecs, tmp_path / "out", free_address())
    decode.wait = 0.3
    assert ended(running(decode))
    assert decode.gave_up and decode.receiving is None


def test_stop_while_nobody_is_there(codecs, pictures, tmp_path):
    for host in (
        EncodeHost(sending_end(codecs(STREAM), pictures), Pipe(free_address(), sends=True, listens=True), WAIT, print),
        decode_host(codecs, tmp_path / "out", free_address())[0],
    ):
        thread = running(host)
        host.stop()
        assert ended(thread)
