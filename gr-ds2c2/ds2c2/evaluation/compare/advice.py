# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do on a link: the same replayed losses with other protection, other frames, and deeper interleaving.

Each is tried by itself, beside the stream as it is: another share of the blocks that may be lost (``survive``), more
and smaller or fewer and larger blocks a frame at the same rate, each taken to be lost as a packet of the trace was,
and the trace's losses spread over several frames, as ideal interleaving would. Replays begin at the same places, so
that gains are those of the same stretches of the link.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ds2c2.errors import FormatError
from ds2c2.evaluation.compare.figures import JUDGED, ChannelFigures
from ds2c2.evaluation.compare.words import LOST_MARGIN, SHORT, span
from ds2c2.stream.streamformat import StreamFormat

SURVIVES = (0.3, 0.5, 0.7)
SCALES = (0.5, 2.0)  # of the block size
SMALLEST_BLOCK = 24  # bytes; less is header and little else
WORTH = 0.1  # dB of the mean: less is not worth another setting
OPTIONS = {"survive": "--survive", "depth": "--interleave block --depth", "block-size": "--block-size"}
GAINS = {"psnr": "on the mean", "worst-5": "in the worst 5 % of frames"}


@dataclass(frozen=True)
class Variant:
    """Another setting: of which option, its value, and the stream format of each picture with it."""

    option: str
    value: float
    streams: tuple[StreamFormat, ...]

    @property
    def name(self) -> str:
        return f"{self.option} {self.value:g}"

    @property
    def window(self) -> int:
        """Packets of the longest group of frames."""
        return max(stream.blocks * stream.depth for stream in self.streams)


def variants(streams: tuple[StreamFormat, ...], packets: int) -> Iterator[Variant]:
    """What can be tried beside the streams as they are, with a trace of so many packets."""
    first = streams[0]
    found = []
    if first.survive is not None:
        found += [("survive", value, {"survive": value}) for value in SURVIVES if value != first.survive]
    sizes = [int(first.block_size * scale) for scale in SCALES]
    found += [("block-size", size, {"block_size": size}) for size in sizes]
    for option, value, changes in found:
        if changed := _variant(option, value, changes, streams, packets):
            yield changed


def _variant(
    option: str, value: float, changes: dict, streams: tuple[StreamFormat, ...], packets: int
) -> Variant | None:
    """None where there is no such stream, its blocks are too small, or the trace is shorter than its frames."""
    try:
        changed = Variant(option, value, tuple(replace(stream, **changes) for stream in streams))
        whole = changed.window <= packets
    except FormatError:
        return None
    small = option == "block-size" and value < SMALLEST_BLOCK
    return changed if whole and not small else None


def further(
    streams: tuple[StreamFormat, ...],
    tried: list[Variant],
    packets: int,
    now: float,
    mean_of: Callable[[Variant], float],
) -> list[Variant]:
    """Blocks beyond half and double the size, halved and doubled for as long as each step gains ``WORTH`` on the mean
    PSNR. ``now`` is that of the streams as they are, ``mean_of`` receives the pictures and tells a variant's."""
    found = []
    for one in tried:
        if one.option != "block-size":
            continue
        scale = min(SCALES) if one.value < streams[0].block_size else max(SCALES)
        last, before, mean = one, now, mean_of(one)
        while mean - before >= WORTH:
            size = int(last.value * scale)
            last = _variant(one.option, size, {"block_size": size}, streams, packets)
            if last is None:
                break
            found.append(last)
            before, mean = mean, mean_of(last)
    return found


def gains(figures: ChannelFigures, names: dict[str, str], replayed: str) -> dict[str, dict]:
    """By how much each of the channels ``names`` (a name to its channel) is above the link as it is."""
    return {
        name: {figure: figures.difference(channel, replayed, figure) for figure in JUDGED}
        for name, channel in names.items()
    }


def measured(
    tried: list[Variant],
    starts: list[list[int]],
    lost: np.ndarray,
    measure: Callable[[tuple[StreamFormat, ...], list[list[np.ndarray]]], list],
) -> dict[str, list]:
    """What became of the pictures with each variant: its name to picture to draw. ``starts``: where replays begin,
    of each picture; ``measure`` receives the pictures in some stream formats with some losses."""
    found = {}
    for one in tried:
        losses = [
            [lost[(start + np.arange(stream.blocks * stream.depth)) % len(lost)] for start in places]
            for stream, places in zip(one.streams, starts, strict=True)
        ]
        found[one.name] = measure(one.streams, losses)
    return found


def better(gain: dict) -> str:
    """The figure that says that a setting is surely better and worth it, empty where none does, or where surely more
    frames lose their base layer: the mean, or the worst frames without a surely lower mean."""
    if gain["concealed"]["low"] > 0:
        return ""
    if gain["psnr"]["low"] > 0 and gain["psnr"]["value"] >= WORTH:
        return "psnr"
    worst = gain["worst-5"]
    low, _ = worst.get("together", (worst["low"], worst["high"]))
    if low > 0 and worst["value"] >= WORTH and gain["psnr"]["high"] > 0 and gain["psnr"]["value"] > -WORTH:
        return "worst-5"
    return ""


def _said(gain: dict, figure: str) -> str:
    lost = gain["concealed"]["value"]
    words = f", and {lost:.1%} more frames without base layer" if lost > LOST_MARGIN else ""
    return f"{span(gain[figure])} {GAINS[figure]}{words}"


def blocks_words(blocks: int) -> str:
    """``85 blocks``."""
    return f"{blocks} block{'s' * (blocks != 1)}"


def chosen(advice: dict, option: str) -> tuple[str, str]:
    """The best value of an option that is better than the present one, and the figure that says so; empty for none."""
    sure = {value: figure for value, gain in advice["gains"][option].items() if (figure := better(gain))}
    if not sure:
        return "", ""
    best = max(sure, key=lambda value: advice["gains"][option][value][sure[value]]["value"])
    return best, sure[best]


def advice_words(result: dict) -> str:
    """What to do on this link, in a sentence, with what each is worth."""
    advice = result["advice"]
    if SHORT in result["verdicts"].values():
        return "This trace is too short to say how to send on this link."
    do, keep = [], []
    for option, flag in OPTIONS.items():
        tried = advice["gains"].get(option)
        if not tried:
            continue
        value, figure = chosen(advice, option)
        now = f"{flag} {advice['now'][option]}" if option != "depth" or advice["now"]["depth"] != "1" else "--depth 1"
        if value:
            frames = f", {blocks_words(advice['blocks'][value])} a frame" if option == "block-size" else ""
            do.append(f"{flag} {value}{frames} ({_said(tried[value], figure)})")
            continue
        best = max(tried, key=lambda one: tried[one]["psnr"]["value"])
        frames = f", {blocks_words(advice['blocks'][advice['now'][option]])} a frame" if option == "block-size" else ""
        keep.append(f"{now}{frames} ({best} would give {_said(tried[best], 'psnr')})")
    sentence = []
    if do:
        sentence.append(f"send with {' and '.join(do)}")
    if keep:
        sentence.append(f"keep {', '.join(keep)}")
    if not sentence:
        return "Nothing else was tried for this stream."
    words = "; ".join(sentence)
    return f"On this link, {words}."
