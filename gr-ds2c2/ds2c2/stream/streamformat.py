# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream format: all that both ends of a link must agree on, as one value object."""

import hashlib
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.pictures.pictures import MAX_SIDE, MIN_SIDE
from ds2c2.stream.formatwords import READERS, exact, whole
from ds2c2.stream.protection import OUTAGE, arriving, needed
from ds2c2.stream.remedy import changes_that_fit

TEXT_PREFIX = "ds2c2"
VERSIONS = (1, 2)  # of the text form
# Bytes of a packet's header: of version 1, of version 2, and what a signed one has more.
PACKET_V1_BYTES, PACKET_BYTES, SESSION_BYTES = 8, 10, 4
MIN_BPP, MAX_BPP = 0.1, 1.0  # bits per pixel
MIN_BASE_BPP, MAX_BASE_BPP = 0.001, 0.5
# Bytes. With 32 the largest picture at the highest rate has 65536 blocks, as many as a packet
# can number; 5G NR code blocks go up to 8448 bits = 1056 bytes.
MIN_BLOCK, MAX_BLOCK = 32, 1056
MAX_DEPTH = 64  # frames
DEFAULT_SURVIVE = 0.5
VERSION_1_REDUNDANCY = 1.0  # of a text that does not say it
MAX_SURVIVE = 0.8
INTERLEAVES = ("bit", "block", "none")
LAYOUTS = ("spread", "apart")

# RaptorQ symbols are multiples of 8 bytes (RFC 6330, 4.4.1: alignment Al); what a code block
# has beside its symbol holds the symbol's CRC-32.
SYMBOL_ALIGNMENT = 8
CRC_BYTES = 4
# c of 1x1 pixels and its header fit in this; with it a base layer never fails to fit.
MIN_BASE_BYTES = 64
# RFC 6330, 5.1.2: a source block has 56403 symbols at most.
MOST_SYMBOLS = 56403
# Repeated in a frame of layout spread beyond what is needed: RaptorQ fails for 1 in 100 sets of just as
# many symbols as there are sources, for 1 in 10 000 with one more (RFC 6330, 5.8).
SPARE_SYMBOLS = 1
# Bytes that a code block of layout spread keeps for the enhancement at the least.
LEAST_ENHANCEMENT_BYTES = 8
MODEL_NAME = r"[A-Za-z0-9._-]+"
WEIGHTS_SUFFIX = ".safetensors"
DIGEST_HEX = 8  # hexadecimal digits of the weights' SHA-256 that the text form carries


@dataclass(frozen=True)
class StreamFormat:
    """One picture size, one rate, one model: everything else follows.

    Args:
        width, height: picture size in pixels, 64 to 4096 each
        bpp: all bits of all code blocks of a picture per pixel, 0.1 to 1.0
        block_size: bytes of a code block, 32 to 1056
        base_bpp: bits per pixel for the base layer before its erasure code
        base_redundancy: repair blocks per source block of the base layer (RaptorQ), in version 1 of the wire
            format, which it asks for; 1 survives the loss of 30 % of the blocks in 99 % of the frames of a
            768x512 picture
        interleave: ``none``, right for models of profile coded, which permute their symbols
            themselves; ``bit`` (over all enhancement bits of a frame), right for those of
            profile binary; or ``block`` (over the enhancement blocks of ``depth`` frames)
        depth: frames that ``block`` interleaves over, 1 to 64, a power of two
        seed: of the permutation
        model: name of the weights, ``name`` or ``name@digest``
        survive: of version 2: share of a frame's blocks that may be lost before the base layer goes, 0 to
            0.8: in 1 of 100 frames it goes when each block is lost with this probability; 0.5 where neither
            it nor ``base_redundancy`` is said
        layout: of version 2: ``spread``, every block carries a share of the base layer, for models of profile
            coded; ``apart``, the base layer has blocks of its own, for those of profiles binary and paper;
            empty: apart with interleave ``bit``, else spread
        key: of version 2: of packets that are signed, eight hexadecimal digits that name the key
            (``ds2c2.stream.packetcheck.key_id``); empty: they are not

    Raises ``FormatError`` for values out of range and for a rate too low for the base layer.
    """

    width: int
    height: int
    bpp: float = 0.26
    block_size: int = 100
    base_bpp: float = 0.026
    base_redundancy: float | None = None
    interleave: str = "none"
    depth: int = 1
    seed: int = 1
    model: str = "coded"
    survive: float | None = None
    layout: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        for name in ("width", "height", "block_size", "depth", "seed"):
            self._convert(name, operator.index, "a whole number")
        if self.survive is None and self.base_redundancy is None:
            object.__setattr__(self, "survive", DEFAULT_SURVIVE)
        if self.survive is not None and self.base_redundancy is not None:
            raise FormatError("survive and base_redundancy are of two versions of the wire format; give one of them")
        protection = "base_redundancy" if self.survive is None else "survive"
        for name in ("bpp", "base_bpp", protection):
            # What the text form shows is what counts.
            self._convert(name, lambda value: float(f"{value:.6g}"), "a number")
        self._check("width", self.width, MIN_SIDE, MAX_SIDE, "pixels")
        self._check("height", self.height, MIN_SIDE, MAX_SIDE, "pixels")
        self._check("bpp", self.bpp, MIN_BPP, MAX_BPP, "bits per pixel")
        self._check("block_size", self.block_size, MIN_BLOCK, MAX_BLOCK, "bytes")
        self._check("base_bpp", self.base_bpp, MIN_BASE_BPP, MAX_BASE_BPP, "bits per pixel")
        self._check("depth", self.depth, 1, MAX_DEPTH, "frames")
        self._check("seed", self.seed, 0, 2**32 - 1, "")
        if self.interleave not in INTERLEAVES:
            raise FormatError(f"interleave {self.interleave!r} is unknown; choose one of {', '.join(INTERLEAVES)}")
        self._check_layout()
        if self.depth & (self.depth - 1):
            # Groups must stand alike for who joins after the 16-bit frame numbers wrapped.
            nearest = 1 << self.depth.bit_length() - 1
            raise FormatError(
                f"depth {self.depth} does not divide 65536, where frame numbers wrap; use {nearest}, a power of two"
            )
        if self.depth > 1 and self.interleave != "block":
            raise FormatError(f"depth {self.depth} needs interleave=block; it is {self.interleave}")
        # A file's name would be looked up in the folder where a receiver happens to run.
        if not re.fullmatch(f"{MODEL_NAME}(@[0-9a-f]{{8}})?", self.model) or self.model_name.endswith(WEIGHTS_SUFFIX):
            raise FormatError(
                f"model {self.model!r}: a name of letters, digits and ._-, without {WEIGHTS_SUFFIX}, is wanted, since "
                "both ends must know it; for weights elsewhere, set $DS2C2_MODELS to their folder"
            )
        if not re.fullmatch(r"([0-9a-f]{8})?", self.key):
            raise FormatError(f"key {self.key!r}: eight hexadecimal digits are wanted, as `ds2c2 key` prints them")
        self._check_room()

    def _check_layout(self) -> None:
        if self.version == 1:
            self._check("base_redundancy", self.base_redundancy, 0.0, 20.0, "repair blocks per source block")
            if self.layout not in ("", "apart") or self.key:
                name = "signed packets" if self.key else f"layout {self.layout}"
                raise FormatError(
                    f"{name} are not in version 1 of the wire format; say what is to survive, such as 0.5"
                )
        else:
            self._check("survive", self.survive, 0.0, MAX_SURVIVE, "of the blocks")
        if not self.layout:
            apart = self.version == 1 or self.interleave == "bit"
            object.__setattr__(self, "layout", "apart" if apart else "spread")
        if self.layout not in LAYOUTS:
            raise FormatError(f"layout {self.layout!r} is unknown; choose one of {', '.join(LAYOUTS)}")
        if self.layout == "spread" and self.interleave == "bit":
            raise FormatError(
                "interleave=bit tears blocks that carry shares of the base layer; use interleave=none, or layout=apart"
            )

    def _check_room(self) -> None:
        size = f"bpp {self.bpp:g} is too low for the base layer: {self.width}x{self.height} gives {self.blocks} "
        size += f"blocks of {self.block_size} bytes"
        if self.layout == "apart":
            if self.enhancement_blocks < 1:
                raise FormatError(
                    f"{size}, the base layer takes {self.base_blocks} and the enhancement at least 1; {self._remedy()}"
                )
        elif self.blocks < 1 or self._largest_share > self.block_size - LEAST_ENHANCEMENT_BYTES:
            share = f", of which {self._largest_share} bytes each are the base layer's" if self.blocks else ""
            raise FormatError(
                f"{size}{share}; {LEAST_ENHANCEMENT_BYTES} bytes at least are the enhancement's; {self._remedy()}"
            )

    def _convert(self, name: str, convert: Callable, wanted: str) -> None:
        value = getattr(self, name)
        try:
            object.__setattr__(self, name, convert(value))
        except (TypeError, ValueError):
            raise FormatError(f"{name} {value!r}: {wanted} is wanted") from None

    @staticmethod
    def _check(name: str, value: float, low: float, high: float, unit: str) -> None:
        if not low <= value <= high:
            raise FormatError(f"{name} {value} is out of range: {low} to {high} {unit}".rstrip())

    def _remedy(self) -> str:
        """Changes that each help alone, the smallest of round ones beyond which all help."""
        wanted = {"bpp": [v / 100 for v in range(10, 101)], "base_bpp": [v / 1000 for v in range(25, 0, -1)]}
        if self.version == 1:
            wanted["base_redundancy"] = [v / 10 for v in range(int(10 * self.base_redundancy), -1, -1)]
        else:
            wanted["survive"] = [v / 100 for v in range(int(100 * self.survive), -1, -1)]
        wanted["block_size"] = range(self.block_size - 1, MIN_BLOCK - 1, -1)
        remedies = changes_that_fit({name: getattr(self, name) for name in wanted}, wanted, self._fits)
        # Half the rate at most goes to the sources, so this always fits.
        rest = "base_redundancy 0" if self.version == 1 else "survive 0"
        return "use " + (", or ".join(remedies) or f"bpp {MAX_BPP:g}, {rest} and block_size {MIN_BLOCK} together")

    def _fits(self, **change: float) -> bool:
        fields_ = {field.name: getattr(self, field.name) for field in fields(self)} | change
        other = object.__new__(type(self))
        for name, value in fields_.items():
            object.__setattr__(other, name, value)
        if other.layout == "apart":
            return other.enhancement_blocks >= 1
        return other.blocks >= 1 and other._largest_share <= other.block_size - LEAST_ENHANCEMENT_BYTES

    @property
    def header_bytes(self) -> int:
        """Bytes of a packet beside its code block."""
        return (PACKET_V1_BYTES if self.version == 1 else PACKET_BYTES) + (SESSION_BYTES if self.key else 0)

    @property
    def packet_bytes(self) -> int:
        """Bytes of a packet."""
        return self.header_bytes + self.block_size

    @property
    def version(self) -> int:
        """Of the wire format: 2 where it is said what is to ``survive``, else 1."""
        return 1 if self.survive is None else 2

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @cached_property
    def blocks(self) -> int:
        """N, code blocks a picture: as many whole blocks as the rate allows."""
        return math.floor(exact(self.bpp) * self.pixels / (8 * self.block_size))

    @cached_property
    def symbol_bytes(self) -> int:
        """T, bytes of a RaptorQ symbol of the base layer. Apart: what a block has beside a CRC. Spread: 8, or the
        least multiple of 8 with which one source block is enough."""
        if self.layout == "apart":
            return (self.block_size - CRC_BYTES) // SYMBOL_ALIGNMENT * SYMBOL_ALIGNMENT
        return SYMBOL_ALIGNMENT * math.ceil(self._wanted_base / (SYMBOL_ALIGNMENT * MOST_SYMBOLS))

    @property
    def _wanted_base(self) -> Fraction:
        return max(exact(self.base_bpp) * self.pixels / 8, Fraction(MIN_BASE_BYTES))

    @cached_property
    def base_sources(self) -> int:
        """K, source symbols of the base layer."""
        return math.ceil(self._wanted_base / self.symbol_bytes)

    @cached_property
    def base_blocks(self) -> int:
        """N_b: blocks that carry the base layer and nothing else; 0 of layout spread."""
        if self.layout == "spread":
            return 0
        if self.version == 1:
            return self.base_sources + math.ceil(exact(self.base_redundancy) * self.base_sources)
        return needed(self.base_sources, exact(self.survive), self.blocks)

    @cached_property
    def enough_blocks(self) -> int:
        """Of layout spread: so many blocks of a frame give the base layer back, on average over which."""
        return arriving(self.blocks, exact(self.survive))

    @cached_property
    def share_symbols(self) -> np.ndarray:
        """``int64[N + 1]``: block i carries symbols i to i + 1 of this list; none of layout apart."""
        if self.layout == "apart":
            return np.zeros(self.blocks + 1, np.int64)
        return np.arange(self.blocks + 1, dtype=np.int64) * self._frame_symbols // self.blocks

    @cached_property
    def _frame_symbols(self) -> int:
        """M, symbols of the base layer in a frame of layout spread."""
        if self.enough_blocks == self.blocks:
            return self.base_sources
        return -(-(self.base_sources + SPARE_SYMBOLS) * self.blocks // self.enough_blocks)

    @property
    def _largest_share(self) -> int:
        """Bytes of the base layer in the block that has most of it."""
        return -(-self._frame_symbols // self.blocks) * self.symbol_bytes

    @cached_property
    def share_bytes(self) -> np.ndarray:
        """``int64[N]``: bytes of the base layer in each block of layout spread."""
        return np.diff(self.share_symbols) * self.symbol_bytes

    @property
    def enhancement_blocks(self) -> int:
        """N_e: blocks that carry enhancement layer; of layout spread all."""
        return self.blocks - self.base_blocks

    @property
    def base_bytes(self) -> int:
        """Bytes of the base layer, before its erasure code."""
        return self.base_sources * self.symbol_bytes

    @property
    def base_capacity(self) -> int:
        """Of them, bytes of the container: layout spread ends with a CRC of its own."""
        return self.base_bytes - (CRC_BYTES if self.layout == "spread" else 0)

    @property
    def enhancement_bits(self) -> int:
        """Bits of a picture's enhancement layer, its blocks' headers included."""
        return 8 * (self.enhancement_blocks * self.block_size - int(self.share_bytes.sum()))

    @property
    def base_share(self) -> float:
        """Share of all bytes of code blocks that the base layer and its erasure code take."""
        taken = self.base_blocks * self.block_size + int(self.share_bytes.sum())
        return taken / (self.blocks * self.block_size)

    @cached_property
    def survivable(self) -> float:
        """The loss, in whole per cent, that the base layer survives in 99 of 100 frames when each block is
        lost by itself with that probability, 0 to 1."""
        blocks, wanted = (self.base_blocks, self.base_sources)
        if self.layout == "spread":
            blocks, wanted = self.blocks, self.enough_blocks
        # The approximation is for many blocks; of few, all may be lost.
        lost = [
            share
            for share in range(100)
            if arriving(blocks, Fraction(share, 100)) >= wanted and (share / 100) ** blocks <= OUTAGE
        ]
        return lost[-1] / 100 if lost else 0.0

    @property
    def sent_bpp(self) -> float:
        """Bits per pixel that the N blocks really take: at most ``bpp``."""
        return self.blocks * self.block_size * 8 / self.pixels

    @property
    def text(self) -> str:
        """The text form, equal for equal formats; ``parse`` reads it."""
        if self.version == 1:
            base = f"redundancy={self.base_redundancy:g}"
        else:
            base = f"survive={self.survive:g} layout={self.layout}"
        return (
            f"{TEXT_PREFIX}/{self.version} {self.width}x{self.height} bpp={self.bpp:g} block={self.block_size} "
            f"base={self.base_bpp:g} {base} interleave={self.interleave} depth={self.depth} "
            f"seed={self.seed} model={self.model}{f' key={self.key}' if self.key else ''}"
        )

    @cached_property
    def digest(self) -> int:
        """16 bits that every packet carries: the first two bytes of the text form's SHA-256."""
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:2], "big")

    @classmethod
    def parse(cls, text: str) -> "StreamFormat":
        """Read the text form. Raises ``FormatError``."""
        words = text.split()
        keys = {"block": "block_size", "base": "base_bpp", "redundancy": "base_redundancy"}
        types = {field.name: field.type for field in fields(cls)} | {"base_redundancy": float, "survive": float}
        try:
            version = VERSIONS[[f"{TEXT_PREFIX}/{version}" for version in VERSIONS].index(words[0])]
            width, height = words[1].split("x")
            values: dict = {"width": whole(width), "height": whole(height)}
            for word in words[2:]:
                key, value = word.split("=")
                name = keys.get(key, key)
                if name in values:
                    raise ValueError
                values[name] = READERS[types[name]](value)
            only = {1: {"survive", "layout", "key"}, 2: {"base_redundancy"}}[version]
            if only & values.keys():
                raise ValueError
            if version == 1:
                values.setdefault("base_redundancy", VERSION_1_REDUNDANCY)
            return cls(**values)
        except (ValueError, KeyError, IndexError, TypeError):
            raise FormatError(f"stream format {text!r} is not understood; `ds2c2 info` prints one") from None

    def pinned(self, weights_sha256: str) -> "StreamFormat":
        """The same format, with its model bound to these weights."""
        return replace(self, model=f"{self.model_name}@{weights_sha256[:DIGEST_HEX]}")

    def unprotected(self) -> "StreamFormat":
        """The same picture, rate and model with the base layer in blocks of its own and no repair: what the
        paper's rules send, whose base layer always arrives."""
        return replace(self, base_redundancy=0.0, survive=None, layout="", key="")

    def agrees(self, other: "StreamFormat") -> bool:
        """Equal, as far as both say: a model without a digest may be any weights of its name."""
        if not (self.model_digest and other.model_digest):
            return replace(self, model=self.model_name) == replace(other, model=other.model_name)
        return self == other

    @property
    def model_name(self) -> str:
        return self.model.partition("@")[0]

    @property
    def model_digest(self) -> str:
        """First hexadecimal digits of the weights' SHA-256, empty when not pinned."""
        return self.model.partition("@")[2]
