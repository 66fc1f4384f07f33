# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an emulated channel tell the truth about a link? The same pictures through both.

The link is its loss trace, replayed from many places; the emulations are the models fitted to it
(``ds2c2.traces.lossmodels``). Two more channels say what interleaving could do: the trace with its losses
shuffled within one frame, which is what interleaving a frame's packets would make of them, and
shuffled over several. Everything is hit, the base layer too; nothing that arrives is wrong.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from ds2c2.evaluation.compare.advice import Variant, advice_words, further, gains, measured, variants
from ds2c2.evaluation.compare.figures import FIGURES, ChannelFigures
from ds2c2.evaluation.compare.words import judge, said
from ds2c2.evaluation.compare.worlds import Known, redrawn
from ds2c2.evaluation.outcomes import Reception, Source, quality
from ds2c2.evaluation.workers import spread
from ds2c2.pictures.pictures import fit_picture, read_picture
from ds2c2.stream.geometry import MID_GREY
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.lossmodels import LABELS, LossStatistics, Model, best, describe_model
from ds2c2.traces.losstrace import TraceError

KIND = "ds2c2-compare/1"
REPLAYED, SHUFFLED, DEEP = "trace", "shuffled-in-frame", "shuffled-over-frames"
CHANNEL_LABELS = {
    REPLAYED: "the link: trace replayed",
    SHUFFLED: "trace shuffled within one frame",
    DEEP: "trace shuffled over several frames",
} | {name: f"emulated: {label}" for name, label in LABELS.items()}
DEEP_FRAMES = 8
# A difference of the mean that is worth a change of a codec was 0.5 dB to MPEG (Salomon, Data
# Compression, chapter 4); what lies within counts as none.
MARGIN = 0.5  # dB
CHUNK = 5  # pictures that a worker receives at a time
# Frames that the report shows: at these places among a channel's, from worst to best.
SHOWN = (0.5, 0.05)


@dataclass(frozen=True)
class ComparisonSettings:
    """What is sent: pictures with the stream format of each, ``fit`` to its size, how many draws of
    each channel a picture meets, the draws' seed, and which difference counts as none, dB."""

    pictures: tuple[Source, ...]
    streams: tuple[StreamFormat, ...]
    fit: str = "scale"
    draws: int = 40
    seed: int = 1
    margin: float = MARGIN

    @property
    def window(self) -> int:
        """Packets of the longest group of frames that is interleaved together."""
        return max(stream.blocks * stream.depth for stream in self.streams)


def check(settings: ComparisonSettings, lost: np.ndarray) -> None:
    """Raises ``TraceError`` for a trace that is shorter than one frame."""
    if len(lost) < settings.window:
        raise TraceError(
            f"the trace holds {len(lost)} packets whose fate on the link is known and one frame takes "
            f"{settings.window}; record a longer one, or compare with a smaller --size or --bpp"
        )


def draw_losses(
    settings: ComparisonSettings, lost: np.ndarray, models: list[Model]
) -> dict[str, list[list[np.ndarray]]]:
    """What every picture meets: channel to picture to draw to ``bool[packets]``.

    Replays begin at places spread evenly over the trace, each picture's between the others', and go
    on from its start at its end; the shuffled ones use the same places.
    """
    count = len(lost)
    frames = deep_frames(settings, lost)
    found: dict[str, list[list[np.ndarray]]] = {REPLAYED: []}
    found |= {model.name: [] for model in reversed(models)}
    found |= {SHUFFLED: []} | ({DEEP: []} if frames > 1 else {})
    for place, stream in enumerate(settings.streams):
        size = stream.blocks * stream.depth
        rng = np.random.default_rng([settings.seed, place])
        starts = replay_places(settings, count, place)
        replays = [lost[(start + np.arange(size)) % count] for start in starts]
        found[REPLAYED].append(replays)
        found[SHUFFLED].append([rng.permutation(replay) for replay in replays])
        if frames > 1:
            around = [(start + np.arange(frames * size) - size * int(rng.integers(frames))) % count for start in starts]
            found[DEEP].append([rng.permutation(lost[span])[:size] for span in around])
        for model in models:
            found[model.name].append([model.draw(size, rng) for _ in range(settings.draws)])
    return found


def replay_places(settings: ComparisonSettings, count: int, place: int) -> list[int]:
    """Where the replays of picture ``place`` begin in a trace of ``count`` packets."""
    shift = np.random.default_rng([settings.seed]).random()
    within = (place + shift) / len(settings.streams)
    return [int((draw + within) / settings.draws * count) for draw in range(settings.draws)]


def deep_frames(settings: ComparisonSettings, lost: np.ndarray) -> int:
    """Frames that the deeper shuffling spans: ``DEEP_FRAMES``, fewer where the trace is short."""
    return min(DEEP_FRAMES, len(lost) // settings.window)


@dataclass(frozen=True)
class _Way:
    """How a picture is sent, in a form that goes to a worker."""

    path: str
    text: str
    fit: str
    device: str


@lru_cache(maxsize=2)
def _codec(text: str, device: str):
    from ds2c2.codec.codec import Codec

    return Codec(StreamFormat.parse(text), device)


@lru_cache(maxsize=2)
def _original(way: _Way) -> np.ndarray:
    stream = StreamFormat.parse(way.text)
    return fit_picture(read_picture(way.path), stream.width, stream.height, way.fit)


@lru_cache(maxsize=2)
def _grey(way: _Way) -> tuple[float, float | None]:
    original = _original(way)
    return quality(original, np.full_like(original, MID_GREY))


def _encode(place: int, way: _Way) -> tuple[int, np.ndarray]:
    return place, _codec(way.text, way.device).encode(_original(way)).blocks


def _trial(blocks: np.ndarray, way: _Way):
    from ds2c2.ends.trial import Trial

    return Trial(_codec(way.text, way.device), blocks)


def _decode(
    key: tuple[int, int], blocks: np.ndarray, losses: list[np.ndarray], way: _Way
) -> tuple[tuple[int, int], list[Reception]]:
    found = []
    trial = _trial(blocks, way)
    for lost in losses:
        decoded = trial.receive(lost)
        figures = _grey(way) if decoded.concealed else quality(_original(way), decoded.picture)
        found.append(Reception(*figures, decoded.concealed))
    return key, found


class Sent:
    """The pictures, encoded once each, and what a receiver makes of them. Raises ``UserError``."""

    def __init__(self, settings: ComparisonSettings, jobs: int, device: str = "auto"):
        self.settings = settings
        self.jobs = jobs
        self.ways = [
            _Way(picture.path, stream.text, settings.fit, device)
            for picture, stream in zip(settings.pictures, settings.streams, strict=True)
        ]
        self.blocks: dict[int, np.ndarray] = {}

    def measure(
        self,
        losses: dict[str, list[list[np.ndarray]]],
        started: Callable[[int], None] = lambda total: None,
        advance: Callable[[int], None] = lambda draws: None,
    ) -> dict[str, list[list[Reception]]]:
        """What became of the pictures: channel to picture to draw. Equal losses of a picture are received
        once. ``started`` is told how many receptions there are, ``advance`` how many more are done."""
        distinct = [
            {lost.tobytes(): lost for drawn in losses.values() for lost in drawn[place]}
            for place in range(len(self.ways))
        ]
        started(sum(map(len, distinct)))
        self.blocks = dict(self._run(_encode, list(enumerate(self.ways))))
        tasks = [
            ((place, first), self.blocks[place], list(found.values())[first : first + CHUNK], self.ways[place])
            for place, found in enumerate(distinct)
            for first in range(0, len(found), CHUNK)
        ]
        known: dict[tuple[int, bytes], Reception] = {}
        keys = [list(found) for found in distinct]
        for (place, first), outcomes in self._run(_decode, tasks):
            known |= {(place, keys[place][first + n]): outcome for n, outcome in enumerate(outcomes)}
            advance(len(outcomes))
        return {
            channel: [[known[place, lost.tobytes()] for lost in draws] for place, draws in enumerate(drawn)]
            for channel, drawn in losses.items()
        }

    def examples(self, losses: dict, found: dict, channels: list[str]) -> list[tuple[str, np.ndarray]]:
        """Captioned frames ``uint8[H, W, 3]`` of the first picture: for each of ``SHOWN`` one a channel."""
        panels = []
        trial = _trial(self.blocks[0], self.ways[0])
        for share in SHOWN:
            for channel in channels:
                order = np.argsort([one.psnr for one in found[channel][0]], kind="stable")
                place = order[min(int(share * len(order)), len(order) - 1)]
                shown = found[channel][0][place]
                what = "base layer lost" if shown.concealed else f"{shown.psnr:.2f} dB"
                decoded = trial.receive(losses[channel][0][place])
                panels.append((f"{LABELS.get(channel, 'The link')}: {what}", trial.shown(decoded)))
        return panels

    def _run(self, work: Callable, tasks: list[tuple]) -> Iterator:
        if min(self.jobs, len(tasks)) <= 1:
            for task in tasks:
                yield work(*task)
            return
        try:
            yield from spread(work, tasks, min(self.jobs, len(tasks)))
        except BrokenProcessPool:
            raise TraceError("a worker died (killed, or out of memory); try fewer --jobs") from None


def compare(
    settings: ComparisonSettings,
    lost: np.ndarray,
    models: list[Model],
    shown: LossStatistics,
    jobs: int = 1,
    device: str = "auto",
    started: Callable[[int], None] = lambda total: None,
    advance: Callable[[int], None] = lambda draws: None,
) -> tuple[dict, list[tuple[str, np.ndarray]]]:
    """Send and judge: everything that the report shows, ready for JSON, and the frames it shows,
    captioned, ``uint8[H, W, 3]``.

    ``lost`` is the trace, ``bool[n]``, ``models`` and ``shown`` what ``fit`` and ``statistics`` of
    it gave. Raises ``TraceError`` for one that is too short, and ``UserError``.
    """
    check(settings, lost)
    losses = draw_losses(settings, lost, models)
    tried = list(variants(settings.streams, len(lost)))
    sent = Sent(settings, jobs, device)
    # As many again of each variant, at the most.
    more = sum(settings.draws * len(settings.streams) for _ in tried)
    expected = [0]

    def begun(total: int) -> None:
        expected[0] = total + more
        started(expected[0])

    found = sent.measure(losses, begun, advance)
    outcomes = figures_of(settings, found, len(lost), shown.block)

    places = [replay_places(settings, len(lost), place) for place in range(len(settings.streams))]
    windows = [stream.blocks * stream.depth for stream in settings.streams]
    known = Known(losses, found)
    again = {model.name: redrawn(model, len(lost), places, windows, known, settings.seed) for model in models}
    outcomes.allow_for(again, best(models).name, min(_grey(way)[0] for way in sent.ways))

    def measure(streams: tuple[StreamFormat, ...], replays: list[list[np.ndarray]]) -> list[list[Reception]]:
        received = Sent(replace(settings, streams=streams), jobs, device).measure({REPLAYED: replays})[REPLAYED]
        advance(sum(map(len, replays)))
        return received

    others = measured(tried, places, lost, measure)

    def mean_of(variant: Variant) -> float:
        if variant.name not in others:
            # More than were counted on.
            started(total := expected[0] + settings.draws * len(settings.streams))
            expected[0] = total
            others.update(measured([variant], places, lost, measure))
        return _mean(others[variant.name])

    tried += further(settings.streams, tried, len(lost), _mean(found[REPLAYED]), mean_of)
    channels = {
        name: {
            "label": CHANNEL_LABELS[name],
            "loss": round(float(np.mean([one.mean() for drawn in losses[name] for one in drawn])), 6),
            **{figure: outcomes.figure(name, figure) for figure in FIGURES},
            "draws": {
                "psnr": [[one.psnr for one in draws] for draws in found[name]],
                "concealed": [[int(one.concealed) for one in draws] for draws in found[name]],
            },
        }
        for name in found
    }
    result = {
        "kind": KIND,
        **judged(settings, outcomes, lost, models),
        "statistics": asdict(shown) | {"rate": shown.rate},
        "models": [describe_model(model, lost) for model in models],
        "channels": channels,
    }
    result["settings"]["pictures"] = [
        {"name": p.name, "sha256": p.sha256, "format": s.text, "blocks": s.blocks, "base_blocks": s.base_blocks}
        for p, s in zip(settings.pictures, settings.streams, strict=True)
    ]
    result["advice"] = _advice(settings, tried, found | others, len(lost), shown.block)
    result["words"] = [advice_words(result), *said(result, models)]
    shown_channels = list(dict.fromkeys([REPLAYED, best(models).name, "iid"]))
    return result, sent.examples(losses, found, shown_channels)


def _mean(received: list[list[Reception]]) -> float:
    """Mean PSNR in dB."""
    return float(np.mean([one.psnr for draws in received for one in draws]))


def _advice(settings: ComparisonSettings, tried: list[Variant], found: dict, packets: int, block: int) -> dict:
    """What every other setting gains over the present one, option to value to figure; what is set now; how many
    blocks a frame has with each block size."""
    kept = {name: found[name] for name in (REPLAYED, DEEP, *(one.name for one in tried)) if name in found}
    # Packets that neighbouring replays of the longest frames share.
    reach = max([settings.window, *(one.window for one in tried)]) - settings.window + block
    figures = figures_of(settings, kept, packets, reach, set(kept))
    named: dict[str, dict[str, str]] = {}
    for one in tried:
        named.setdefault(one.option, {})[f"{one.value:g}"] = one.name
    first = settings.streams[0]
    if DEEP in kept:
        named["depth"] = {str(first.depth * min(DEEP_FRAMES, packets // settings.window)): DEEP}
    blocks = {f"{first.block_size}": first.blocks}
    blocks |= {f"{one.value:g}": one.streams[0].blocks for one in tried if one.option == "block-size"}
    now = {"depth": str(first.depth), "block-size": str(first.block_size)}
    now |= {"survive": f"{first.survive:g}"} if first.survive is not None else {}
    gained = {option: gains(figures, channels, REPLAYED) for option, channels in named.items()}
    return {"now": now, "gains": gained, "blocks": blocks}


def figures_of(
    settings: ComparisonSettings,
    found: dict[str, list[list[Reception]]],
    packets: int,
    block: int,
    replays: Collection[str] = (REPLAYED, SHUFFLED, DEEP),
) -> ChannelFigures:
    """Figures of what pictures became, channel to picture to draw, of a trace of so many ``packets`` whose losses
    hang together over ``block`` of them; ``replays`` are the channels that are its stretches."""
    # Neighbouring replays share packets and fades: as many draws as that reaches belong together.
    together = math.ceil((settings.window + block) * settings.draws / packets)
    return ChannelFigures(found, set(replays), together, settings.window / packets, settings.seed)


def judged(
    settings: ComparisonSettings,
    outcomes: ChannelFigures,
    lost: np.ndarray,
    models: list[Model],
    figures: Sequence[str] = tuple(FIGURES),
) -> dict:
    """Differences between the link and its emulations, what interleaving would do, and the verdicts on both;
    of these ``figures``, which hold all that are judged."""
    differences = {
        model.name: {figure: outcomes.difference(REPLAYED, model.name, figure) for figure in figures}
        for model in models
    }
    interleaving: dict = {"frames": deep_frames(settings, lost)}
    pairs = {"in-frame": (SHUFFLED, REPLAYED), "over-frames": (DEEP, SHUFFLED), "ideal": ("iid", SHUFFLED)}
    for name, (one, other) in pairs.items():
        known = outcomes.has(one) and outcomes.has(other)
        interleaving[name] = {figure: outcomes.difference(one, other, figure) for figure in figures} if known else None
    result = {
        "settings": {
            "fit": settings.fit,
            "draws": settings.draws,
            "seed": settings.seed,
            "margin": settings.margin,
        },
        "frames": round(len(lost) / settings.window, 3),
        "replayed-share": round(settings.draws * sum(s.blocks * s.depth for s in settings.streams) / len(lost), 6),
        "bootstrap-block": outcomes.block,
        "best-model": best(models).name,
        "differences": differences,
        "interleaving": interleaving,
    }
    return result | {"verdicts": judge(result)}
