# SPDX-License-Identifier: GPL-3.0-or-later
"""The tag header as GNU Radio itself writes and reads PMTs, and whatever else may come."""

import pmt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2c2.stream.streamtags import (
    DEEPEST,
    HEADER,
    HEADER_START,
    TAG_OFFSET,
    Tag,
    TagHeaderError,
    pack_message,
    unpack_message,
)

TAGS = st.lists(
    st.builds(
        Tag,
        st.integers(0, 2**64 - 1),
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=20),
            lambda inner: st.tuples(inner, inner),
            max_leaves=8,
        ),
    ),
    max_size=5,
)


def message_with(value) -> bytes:
    """A message with one tag of any PMT and the items ``items``, as GNU Radio writes it."""
    parts = [pmt.serialize_str(part) for part in (pmt.intern("key"), value, pmt.intern("source"))]
    return HEADER.pack(0x5FF0, 1, 12, 1) + TAG_OFFSET.pack(14) + b"".join(parts) + b"items"


@given(TAGS, st.binary(max_size=40), st.integers(32, 1056))
def test_what_is_packed_is_read(tags, items, item_bytes):
    message = pack_message(tags, items, item_bytes)
    offset, read, rest = unpack_message(message)
    assert (offset, read, bytes(rest)) == (0, tags, items)
    assert message[: len(HEADER_START)] == HEADER_START
    # A source that is told of no tags must not take the whole for items.
    assert not tags or (len(message) - len(items)) % item_bytes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pmt.PMT_T, True),
        (pmt.PMT_NIL, None),
        (pmt.intern("é"), "é"),
        (pmt.from_long(-5), -5),
        (pmt.from_long(2**40), 2**40),
        (pmt.from_uint64(2**63), 2**63),
        (pmt.from_double(1.5), 1.5),
        (pmt.from_complex(1 + 2j), 1 + 2j),
        (pmt.cons(pmt.from_long(7), pmt.PMT_F), (7, False)),
        (pmt.dict_add(pmt.make_dict(), pmt.intern("a"), pmt.from_long(1)), (("a", 1), None)),
        (pmt.make_vector(2, pmt.PMT_T), [True, True]),
        (pmt.make_tuple(pmt.from_long(1), pmt.PMT_T), [1, True]),
        (pmt.init_u8vector(3, [1, 2, 3]), b"\1\2\3"),
        (pmt.init_s64vector(1, [1]), bytes(7) + b"\1"),
        (pmt.init_c64vector(1, [0]), bytes(16)),
    ],
    ids=str,
)
def test_values_of_anybodys_tags(value, expected):
    assert unpack_message(message_with(value)) == (12, [Tag(14, "key", expected)], b"items")


def test_gnu_radio_reads_what_we_write():
    message = pack_message([Tag(3, "key", (70000, "text"))], b"", 32)
    place = HEADER.size + TAG_OFFSET.size
    assert pmt.to_python(pmt.deserialize_str(message[place:])) == "key"
    pair = pmt.deserialize_str(message[place + 6 :])
    assert (pmt.to_long(pmt.car(pair)), pmt.symbol_to_string(pmt.cdr(pair))) == (70000, "text")


def test_a_long_list_is_no_deep_value():
    value = pmt.PMT_NIL
    for number in range(500):
        value = pmt.cons(pmt.from_long(number), value)
    ((tag,), rest) = unpack_message(message_with(value))[1:]
    assert tag.value[0] == 499 and rest == b"items"


def test_a_deep_value_is_refused():
    value = pmt.PMT_NIL
    for _ in range(DEEPEST + 1):
        value = pmt.make_vector(1, value)
    with pytest.raises(TagHeaderError, match="deep"):
        unpack_message(message_with(value))


@given(st.binary(max_size=60), st.integers(0, 2**64 - 1), st.booleans())
def test_nonsense_is_refused(rest, count, headed):
    """Never another error, nor a long wait for what is not there."""
    data = HEADER.pack(0x5FF0, 1, 0, count) + rest if headed else rest
    try:
        _, tags, _ = unpack_message(data)
    except TagHeaderError:
        return
    assert headed and len(tags) == count


def test_a_torn_header_is_refused():
    message = message_with(pmt.init_u8vector(3, [1, 2, 3]))
    for length in range(len(message) - len(b"items")):
        with pytest.raises(TagHeaderError):
            unpack_message(message[:length])
