# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark computes: one unit is one picture, one rate, one set of rules, one codec.

A unit becomes one line of JSON. Ours holds a figure for every draw of the channel; a rival's holds
its designs, for each the quality of what may arrive and how many blocks that takes: a draw's
outcome is then a comparison of counts.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ds2c2.channels.channel import DEFAULT_BURST, BlockChannel
from ds2c2.evaluation.erasurecode import DESIGN_LOSSES, design_k, design_name
from ds2c2.evaluation.rivals.rivalcodec import Sent
from ds2c2.pictures.metrics import ms_ssim, psnr
from ds2c2.pictures.pictures import read_picture
from ds2c2.stream.geometry import MID_GREY
from ds2c2.stream.streamformat import StreamFormat

OURS = "ds2c2"
# A rival has no base layer: the same figures stand under both rules.
BOTH = "both"
CHANNELS = ("iid", "gilbert-elliott")
# Pictures that come through unchanged have no finite PSNR; JSON and means need one.
PSNR_CAP = 100.0  # dB
UNPROTECTED = "none"
# A rival's own packets, each of use alone, without an erasure code.
PACKETS = "packets"


@dataclass(frozen=True)
class Source:
    """A picture: its name in the results, its file, the SHA-256 of its pixels, its size."""

    name: str
    path: str
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class BenchmarkSettings:
    """All that decides a benchmark's figures. Rates in bits per pixel, losses as shares 0 to 1,
    ``block_size`` in bytes, ``burst`` in blocks, ``redundancy`` that of the base layer under air rules (None with
    ``survive``, which asks for version 2 of the wire format and ``layout``), ``paper_base_bpp`` its rate under
    paper rules, where it needs none (None: ``base_bpp``); ``weights`` is the SHA-256 of the weights file;
    ``perception`` is a file of ``ds2c2 trunks`` for the distances of ``DISTANCES``, empty for none, and ``trunks``
    its SHA-256; ``effort`` is the codec's, steps of refinement a picture."""

    name: str
    pictures: tuple[Source, ...]
    model: str
    weights: str
    interleave: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    channels: tuple[str, ...]
    seeds: int
    rules: tuple[str, ...]
    block_size: int
    base_bpp: float
    redundancy: float | None
    rivals: tuple[str, ...]
    burst: float = DEFAULT_BURST
    missing: dict[str, str] = field(default_factory=dict)
    paper_base_bpp: float | None = None
    survive: float | None = None
    layout: str = ""
    perception: str = ""
    trunks: str = ""
    effort: int = 0

    def identity(self) -> dict:
        """What a folder is begun with, ready for JSON; where pictures and files lie is no part of it."""
        # A benchmark of version 1 is what it was before there was another.
        left_out = {"pictures", "perception", *(name for name in ("trunks", "effort") if not getattr(self, name))}
        left_out |= {"survive", "layout"} if self.survive is None else {"redundancy"}
        kept = {key: value for key, value in vars(self).items() if key not in left_out}
        kept["pictures"] = [
            {"name": p.name, "sha256": p.sha256, "width": p.width, "height": p.height} for p in self.pictures
        ]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}

    def stream(self, picture: Source, rate: float, rules: str) -> StreamFormat:
        """The stream format of a unit. Raises ``FormatError``."""
        return StreamFormat(
            picture.width,
            picture.height,
            bpp=rate,
            block_size=self.block_size,
            base_bpp=self.base_bpp if rules == "air" or self.paper_base_bpp is None else self.paper_base_bpp,
            base_redundancy=self.redundancy if rules == "air" else 0.0,
            survive=self.survive if rules == "air" else None,
            layout=self.layout if rules == "air" else "",
            interleave=self.interleave,
            model=self.model,
        )

    def blocks(self, picture: Source, rate: float) -> int:
        """N, the same for ours and for every rival. Raises ``FormatError``."""
        return self.stream(picture, rate, "paper").blocks

    def units(self) -> list[tuple[str, float, str, str]]:
        """Every unit: (picture, rate, rules, codec)."""
        codecs = [(rules, OURS) for rules in self.rules] + [(BOTH, rival) for rival in self.rivals]
        return [(p.name, rate, rules, codec) for p in self.pictures for rules, codec in codecs for rate in self.rates]

    def draws(self) -> Iterator[tuple[str, float, int]]:
        """Every (channel, loss, seed); without loss and without arrival all seeds are one."""
        for channel in self.channels:
            for loss in self.losses:
                for seed in range(1, (self.seeds if 0 < loss < 1 else 1) + 1):
                    yield channel, loss, seed


def channel_seed(picture: Source, seed: int) -> int:
    """The channel's seed of a picture's draw: each picture its own losses, whatever the rate, the
    codec and the loss rate."""
    return int.from_bytes(hashlib.sha256(f"{picture.sha256} {seed}".encode()).digest()[:8], "big")


def hits(settings: BenchmarkSettings, picture: Source, channel: str, loss: float, seed: int, blocks: int) -> np.ndarray:
    """Which of a picture's blocks are lost, ``bool[blocks]``. Raises ``ChannelError``."""
    seeded = channel_seed(picture, seed)
    return BlockChannel(loss=loss, model=channel, burst=settings.burst, seed=seeded).draw(blocks)


@dataclass(frozen=True)
class Reception:
    """What a picture became on one way through a channel: PSNR in dB, MS-SSIM, None for small pictures,
    and whether the base layer was lost."""

    psnr: float
    ms_ssim: float | None
    concealed: bool


def quality(original: np.ndarray, received: np.ndarray) -> tuple[float, float | None]:
    """PSNR in dB, at most ``PSNR_CAP``, and MS-SSIM, None for pictures too small for it; rounded
    to what is printed and more."""
    similar = ms_ssim(original, received)
    return round(min(psnr(original, received), PSNR_CAP), 4), None if math.isnan(similar) else round(similar, 6)


def _seen(settings: BenchmarkSettings, original: np.ndarray, received: list[np.ndarray], device: str) -> dict:
    """What a unit says of perceptual distances: nothing unless they were asked for. Raises ``UserError``."""
    if not settings.perception:
        return {}
    from ds2c2.evaluation.perception import perceived

    return {"distances": [perceived(original, picture, settings.perception, device) for picture in received]}


def _head(unit: tuple, stream: StreamFormat) -> dict:
    return {
        "unit": list(unit),
        "blocks": stream.blocks,
        "bpp": stream.sent_bpp,
        "air_bpp": stream.sent_bpp + 8 * stream.header_bytes * stream.blocks / stream.pixels,
    }


def measure_ours(settings: BenchmarkSettings, picture: Source, rate: float, rules: str, device: str) -> dict:
    """Our codec: encoded once, received at every draw. Raises ``UserError``."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.trial import Trial

    original = read_picture(picture.path)
    codec = Codec(settings.stream(picture, rate, rules), device)
    stream = codec.stream
    encoded = codec.encode(original, effort=settings.effort)
    trial = Trial(codec, encoded.blocks)
    known: dict[bytes, Reception] = {}
    found, first = [], []
    for channel, loss, seed in settings.draws():
        lost = hits(settings, picture, channel, loss, seed, stream.blocks)
        if rules == "paper":
            lost[: stream.base_blocks] = False
        # At low loss and at the ends several draws are the same.
        if lost.tobytes() not in known:
            decoded = trial.receive(lost)
            known[lost.tobytes()] = Reception(*quality(original, trial.shown(decoded)), decoded.concealed)
        found.append(known[lost.tobytes()])
        if settings.perception and seed == 1:
            first.append(trial.shown(trial.receive(lost)))
    return {
        **_head((picture.name, rate, rules, OURS), stream),
        "base_blocks": stream.base_blocks,
        "base_psnr": quality(original, encoded.base_picture)[0],
        "psnr": [one.psnr for one in found],
        "ms_ssim": [one.ms_ssim for one in found],
        "nothing": [int(one.concealed) for one in found],
        **_seen(settings, original, first, device),
    }


def _sent(settings: BenchmarkSettings, picture: Source, original: np.ndarray, sent: Sent | None, blocks: int) -> dict:
    """A rival that stands losses by itself, at every draw as ours; where nothing came mid-grey is shown."""
    grey = np.full_like(original, MID_GREY)
    known: dict[bytes, tuple[float, float | None, int]] = {}
    found, first = [], []
    for channel, loss, seed in settings.draws():
        lost = hits(settings, picture, channel, loss, seed, blocks)
        if lost.tobytes() not in known or (settings.perception and seed == 1):
            received = sent.receive(lost) if sent else None
            shown = grey if received is None else received
            known[lost.tobytes()] = (*quality(original, shown), int(received is None))
            first += [shown] if settings.perception and seed == 1 else []
        found.append(known[lost.tobytes()])
    return {
        "design": PACKETS,
        "setting": sent.setting if sent else None,
        "bytes": sent.bytes if sent else None,
        "psnr": [value for value, _, _ in found],
        "ms_ssim": [similar for _, similar, _ in found],
        "nothing": [nothing for _, _, nothing in found],
        **_seen(settings, original, first, "cpu"),
    }


def _designs(blocks: int) -> dict[str, int]:
    """Name and k of every design for n = ``blocks``; unprotected is k = n."""
    return {UNPROTECTED: blocks} | {design_name(loss): design_k(blocks, loss) for loss in DESIGN_LOSSES}


def measure_rival(settings: BenchmarkSettings, picture: Source, codec: str, rates: list[float]) -> Iterator[dict]:
    """A rival at some of the rates; the search is always over all, so that a result does not depend
    on which were asked for."""
    from ds2c2.evaluation.layers import protect_layers, quality_curve
    from ds2c2.evaluation.rivals import rivals

    original = read_picture(picture.path)
    nothing = np.full_like(original, MID_GREY)
    grey = quality(original, nothing)
    size = settings.block_size
    send = None if codec == rivals.LAYERED else rivals.RIVALS[codec].send
    counts = {rate: settings.blocks(picture, rate) for rate in settings.rates}
    if codec == rivals.LAYERED:
        curve = quality_curve(original, size * max(counts.values()))
    elif not send:
        budgets = {k * size for blocks in counts.values() for k in _designs(blocks).values() if k}
        best = rivals.best_within(rivals.RIVALS[codec], original, budgets)
    for rate in rates:
        blocks = counts[rate]
        if codec == rivals.LAYERED:
            plan = protect_layers(original, blocks, size, curve, grey[0])
            variants = [
                {
                    "design": rivals.LAYERED,
                    "setting": " + ".join(map(str, plan.sizes)) + " bytes",
                    "bytes": plan.sizes[-1] if plan.sizes else None,
                    "needs": list(plan.needs),
                    "levels": [quality(original, received) for received in plan.pictures],
                    **_seen(settings, original, plan.pictures, "cpu"),
                }
            ]
        elif send:
            variants = [_sent(settings, picture, original, send(original, blocks, size), blocks)]
        else:
            variants = []
            for design, k in _designs(blocks).items():
                found = best[k * size] if k else None
                shown = [rivals.RIVALS[codec].decode(found.data)] if found else []
                variants.append(
                    {
                        "design": design,
                        "setting": found.setting if found else None,
                        "bytes": len(found.data) if found else None,
                        "needs": [k] if found else [],
                        "levels": [quality(original, received) for received in shown],
                        **_seen(settings, original, shown, "cpu"),
                    }
                )
        stream = settings.stream(picture, rate, "paper")
        head = _head((picture.name, rate, BOTH, codec), stream)
        yield {**head, "grey": grey, **_seen(settings, original, [nothing], "cpu"), "variants": variants}


def describe(path: Path, name: str) -> Source:
    """A picture file as the benchmark knows it. Raises ``PictureError``."""
    pixels = read_picture(path)
    return Source(name, str(path), hashlib.sha256(pixels.tobytes()).hexdigest(), pixels.shape[1], pixels.shape[0])
