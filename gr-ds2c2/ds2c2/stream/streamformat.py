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

from ds2c2.errors import FormatError
from ds2c2.pictures.pictures import MAX_SIDE, MIN_SIDE

TEXT_PREFIX = "ds2c2/1"
MIN_BPP, MAX_BPP = 0.1, 1.0  # bits per pixel
MIN_BASE_BPP, MAX_BASE_BPP = 0.001, 0.5
# Bytes. With 32 the largest picture at the highest rate has 65536 blocks, as many as a packet
# can number; 5G NR code blocks go up to 8448 bits = 1056 bytes.
MIN_BLOCK, MAX_BLOCK = 32, 1056
MAX_DEPTH = 64  # frames
INTERLEAVES = ("bit", "block", "none")

# RaptorQ symbols are multiples of 8 bytes (RFC 6330, 4.4.1: alignment Al); what a code block
# has beside its symbol holds the symbol's CRC-32.
SYMBOL_ALIGNMENT = 8
CRC_BYTES = 4
# c of 1x1 pixels and its header fit in this; with it a base layer never fails to fit.
MIN_BASE_BYTES = 64
DIGEST_HEX = 8  # hexadecimal digits of the weights' SHA-256 that the text form carries


def _exact(value: float) -> Fraction:
    """The decimal that the text form shows: both ends count blocks from it without rounding."""
    return Fraction(f"{value:.6g}")


def _whole_blocks(bpp: float, pixels: int, block_size: int) -> int:
    return math.floor(_exact(bpp) * pixels / (8 * block_size))


def _symbol_bytes(block_size: int) -> int:
    return (block_size - CRC_BYTES) // SYMBOL_ALIGNMENT * SYMBOL_ALIGNMENT


def _base_sources(base_bpp: float, pixels: int, block_size: int) -> int:
    return math.ceil(max(_exact(base_bpp) * pixels / 8, MIN_BASE_BYTES) / Fraction(_symbol_bytes(block_size)))


def _with_repair(sources: int, redundancy: float) -> int:
    return sources + math.ceil(_exact(redundancy) * sources)


@dataclass(frozen=True)
class StreamFormat:
    """One picture size, one rate, one model: everything else follows.

    Args:
        width, height: picture size in pixels, 64 to 4096 each
        bpp: all bits of all code blocks of a picture per pixel, 0.1 to 1.0
        block_size: bytes of a code block, 32 to 1056
        base_bpp: bits per pixel for the base layer before redundancy
        base_redundancy: repair blocks per source block of the base layer (RaptorQ); 1.0
            survives the loss of 30 % of the blocks in 99 % of the frames of a 768x512 picture
        interleave: ``none``, right for models of profile coded, which permute their symbols
            themselves; ``bit`` (over all enhancement bits of a frame), right for those of
            profile binary; or ``block`` (over the enhancement blocks of ``depth`` frames)
        depth: frames that ``block`` interleaves over, 1 to 64, a power of two
        seed: of the permutation
        model: name of the weights, ``name`` or ``name@digest``

    Raises ``FormatError`` for values out of range and for a rate too low for the base layer.
    """

    width: int
    height: int
    bpp: float = 0.26
    block_size: int = 100
    base_bpp: float = 0.026
    base_redundancy: float = 1.0
    interleave: str = "none"
    depth: int = 1
    seed: int = 1
    model: str = "coded"

    def __post_init__(self) -> None:
        for name in ("width", "height", "block_size", "depth", "seed"):
            self._convert(name, operator.index, "a whole number")
        for name in ("bpp", "base_bpp", "base_redundancy"):
            # What the text form shows is what counts.
            self._convert(name, lambda value: float(f"{value:.6g}"), "a number")
        self._check("width", self.width, MIN_SIDE, MAX_SIDE, "pixels")
        self._check("height", self.height, MIN_SIDE, MAX_SIDE, "pixels")
        self._check("bpp", self.bpp, MIN_BPP, MAX_BPP, "bits per pixel")
        self._check("block_size", self.block_size, MIN_BLOCK, MAX_BLOCK, "bytes")
        self._check("base_bpp", self.base_bpp, MIN_BASE_BPP, MAX_BASE_BPP, "bits per pixel")
        self._check("base_redundancy", self.base_redundancy, 0.0, 20.0, "repair blocks per source block")
        self._check("depth", self.depth, 1, MAX_DEPTH, "frames")
        self._check("seed", self.seed, 0, 2**32 - 1, "")
        if self.interleave not in INTERLEAVES:
            raise FormatError(f"interleave {self.interleave!r} is unknown; choose one of {', '.join(INTERLEAVES)}")
        if self.depth & (self.depth - 1):
            # Groups must stand alike for who joins after the 16-bit frame numbers wrapped.
            nearest = 1 << self.depth.bit_length() - 1
            raise FormatError(
                f"depth {self.depth} does not divide 65536, where frame numbers wrap; use {nearest}, a power of two"
            )
        if self.depth > 1 and self.interleave != "block":
            raise FormatError(f"depth {self.depth} needs interleave=block; it is {self.interleave}")
        if not re.fullmatch(r"[A-Za-z0-9._-]+(@[0-9a-f]{8})?", self.model):
            raise FormatError(
                f"model {self.model!r}: a name of letters, digits and ._- is wanted, since both ends must know it; "
                "for weights elsewhere, set $DS2C2_MODELS to their folder"
            )
        if self.enhancement_blocks < 1:
            raise FormatError(
                f"bpp {self.bpp:g} is too low for the base layer: {self.width}x{self.height} gives {self.blocks} "
                f"blocks of {self.block_size} bytes, the base layer takes {self.base_blocks} and the enhancement "
                f"at least 1; {self._remedy()}"
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
        """Changes that each help alone, rounded to the side on which they do."""
        remedies = []
        raised = math.ceil(Fraction(100 * (self.base_blocks + 1) * self.block_size * 8, self.pixels)) / 100
        if raised <= MAX_BPP:
            remedies.append(f"bpp {raised:g} or more")
        sources, blocks = self.base_sources, self.blocks
        if sources < blocks:
            redundancy = (10 * (blocks - 1 - sources) // sources) / 10
            remedies.append(f"base_redundancy {redundancy:g} or less")
        while sources and _with_repair(sources, self.base_redundancy) >= blocks:
            sources -= 1
        base_bpp = (1000 * 8 * sources * self.symbol_bytes // self.pixels) / 1000
        if sources * self.symbol_bytes >= MIN_BASE_BYTES and base_bpp >= MIN_BASE_BPP:
            remedies.append(f"base_bpp {base_bpp:g} or less")
        for size in range(self.block_size - 1, MIN_BLOCK - 1, -1):
            sources = _base_sources(self.base_bpp, self.pixels, size)
            if _with_repair(sources, self.base_redundancy) < _whole_blocks(self.bpp, self.pixels, size):
                remedies.append(f"block_size {size}")
                break
        # Half the rate at most goes to the sources, so this always fits.
        return "use " + (
            ", or ".join(remedies) or f"bpp {MAX_BPP:g}, base_redundancy 0 and block_size {MIN_BLOCK} together"
        )

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @cached_property
    def blocks(self) -> int:
        """N, code blocks a picture: as many whole blocks as the rate allows."""
        return _whole_blocks(self.bpp, self.pixels, self.block_size)

    @property
    def symbol_bytes(self) -> int:
        """Bytes of a base block that carry base layer: the rest is CRC and alignment."""
        return _symbol_bytes(self.block_size)

    @cached_property
    def base_sources(self) -> int:
        """K, source blocks of the base layer."""
        return _base_sources(self.base_bpp, self.pixels, self.block_size)

    @cached_property
    def base_blocks(self) -> int:
        """N_b: source and repair blocks of the base layer."""
        return _with_repair(self.base_sources, self.base_redundancy)

    @property
    def enhancement_blocks(self) -> int:
        """N_e."""
        return self.blocks - self.base_blocks

    @property
    def base_bytes(self) -> int:
        """Capacity of the base layer, before redundancy."""
        return self.base_sources * self.symbol_bytes

    @property
    def enhancement_bits(self) -> int:
        """Binary symbols of a picture's enhancement layer."""
        return self.enhancement_blocks * self.block_size * 8

    @property
    def sent_bpp(self) -> float:
        """Bits per pixel that the N blocks really take: at most ``bpp``."""
        return self.blocks * self.block_size * 8 / self.pixels

    @property
    def text(self) -> str:
        """The text form, equal for equal formats; ``parse`` reads it."""
        return (
            f"{TEXT_PREFIX} {self.width}x{self.height} bpp={self.bpp:g} block={self.block_size} base={self.base_bpp:g} "
            f"redundancy={self.base_redundancy:g} interleave={self.interleave} depth={self.depth} "
            f"seed={self.seed} model={self.model}"
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
        types = {field.name: field.type for field in fields(cls)}
        try:
            if words[0] != TEXT_PREFIX:
                raise ValueError
            width, height = words[1].split("x")
            values: dict = {"width": int(width), "height": int(height)}
            for word in words[2:]:
                key, value = word.split("=")
                name = keys.get(key, key)
                if name in values:
                    raise ValueError
                values[name] = types[name](value)
            return cls(**values)
        except (ValueError, KeyError, IndexError, TypeError):
            raise FormatError(f"stream format {text!r} is not understood; `ds2c2 info` prints one") from None

    def pinned(self, weights_sha256: str) -> "StreamFormat":
        """The same format, with its model bound to these weights."""
        return replace(self, model=f"{self.model_name}@{weights_sha256[:DIGEST_HEX]}")

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
