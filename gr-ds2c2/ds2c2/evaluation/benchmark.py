# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's run: units over all cores, every finished one kept, so that a killed run goes on."""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ds2c2.channels.channel import BlockChannel
from ds2c2.errors import ExitCode, UserError
from ds2c2.evaluation.ahead import own_seconds
from ds2c2.evaluation.outcomes import BOTH, CHANNELS, OURS, BenchmarkSettings, measure_ours, measure_rival
from ds2c2.evaluation.progress import ProgressFile
from ds2c2.evaluation.rivals.rivals import RIVALS
from ds2c2.evaluation.workers import spread
from ds2c2.evaluation.workers import start_worker as _start_worker
from ds2c2.pictures.pictures import check_size

KIND = "ds2c2-benchmark/1"


class BenchmarkError(UserError):
    """Settings that do not fit together, a folder begun with others, a worker that died."""

    exit_code = ExitCode.MEASUREMENT


def check(settings: BenchmarkSettings, device: str = "cpu") -> None:
    """Find what would fail after hours: rates, channels, weights. Raises ``UserError``."""
    for name, values in (("rates", settings.rates), ("losses", settings.losses), ("rules", settings.rules)):
        if not values:
            raise BenchmarkError(f"{name}: none given; give one or more, separated by commas")
    if settings.seeds < 1:
        raise BenchmarkError(f"seeds {settings.seeds}: 1 or more are wanted")
    for channel in settings.channels:
        if channel not in CHANNELS:
            raise BenchmarkError(f"channel {channel!r} is none of the benchmark's; choose from {', '.join(CHANNELS)}")
        for loss in settings.losses:
            BlockChannel(loss=loss, model=channel, burst=settings.burst)
    for rules in settings.rules:
        if rules not in ("paper", "air"):
            raise BenchmarkError(f"rules {rules!r} are unknown; choose from paper, air")
    for picture in settings.pictures:
        check_size(picture.height, picture.width, picture.path)
        for rate in settings.rates:
            for rules in settings.rules:
                settings.stream(picture, rate, rules)
    from ds2c2.codec.codec import Codec

    if settings.perception:
        from ds2c2.evaluation.perception import load_perception

        load_perception(settings.perception, device)

    # The most symbols are asked of the networks at the highest rate without redundancy.
    rules = "paper" if "paper" in settings.rules else "air"
    for picture in {(p.width, p.height): p for p in settings.pictures}.values():
        Codec(settings.stream(picture, max(settings.rates), rules), device).check_effort(settings.effort)


def _progress(folder: Path) -> ProgressFile:
    return ProgressFile(folder, KIND, "benchmark", BenchmarkError)


def _work(
    settings: BenchmarkSettings, picture: str, rules: str, codec: str, rates: list[float], device: str
) -> list[dict]:
    source = next(p for p in settings.pictures if p.name == picture)
    if codec == OURS:
        return [measure_ours(settings, source, rate, rules, device) for rate in rates]
    return list(measure_rival(settings, source, codec, rates))


def tasks(settings: BenchmarkSettings, done: set[tuple]) -> list[tuple[str, str, str, list[float]]]:
    """What is left, as workers take it: (picture, rules, codec, rates). A rival's rates go together
    because they share one search; ours are one by one, for they are long."""
    left: list[tuple[str, str, str, list[float]]] = []
    for picture, rate, rules, codec in settings.units():
        if (picture, rate, rules, codec) in done:
            continue
        if rules == BOTH and left and left[-1][:3] == (picture, rules, codec):
            left[-1][3].append(rate)
        else:
            left.append((picture, rules, codec, [rate]))
    return left


def rivals_of(folder: Path, settings: BenchmarkSettings) -> list[dict]:
    """Units of rivals that another benchmark has computed already. They do not depend on our codec, nor on losses
    and seeds but for those that stand losses by themselves. Raises ``BenchmarkError`` when pictures, rates or blocks
    differ."""
    progress = _progress(folder)
    begun, units, _ = progress.read()
    if begun is None:
        raise BenchmarkError(f"{folder}: no benchmark there whose rivals could be taken")
    identity = settings.identity()
    wanted = ["pictures", "rates", "block_size", *(["trunks"] if settings.trunks else [])]
    if any(RIVALS[name].send for name in settings.rivals if name in RIVALS):
        wanted += ["losses", "channels", "seeds", "burst"]
    progress.compare(begun, {key: identity[key] for key in wanted})
    return [unit for unit in units if unit["unit"][3] in settings.rivals]


def run(
    settings: BenchmarkSettings,
    folder: Path,
    jobs: int,
    device: str = "auto",
    known: list[dict] | None = None,
    started: Callable[[int, int], None] = lambda done, total: None,
    advance: Callable[[int], None] = lambda units: None,
    ahead: Callable[[float], None] | None = None,
) -> list[dict]:
    """Compute what is left of a benchmark; all units, in the settings' order.

    ``known`` are units from elsewhere, taken over. ``started`` is told how many units there are
    already and in all, ``advance`` how many more, ``ahead`` about how many seconds our codec will take.
    Raises ``UserError``.
    """
    with _progress(folder).opened(settings.identity()) as (finished, add):
        by_unit = {tuple(entry["unit"]): entry for entry in finished}
        for unit in known or []:
            if tuple(unit["unit"]) not in by_unit:
                add(unit)
                by_unit[tuple(unit["unit"])] = unit
        left = tasks(settings, set(by_unit))
        started(len(by_unit), len(settings.units()))
        if ahead and (seconds := own_seconds(settings, left, device)):
            ahead(seconds / min(jobs, len(left)))
        with contextlib.closing(_spread(settings, left, min(jobs, len(left)), device)) as results:
            for entries in results:
                for entry in entries:
                    add(entry)
                    # As read back: a list for a tuple, so that a resumed run has the same in hand.
                    by_unit[tuple(entry["unit"])] = json.loads(json.dumps(entry))
                advance(len(entries))
    return [by_unit[unit] for unit in settings.units()]


def _spread(settings: BenchmarkSettings, left: list[tuple], jobs: int, device: str) -> Iterator[list[dict]]:
    """Results of the tasks as they finish, computed by ``jobs`` processes."""
    if not left:
        return
    try:
        yield from spread(_work, [(settings, *task, device) for task in left], jobs, _start_worker)
    except BrokenProcessPool:
        raise BenchmarkError(
            "a worker died (killed, or out of memory); what is finished is kept: "
            "run the same command again, with fewer --jobs if memory was short"
        ) from None
