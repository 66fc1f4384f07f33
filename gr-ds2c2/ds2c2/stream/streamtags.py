# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags on streams of code blocks and soft bits, and how they go through a socket.

GNU Radio's ZeroMQ blocks put a header before the items of each message when they pass tags (gr-zeromq,
``tag_headers.cc``; its numbers are in the host's byte order, here little-endian):

    u16 0x5ff0   u8 version 1   u64 offset of the first item   u64 number of tags
    each tag:    u64 offset     key, value and source as serialized PMTs (gr-runtime, ``pmt_io.cc``, big-endian)
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

# On the first block of a frame: pair of the frame's number and N_b.
FRAME = "ds2c2_frame"
# On the first block of a frame: the stream format's text form.
FORMAT = "ds2c2_format"
# On the last block of the last frame: true.
END = "ds2c2_end"

HEADER = struct.Struct("<HBQQ")
TAG_OFFSET = struct.Struct("<Q")
MAGIC, VERSION = 0x5FF0, 1
# The three bytes that every header begins with. No code block that an encoder makes first does: byte 0
# of a base container holds its layout, 1, in the high half.
HEADER_START = HEADER.pack(MAGIC, VERSION, 0, 0)[:3]

# Serialized PMTs: the byte that says the type (pmt_serial_tags.h).
TRUE, FALSE, SYMBOL, INT32, DOUBLE, COMPLEX, NULL, PAIR, VECTOR, DICT, UNIFORM, UINT64, TUPLE, INT64 = range(14)
_FIXED = {INT32: ">i", DOUBLE: ">d", UINT64: ">Q", INT64: ">q"}
# Bytes of an element of a uniform vector: u8 s8 u16 s16 u32 s32 u64 s64 f32 f64 c32 c64.
_ELEMENT_BYTES = (1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 8, 16)
# Deeper values than this are refused: nothing that tags carry is, and Python's own stack ends at 1000.
DEEPEST = 15
LONGEST_LIST = 500  # pairs


class TagHeaderError(ValueError):
    """Bytes that do not begin with a tag header, or whose header cannot be read."""


@dataclass(frozen=True)
class Tag:
    """A tag at an offset in items, counted from the start of its stream or, when packed, of the message.

    ``value``: bool, int, float, complex, str (a symbol), None (nil), a tuple of two (a pair), or a list
    (vectors and tuples); bytes for a uniform vector's elements.
    """

    offset: int
    key: str
    value: object


def pack_message(tags: Sequence[Tag], items: bytes, item_bytes: int) -> bytes:
    """Header and items of a message as ``zeromq_pull_source`` reads it with Pass Tags set.

    Without it, the source would take the header for items: the message's length is therefore never a
    multiple of ``item_bytes``, which the source refuses to read.
    """
    for source in (None, "ds2c2"):
        header = HEADER.pack(MAGIC, VERSION, 0, len(tags)) + b"".join(
            TAG_OFFSET.pack(tag.offset) + _pack(tag.key) + _pack(tag.value) + _pack(source) for tag in tags
        )
        if len(header) % item_bytes or not tags:
            break
    return header + items


def unpack_message(data: bytes) -> tuple[int, list[Tag], memoryview]:
    """The offset of a message's first item, its tags, and its items. Raises ``TagHeaderError``."""
    view = memoryview(data)
    if len(view) < HEADER.size:
        raise TagHeaderError(f"{len(view)} bytes are too few for a tag header")
    magic, version, offset, count = HEADER.unpack_from(view)
    if (magic, version) != (MAGIC, VERSION):
        raise TagHeaderError("no tag header")
    place, tags = HEADER.size, []
    try:
        for _ in range(count):
            (at,) = TAG_OFFSET.unpack_from(view, place)
            key, place = _unpack(view, place + TAG_OFFSET.size)
            value, place = _unpack(view, place)
            _source, place = _unpack(view, place)
            tags.append(Tag(at, str(key), value))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise TagHeaderError("the tag header is torn") from None
    return offset, tags, view[place:]


def _pack(value: object) -> bytes:
    match value:
        case None:
            return bytes([NULL])
        case bool():
            return bytes([TRUE if value else FALSE])
        case str():
            text = value.encode()
            return struct.pack(">BH", SYMBOL, len(text)) + text
        case int():
            return struct.pack(">Bi", INT32, value)
        case (first, second):
            return bytes([PAIR]) + _pack(first) + _pack(second)
    raise TypeError(f"{value!r} is nothing that our tags carry")


def _take(view: memoryview, place: int, length: int) -> memoryview:
    if length > len(view) - place:
        raise IndexError
    return view[place : place + length]


def _unpack(view: memoryview, place: int, depth: int = 0) -> tuple[object, int]:
    """The value that is serialized at ``place``, and where it ends."""
    if depth > DEEPEST:
        raise TagHeaderError(f"a tag's value is more than {DEEPEST} deep")
    kind, place = view[place], place + 1
    if kind in (TRUE, FALSE, NULL):
        return {TRUE: True, FALSE: False, NULL: None}[kind], place
    if kind in _FIXED:
        number = struct.Struct(_FIXED[kind])
        return number.unpack_from(view, place)[0], place + number.size
    if kind == COMPLEX:
        return complex(*struct.unpack_from(">dd", view, place)), place + 16
    if kind == SYMBOL:
        (length,) = struct.unpack_from(">H", view, place)
        return str(_take(view, place + 2, length), "utf-8"), place + 2 + length
    if kind in (PAIR, DICT):
        # A list is pairs in pairs: as deep as it is long, and Python's own reading of it as deep.
        firsts = []
        while kind in (PAIR, DICT):
            first, place = _unpack(view, place, depth + 1)
            firsts.append(first)
            if len(firsts) > LONGEST_LIST:
                raise TagHeaderError(f"a tag's value is a list of more than {LONGEST_LIST}")
            kind, place = view[place], place + 1
        value, place = _unpack(view, place - 1, depth + 1)
        for first in reversed(firsts):
            value = (first, value)
        return value, place
    if kind in (VECTOR, TUPLE):
        (length,) = struct.unpack_from(">I", view, place)
        place += 4
        values = []
        for _ in range(length):
            value, place = _unpack(view, place, depth + 1)
            values.append(value)
        return values, place
    if kind == UNIFORM:
        element, length, padding = struct.unpack_from(">BIB", view, place)
        size = length * _ELEMENT_BYTES[element]
        start = place + 6 + padding
        return bytes(_take(view, start, size)), start + size
    raise TagHeaderError(f"a tag's value is of an unknown type, {kind}")
