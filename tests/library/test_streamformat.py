# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream format: what follows from it, its text form, and what it says of bad values."""

import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.errors import FormatError
from ds2c2.stream.protection import OUTAGE
from ds2c2.stream.streamformat import MIN_BASE_BYTES, StreamFormat

DEFAULT_TEXT = (
    "ds2c2/1 768x512 bpp=0.26 block=100 base=0.026 redundancy=1 interleave=none depth=1 seed=1 model=coded@0123abcd"
)
BINARY_TEXT = DEFAULT_TEXT.replace("none", "bit").replace("coded", "binary")

sizes = st.integers(64, 4096)
rates = st.floats(0.1, 1.0)
fields = st.fixed_dictionaries(
    {
        "width": sizes,
        "height": sizes,
        "bpp": rates,
        "block_size": st.integers(32, 1056),
        "base_bpp": st.floats(0.001, 0.5),
        "base_redundancy": st.floats(0.0, 20.0),
        "seed": st.integers(0, 2**32 - 1),
        "model": st.from_regex(r"[A-Za-z0-9._-]{1,12}(@[0-9a-f]{8})?", fullmatch=True),
    }
)


def remedies(message: str) -> list[dict]:
    """The changes that a message proposes, as fields: each alone, or all of them together."""
    proposal = message.rpartition("; use ")[2]
    values = [
        {name: float(value) if "." in value or name != "block_size" else int(value)}
        for name, value in re.findall(r"(bpp|base_bpp|base_redundancy|survive|block_size) ([\d.]+)", proposal)
    ]
    assert values, message
    return [{k: v for value in values for k, v in value.items()}] if proposal.endswith("together") else values


@settings(max_examples=400, deadline=None)
@given(fields)
def test_a_format_holds_its_rate_or_names_a_remedy_that_works(values):
    try:
        stream = StreamFormat(**values)
    except FormatError as error:
        assert f"{values['width']}x{values['height']}" in str(error)
        for change in remedies(str(error)):
            stream = StreamFormat(**(values | change))
            assert stream.enhancement_blocks >= 1
        return
    pixels = stream.width * stream.height
    budget = Fraction(f"{stream.bpp:.6g}") * pixels
    sent = stream.blocks * stream.block_size * 8
    assert budget - stream.block_size * 8 < sent <= budget
    assert stream.sent_bpp == sent / pixels
    assert stream.base_blocks + stream.enhancement_blocks == stream.blocks <= 65536
    assert stream.enhancement_blocks >= 1
    assert stream.enhancement_bits == stream.enhancement_blocks * stream.block_size * 8
    # The base layer: no less than asked for, at most one symbol more, and room for the CRC.
    wanted = max(Fraction(f"{stream.base_bpp:.6g}") * pixels / 8, MIN_BASE_BYTES)
    assert wanted <= stream.base_bytes < wanted + stream.symbol_bytes
    assert stream.symbol_bytes % 8 == 0
    assert 4 <= stream.block_size - stream.symbol_bytes < 12
    repair = stream.base_blocks - stream.base_sources
    assert 0 <= repair - Fraction(f"{stream.base_redundancy:.6g}") * stream.base_sources < 1


@settings(max_examples=200, deadline=None)
@given(fields, st.floats(0.0, 0.8), st.sampled_from(["spread", "apart"]))
def test_a_format_of_version_2_holds_its_rate_or_names_a_remedy_that_works(values, survive, layout):
    values = {**values, "base_redundancy": None, "survive": survive, "layout": layout}
    try:
        stream = StreamFormat(**values)
    except FormatError as error:
        for change in remedies(str(error)):
            assert StreamFormat(**(values | change)).enhancement_blocks >= 1
        return
    assert stream.version == 2
    assert StreamFormat.parse(stream.text) == stream
    budget = Fraction(f"{stream.bpp:.6g}") * stream.pixels
    sent = stream.blocks * stream.block_size * 8
    assert budget - stream.block_size * 8 < sent <= budget
    assert stream.base_bytes >= max(Fraction(f"{stream.base_bpp:.6g}") * stream.pixels / 8, MIN_BASE_BYTES)
    if layout == "spread":
        assert (stream.base_blocks, stream.enhancement_blocks) == (0, stream.blocks)
        assert (stream.share_bytes <= stream.block_size - 8).all()
        assert stream.share_symbols[-1] >= stream.base_sources
    else:
        assert stream.base_blocks >= stream.base_sources and stream.enhancement_blocks >= 1
        # Whole per cent, rounded down; of few base blocks no more than lets all of them be lost once in 100 frames.
        asked = math.floor(100 * min(stream.survive, OUTAGE ** (1 / stream.base_blocks)))
        assert round(100 * stream.survivable) >= asked - 1


@settings(max_examples=200, deadline=None)
@given(fields, st.sampled_from(["bit", "block", "none"]), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
def test_the_text_form_reads_back_as_the_same_format(values, interleave, depth):
    values |= {"interleave": interleave, "depth": depth if interleave == "block" else 1}
    try:
        stream = StreamFormat(**values)
    except FormatError:
        return
    again = StreamFormat.parse(stream.text)
    assert again == stream
    assert again.text == stream.text
    assert again.digest == stream.digest
    assert (again.blocks, again.base_blocks) == (stream.blocks, stream.base_blocks)


@pytest.mark.parametrize(
    ("stream", "blocks", "base_sources", "base_blocks"),
    [
        (StreamFormat(768, 512, base_redundancy=1), 127, 14, 28),
        (StreamFormat(768, 512, bpp=0.5, base_redundancy=0.5), 245, 14, 21),
        (StreamFormat(1024, 1024, bpp=0.5, base_redundancy=1), 655, 36, 72),
        (StreamFormat(64, 64, bpp=1.0, block_size=32, base_redundancy=1), 16, 3, 6),
        (StreamFormat(4096, 4096, bpp=1.0, block_size=32, base_redundancy=1), 65536, 2272, 4544),
        # 0.3 * 160000 / 800 is 59.99999999999999 in floating point.
        (StreamFormat(400, 400, bpp=0.3, base_redundancy=1), 60, 6, 12),
    ],
)
def test_numbers_of_blocks(stream, blocks, base_sources, base_blocks):
    assert (stream.blocks, stream.base_sources, stream.base_blocks) == (blocks, base_sources, base_blocks)


def test_text_and_digest_are_pinned():
    """Both are on the wire: a change here is another version of the format."""
    stream = StreamFormat(768, 512, model="coded@0123abcd", base_redundancy=1)
    assert stream.text == DEFAULT_TEXT
    assert stream.digest == 0xA77A
    assert (stream.model_name, stream.model_digest) == ("coded", "0123abcd")
    stream = StreamFormat(768, 512, interleave="bit", model="binary@0123abcd", base_redundancy=1)
    assert stream.text == BINARY_TEXT
    assert stream.digest == 0xB6FA


def test_a_format_survives_half_of_its_blocks_unless_told_otherwise():
    stream = StreamFormat(768, 512, model="coded@0123abcd")
    assert stream.text == (
        "ds2c2/2 768x512 bpp=0.26 block=100 base=0.026 survive=0.5 layout=spread interleave=none depth=1 seed=1 "
        "model=coded@0123abcd"
    )
    assert stream == StreamFormat(768, 512, model="coded@0123abcd", survive=0.5)
    assert 0.49 <= stream.survivable <= 0.51
    assert StreamFormat(768, 512, base_redundancy=1).version == 1


@pytest.mark.parametrize(
    "change",
    [
        {"width": 769},
        {"height": 511},
        {"bpp": 0.27},
        {"block_size": 101},
        {"base_bpp": 0.03},
        {"base_redundancy": 0.9},
        {"interleave": "bit"},
        {"interleave": "block", "depth": 2},
        {"seed": 2},
        {"model": "binary@0123abce"},
    ],
)
def test_every_field_is_in_text_and_digest(change):
    stream = StreamFormat(768, 512, model="binary@0123abcd", base_redundancy=1)
    other = replace(stream, **change)
    assert other != stream
    assert other.text != stream.text
    assert other.digest != stream.digest


def test_values_that_print_alike_are_the_same_format():
    assert StreamFormat(768, 512, bpp=0.1 + 0.2).text == StreamFormat(768, 512, bpp=0.3).text
    assert StreamFormat(768, 512, bpp=0.1 + 0.2) == StreamFormat(768, 512, bpp=0.3)


def test_pinning_binds_the_weights():
    pinned = StreamFormat(768, 512).pinned("fedcba9876543210")
    assert pinned.model == "coded@fedcba98"
    assert pinned.pinned("00112233445566").model == "coded@00112233"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"width": 63}, ["width 63", "64 to 4096"]),
        ({"height": 4097}, ["height 4097", "64 to 4096"]),
        ({"bpp": 0.05}, ["bpp 0.05", "0.1 to 1.0"]),
        ({"bpp": 1.1}, ["bpp 1.1", "0.1 to 1.0"]),
        ({"bpp": math.nan}, ["bpp nan", "0.1 to 1.0"]),
        ({"bpp": math.inf}, ["bpp inf", "0.1 to 1.0"]),
        ({"bpp": "much"}, ["bpp 'much'", "a number"]),
        ({"bpp": None}, ["bpp None", "a number"]),
        ({"block_size": 31}, ["block_size 31", "32 to 1056"]),
        ({"block_size": 1057}, ["block_size 1057", "32 to 1056"]),
        ({"block_size": 100.0}, ["block_size 100.0", "whole number"]),
        ({"width": "768"}, ["width '768'", "whole number"]),
        ({"base_bpp": 0.0}, ["base_bpp 0.0", "0.001 to 0.5"]),
        ({"base_redundancy": -0.1}, ["base_redundancy -0.1", "0.0 to 20.0"]),
        ({"base_redundancy": 21}, ["base_redundancy 21", "0.0 to 20.0"]),
        ({"interleave": "bits"}, ["'bits'", "bit, block, none"]),
        ({"depth": 0}, ["depth 0", "1 to 64"]),
        ({"depth": 65, "interleave": "block"}, ["depth 65", "1 to 64"]),
        ({"depth": 4}, ["depth 4", "interleave=block"]),
        ({"depth": 3, "interleave": "block"}, ["depth 3", "65536", "use 2"]),
        ({"depth": 63, "interleave": "block"}, ["depth 63", "use 32"]),
        ({"seed": -1}, ["seed -1", "0 to 4294967295"]),
        ({"seed": 2**32}, ["seed 4294967296", "0 to 4294967295"]),
        ({"model": "../etc"}, ["'../etc'", "letters, digits"]),
        ({"model": "binary@12"}, ["'binary@12'", "letters, digits"]),
        ({"model": "two words"}, ["'two words'", "letters, digits"]),
        ({"model": "binary\n"}, ["letters, digits"]),
        ({"width": 64, "height": 64, "base_redundancy": 1}, ["bpp 0.26", "64x64", "use bpp 0.59 or more"]),
        (
            {"width": 64, "height": 64, "bpp": 1.0, "block_size": 1056, "base_redundancy": 1},
            ["64x64", "1056", "block_size 170"],
        ),
        (
            {"bpp": 0.1, "base_redundancy": 20},
            ["use bpp 0.61 or more", "base_redundancy 2.4 or less", "base_bpp 0.003 or less"],
        ),
    ],
)
def test_errors_name_the_value_and_what_would_be_right(values, named):
    with pytest.raises(FormatError) as error:
        StreamFormat(**({"width": 768, "height": 512} | values))
    for words in named:
        assert words in str(error.value)
    assert "\n" not in str(error.value).replace(r"\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ds2c2/1",
        "ds2c2/3 768x512",
        "ds2c2/1 768",
        "ds2c2/1 768x512x3",
        "ds2c2/1 768x512 bpp",
        "ds2c2/1 768x512 bpp=",
        "ds2c2/1 768x512 bpp=0.3=0.4",
        "ds2c2/1 768x512 colour=red",
        "ds2c2/1 768x512 width=64",
        "ds2c2/1 768x512 bpp=0.3 bpp=0.4",
        "ds2c2/1 768x512 seed=1.5",
        "\x00\xff",
    ],
)
def test_text_that_is_no_format_is_refused_with_the_text(text):
    with pytest.raises(FormatError) as error:
        StreamFormat.parse(text)
    assert repr(text) in str(error.value)
    assert "ds2c2 info" in str(error.value)


def test_text_with_a_value_out_of_range_says_which():
    with pytest.raises(FormatError, match="bpp 7.0 is out of range"):
        StreamFormat.parse("ds2c2/1 768x512 bpp=7")


def test_text_may_leave_out_what_is_usual():
    assert StreamFormat.parse("ds2c2/1 768x512 seed=5") == StreamFormat(768, 512, seed=5, base_redundancy=1)


def test_formats_agree_where_only_one_names_the_weights():
    named, other = StreamFormat(768, 512, model="coded@0123abcd"), StreamFormat(768, 512, model="coded@0123abce")
    bare = StreamFormat(768, 512)
    assert bare.agrees(bare) and bare.agrees(named) and named.agrees(bare) and named.agrees(named)
    assert not named.agrees(other)
    assert not bare.agrees(StreamFormat(768, 512, seed=2, model="coded@0123abcd"))
    assert not bare.agrees(StreamFormat(768, 512, model="binary@0123abcd"))


@pytest.mark.parametrize("word", ["seed=٣", "seed=1_0", "bpp=٠.٩", "bpp=0_1.0", "depth=+1", "bpp=nan", "seed=１"])
def test_numbers_are_ascii(word):
    with pytest.raises(FormatError, match="is not understood"):
        StreamFormat.parse(f"ds2c2/2 768x512 {word}")


def test_sizes_are_ascii():
    with pytest.raises(FormatError, match="is not understood"):
        StreamFormat.parse("ds2c2/2 ٧٦٨x512 seed=1")
