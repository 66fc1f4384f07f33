# SPDX-License-Identifier: GPL-3.0-or-later
"""SSDV as a rival: its packets byte for byte, what a lost one costs, and its way through the benchmark."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ds2c2.evaluation import benchmark, outcomes
from ds2c2.evaluation.report import fixed_rivals
from ds2c2.evaluation.rivals import rivals, ssdvpackets
from ds2c2.evaluation.summary import is_fixed, summarise, value
from ds2c2.traces.formats.ssdv import call_sign, is_packet

PICTURE = np.ascontiguousarray(skimage.data.astronaut()[:96, 160:288])


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def coefficients(picture=PICTURE, level=4, sampling=0):
    height, width = picture.shape[:2]
    data = ssdvpackets.jpeg_of(picture, level, sampling)
    return data, ssdvpackets.read_jpeg(data, width, height, level, sampling)


def test_a_grey_picture_is_this_packet():
    """Every field by hand: 96 MCUs of T.81's codes for no change (00 luminance, 00 chrominance) and end of block
    (1010 and 00), four luminance blocks and two of chrominance each."""
    _, image = coefficients(np.full((32, 48, 3), 128, np.uint8), level=6)
    (packet,) = ssdvpackets.pack(image, sign="N0CALL", number=9)
    sign = [14 + ord(c) - ord("A") if c.isalpha() else 1 + int(c) for c in "N0CALL"]
    number = sum(place * 40**i for i, place in enumerate(sign))
    head = bytes([0x55, 0x67]) + number.to_bytes(4, "big")
    # Image 9, packet 0, 3 by 2 times 16 pixels, level 6 (its number xor 4) and the last, first MCU 0 at byte 0.
    head += bytes([9, 0, 0, 3, 2, (6 ^ 4) << 3 | 1 << 2 | 0, 0, 0, 0])
    bits = 6 * (4 * "001010" + 2 * "0000")
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    body = head + payload + bytes(237 - len(payload))
    assert packet == body + zlib.crc32(body[1:]).to_bytes(4, "big") and len(packet) == 256
    assert is_packet(packet) and call_sign(int.from_bytes(packet[2:6], "big")) == "N0CALL"


def test_the_tables_are_annex_k_made_even():
    """Level 4 is a scale of 100 %: quality 50 of libjpeg, but for two entries of chrominance."""
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "JPEG", quality=50)
    libjpeg = Image.open(buffer).quantization
    luminance, chrominance = ssdvpackets.quantization(4)
    assert luminance == [entry + entry % 2 for entry in libjpeg[0]]
    assert [i for i in range(64) if chrominance[i] != libjpeg[1][i] + libjpeg[1][i] % 2] == [2, 16]
    assert set(sum(ssdvpackets.quantization(7), [])) == {1} and set(ssdvpackets.quantization(0)[0]) == {255}


@pytest.mark.parametrize(("level", "sampling", "length"), [(0, 0, 256), (4, 3, 256), (4, 0, 100), (7, 3, 20)])
def test_without_loss_it_is_the_jpeg_itself(level, sampling, length):
    data, image = coefficients(level=level, sampling=sampling)
    packets = ssdvpackets.pack(image, length)
    assert {len(packet) for packet in packets} == {length}
    assert ssdvpackets.unpack(packets[::-1]) == image  # in any order
    assert image.jpeg() == data


def test_a_lost_packet_costs_its_own_mcus():
    data, image = coefficients()
    packets = ssdvpackets.pack(image, 100)
    firsts = [int.from_bytes(packet[13:15], "big") for packet in packets]
    lost = 3
    received = opened(ssdvpackets.unpack(packets[:lost] + packets[lost + 1 :]).jpeg())
    whole = opened(data)
    # The MCU before its first one may reach into it. Chroma is smoothed a pixel beyond an MCU.
    harmed = np.zeros((6 + 2, 8 + 2), bool)
    for mcu in range(firsts[lost] - 1, firsts[lost + 1]):
        harmed[mcu // 8 : mcu // 8 + 3, mcu % 8 : mcu % 8 + 3] = True
    changed = (received != whole).any(axis=2)
    assert changed.any() and not changed[~np.kron(harmed[1:-1, 1:-1], np.ones((16, 16), bool))].any()
    # What is missing goes on in the colour of the MCU before.
    begun = firsts[lost] % 8 * 16, firsts[lost] // 8 * 16
    piece = received[begun[1] + 2 : begun[1] + 14, begun[0] + 2 : begun[0] + 14].astype(int)
    assert np.ptp(piece.reshape(-1, 3), axis=0).max() <= 3


def test_no_whole_packet_is_no_picture():
    _, image = coefficients()
    packet = bytearray(ssdvpackets.pack(image)[0])
    packet[40] ^= 1
    assert ssdvpackets.unpack([]) is None and ssdvpackets.unpack([bytes(packet), packet[:10]]) is None


def test_what_it_cannot_say_is_named():
    with pytest.raises(rivals.RivalError, match="no picture of 4096x16 .* up to 4080"):
        coefficients(np.zeros((16, 4096, 3), np.uint8))


@pytest.mark.parametrize("side", [(96, 128), (83, 121)])
def test_what_fits_is_sent(side):
    picture = np.ascontiguousarray(PICTURE[: side[0], : side[1]])
    rival = rivals.RIVALS["ssdv"]
    assert "ssdv" in rivals.OPTIONAL and rivals.missing("ssdv") == ""
    sent = rival.send(picture, 30, 100)
    assert 0 < sent.bytes <= 3000 and sent.bytes % 100 == 0
    lost = np.zeros(30, bool)
    best = outcomes.quality(picture, sent.receive(lost))[0]
    assert best > 20 and sent.receive(lost).shape == picture.shape
    lost[3] = True
    assert 10 < outcomes.quality(picture, sent.receive(lost))[0] < best
    assert sent.receive(~np.zeros(30, bool)) is None
    assert outcomes.quality(picture, rival.send(picture, 60, 100).receive(np.zeros(60, bool)))[0] > best
    # Two standard packets a block go with it.
    twice = rival.send(picture, 6, 520)
    assert twice.bytes % 256 == 0
    assert rival.send(picture, 30, 19) is None and rival.send(picture, 1, 21) is None


def test_the_benchmark_measures_it_draw_by_draw(tmp_path, monkeypatch):
    path = tmp_path / "astronaut.png"
    Image.fromarray(PICTURE).save(path)
    settings = outcomes.BenchmarkSettings(
        name="one", pictures=(outcomes.describe(path, "astronaut"),), model="binary", weights="", interleave="bit",
        rates=(0.9,), losses=(0.0, 0.3, 1.0), channels=("iid",), seeds=3, rules=(), block_size=100, base_bpp=0.04,
        redundancy=1.0, rivals=("webp", "ssdv"),
    )  # fmt: skip
    in_process = lambda settings, left, *_: (benchmark._work(settings, *task, "cpu") for task in left)  # noqa: E731
    monkeypatch.setattr(benchmark, "_spread", in_process)
    results = summarise(settings, benchmark.run(settings, tmp_path / "out", 1))
    (curve,) = [curve for curve in results["curves"] if curve["codec"] == "ssdv"]
    assert curve["design"] == outcomes.PACKETS and is_fixed(results, curve, 0.9)
    clean, hit, grey = (value(curve, 0.9, loss) for loss in settings.losses)
    assert clean > hit > grey and value(curve, 0.9, 0.3, key="nothing") == 0
    assert grey == value(results["curves"][0], 0.9, 1.0)  # mid-grey, as of the other rival
    assert [one["codec"] for one in fixed_rivals(results, 0.9)] == ["webp", "ssdv"]
    # Its figures depend on the draws; WebP's do not.
    assert len(benchmark.rivals_of(tmp_path / "out", settings)) == 2
    with pytest.raises(benchmark.BenchmarkError, match="seeds"):
        benchmark.rivals_of(tmp_path / "out", replace(settings, seeds=2))
    assert benchmark.rivals_of(tmp_path / "out", replace(settings, seeds=2, rivals=("webp",)))
