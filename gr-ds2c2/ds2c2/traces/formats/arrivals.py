# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of the packets that arrived, or of all with their fates, as a loss trace.

What lies between two numbers and did not arrive was lost. Counters may begin anew at 0 (wrap), packets
may overtake each other or come twice, and a sender may restart.
"""

import math
from itertools import pairwise

import numpy as np

from ds2c2.traces.formats.content import Reading, check_rows
from ds2c2.traces.packetfates import DUPLICATE, MISSED, OK, LossTrace, TraceError

# Packets may overtake each other by so many; a number further back is a restart, if others follow it.
REORDER = 256
# A counter that falls from near its top to near 0 wraps at the next of these.
WRAPS = tuple(1 << bits for bits in (8, 10, 12, 14, 15, 16, 24, 31, 32))
NEAR_TOP = 0.9
BEYOND = 1 << 53  # from there on a float does not hold every whole number
DECIMALS = 6  # of times in seconds
# Of the numbers are damaged at most, or a single one; with more, counters of several senders are mixed.
MOST_ALONE = 0.1
FEW_STEPS = 20  # fewer say nothing of a common step
FEW_LATE = 16  # packets in a row that may be late by more than ``REORDER``
MANY_TWICE = 0.05  # of those that came; with more a restart may have gone unseen


def trace_of(
    numbers: np.ndarray,
    reading: Reading,
    *,
    lost: np.ndarray | None = None,
    times: np.ndarray | None = None,
    snr_db: np.ndarray | None = None,
    wrap: int | None = None,
    about: dict[str, str] | None = None,
    where: str = "",
    from_first: bool = True,
) -> tuple[LossTrace, list[str]]:
    """A trace of packets ``int64[n]`` in the order of arrival, and what is to be said of it.

    ``lost``: ``bool[n]`` where the file has lost ones, too; ``times`` in seconds and ``snr_db`` ``float[n]``;
    ``wrap``: the counter's modulus where the format knows it; ``from_first``: the trace's
    times begin with 0, else they are as given. Raises ``TraceError``, which begins with ``where``.
    """
    numbers = np.asarray(numbers, np.int64)
    said: list[str] = []
    if not len(numbers):
        raise TraceError(f"{where}: no packet; a trace of at least one is wanted")
    columns = np.full((len(numbers), 3), np.nan)
    for place, values in ((0, times), (1, snr_db)):
        if values is not None:
            columns[:, place] = values
    fate = np.where(np.zeros(len(numbers), bool) if lost is None else lost, MISSED, OK)
    columns[fate == MISSED, 0] = np.nan  # when it was sent, perhaps: it never arrived
    wrap = reading.wrap if reading.wrap is not None else wrap
    if wrap is None:
        wrap, words = _guess_wrap(numbers)
        said += words
    if wrap:
        if numbers.max() >= wrap:
            raise TraceError(f"{where}: number {numbers.max()} does not go with --wrap {wrap}; it is below that")
    kept = _not_alone(numbers, wrap)
    if (~kept).sum() > max(MOST_ALONE * len(numbers), 1):
        raise TraceError(
            f"{where}: {int((~kept).sum())} of {len(numbers)} numbers are far from their neighbours: where several "
            "senders are in one file, --group-by names the column that tells them apart"
        )
    if not kept.all():
        said.append(f"{int((~kept).sum())} packets with numbers far from their neighbours left out")
    places = _unwrapped(numbers[kept], wrap) if wrap else numbers[kept]
    starts = _restarts(places, wrap)
    first = _first(places[: [*starts, len(places)][1]], reading.first, wrap, where)
    if wrap:
        # One that overtook the first stands before it, below 0 where the counter began anew in between.
        up = -min(first // wrap, 0) * wrap
        places, first = places + up, first + up
    columns, fate = columns[kept], fate[kept]
    step = reading.step or _common_step(places)
    if step > 1:
        said.append(f"numbers go up in steps of {step}{'' if reading.step else ' (guessed; --step 1 for packets)'}")
        # The first of those steps, at which packets have numbers, that is not below it.
        first = -((int(places[0]) % step - first) // step)
        places = places // step
    if places.max() >= BEYOND:
        raise TraceError(
            f"{where}: number {places.max()} of a packet; below 2^53 is wanted: say which column counts packets "
            "(--sequence) and by how much it goes up a packet (--step)"
        )
    runs = list(zip(starts.tolist(), [*starts[1:].tolist(), len(places)], strict=True))
    lows = [int(places[begin:stop].min()) for begin, stop in runs]
    lows[0] = min(first, lows[0])
    # Before any is made: a few bytes that name far numbers, again and again, must not cost gigabytes.
    tops = [int(places[begin:stop].max()) for begin, stop in runs]
    spans = sum(tops) - sum(lows) + len(runs)
    check_rows(f"{where}: numbers go from {min(lows)} to {max(tops)}", spans, len(numbers))
    pieces, resumes, end, unseen = [], [], 0, 0
    for (begin, stop), low in zip(runs, lows, strict=True):
        piece, filled = _filled(places[begin:stop], fate[begin:stop], columns[begin:stop], low)
        unseen += filled
        if begin:
            piece[:, 0] += end - piece[0, 0]
            resumes.append(end)
        end = int(piece[-1, 0]) + 1
        pieces.append(piece)
    rows = np.concatenate(pieces)
    said += _jump(rows, len(numbers)) + _twice(rows)
    if lost is not None and unseen:
        said.append(f"{unseen} numbers without a row counted as lost")
    if resumes:
        times = "once" if len(resumes) == 1 else f"{len(resumes)} times"
        said.append(f"the counter began anew {times}: the sender restarted; gaps of unknown length there")
    known = dict(about or {})
    if resumes:
        known["resumes"] = " ".join(map(str, resumes))
    sequence, status, time, snr, cfo = rows.T
    if from_first and not np.isnan(time).all():
        # Seconds since 1970 leave a float no more than that.
        time = np.round(time - np.nanmin(time), DECIMALS)
    none = np.zeros(len(rows), np.int64)
    return LossTrace(sequence, sequence, none, time, status, snr, cfo, none, none, known), said


def _jump(rows: np.ndarray, came: int) -> list[str]:
    """What to say of the longest gap in ``rows`` (number, status, ...) where the counter may have jumped."""
    arrived = np.unique(rows[rows[:, 1] != MISSED, 0])
    gaps = np.diff(arrived).astype(int) - 1
    longest = int(gaps.max(initial=0))
    if longest <= max(REORDER, came):
        return []
    before = int(arrived[gaps.argmax()])
    return [
        f"{longest} packets in a row after number {before} counted as lost; if the counter jumped there, cut the file"
    ]


def _twice(rows: np.ndarray) -> list[str]:
    """What to say of the packets in ``rows`` (number, status, ...) that came again."""
    copies = int((rows[:, 1] == DUPLICATE).sum())
    if not copies:
        return []
    many = copies > MANY_TWICE * (rows[:, 1] != MISSED).sum()
    return [f"{copies} packets came twice{'; if the sender began anew, cut the file there' if many else ''}"]


def _guess_wrap(numbers: np.ndarray) -> tuple[int, list[str]]:
    """The modulus of a counter that falls, or 0, and what to say of it."""
    if len(numbers) < 2:
        return 0, []
    falls = np.flatnonzero(np.diff(numbers) < -REORDER if numbers.max() >= 2 * REORDER else np.diff(numbers) < -64)
    top = int(numbers.max())
    wrap = next((one for one in WRAPS if one > top), 0)
    if not len(falls) or not wrap or top < NEAR_TOP * wrap:
        return 0, []
    if (numbers[falls] < wrap / 2).any() or (numbers[falls + 1] > wrap / 2).any():
        return 0, []
    return wrap, [f"counter wraps at {wrap} (guessed; --wrap says otherwise)"]


def _first(places: np.ndarray, first: int | None, wrap: int, where: str) -> int:
    """Where a run with these numbers begins; ``first`` is what the user says of it, as the counter shows it."""
    lowest = int(places.min())
    if first is None:
        return lowest
    if wrap:
        if first >= wrap:
            raise TraceError(f"{where}: --first-number {first} does not go with --wrap {wrap}; it is below that")
        back = (int(places[0]) - first) % wrap
        if back <= wrap // 2:
            return min(int(places[0]) - back, lowest)
    elif first <= lowest:
        return first
    raise TraceError(
        f"{where}: --first-number {first} is behind number {lowest % wrap if wrap else lowest}, which came: the number "
        "of the first packet that was sent is wanted"
    )


def _steps(numbers: np.ndarray, wrap: int, apart: int = 1) -> np.ndarray:
    """By how much a number is above the one so many places before it, the shorter way round."""
    steps = numbers[apart:] - numbers[:-apart]
    return (steps + wrap // 2) % wrap - wrap // 2 if wrap else steps


def _unwrapped(numbers: np.ndarray, wrap: int) -> np.ndarray:
    return numbers[0] + np.concatenate([[0], np.cumsum(_steps(numbers, wrap))])


def _not_alone(numbers: np.ndarray, wrap: int) -> np.ndarray:
    """``bool[n]``: False for a number far from both neighbours, which are near each other: it was damaged."""
    kept = np.ones(len(numbers), bool)
    if len(numbers) > 2:
        steps = np.abs(_steps(numbers, wrap)) > REORDER
        kept[1:-1] = ~(steps[:-1] & steps[1:] & (np.abs(_steps(numbers, wrap, 2)) <= REORDER))
    return kept


def _restarts(places: np.ndarray, wrap: int) -> np.ndarray:
    """Where the counter begins anew, 0 first. Late packets are taken for a restart only beyond ``REORDER`` and where
    those behind them go on from there, or where a short counter that never wraps falls back to its very start."""
    found = places.tolist()
    starts, low, high = [0], found[0], found[0]
    for place, number in enumerate(found):
        # What is older than the whole run cannot be late in it.
        late = number >= low and _goes_back(found[place : place + FEW_LATE + 1], high)
        if (number < high - REORDER and not late) or (not wrap and number == 0 and high > 32):
            starts.append(place)
            low = high = number
        low, high = min(low, number), max(high, number)
    return np.array(starts)


def _goes_back(fallen: list[int], high: int) -> bool:
    """Whether numbers that begin far below ``high`` jump back to it: the first of them were late."""
    least = max(REORDER, (high - fallen[0]) / 2)
    return len(fallen) == 1 or any(
        after - before > least and abs(after - high) <= REORDER for before, after in pairwise(fallen)
    )


def _common_step(places: np.ndarray) -> int:
    steps = np.diff(np.unique(places))
    return math.gcd(*steps.tolist()) if len(steps) >= FEW_STEPS else 1


def _filled(places: np.ndarray, fate: np.ndarray, columns: np.ndarray, first: int) -> tuple[np.ndarray, int]:
    """Rows (number, status, time, SNR, CFO) of one run in order, ``first`` on, with those that did not come, and how
    many of these there are."""
    order = np.lexsort((np.arange(len(places)), fate, places))
    places, fate, columns = places[order], fate[order], columns[order]
    repeats = np.concatenate([[False], np.diff(places) == 0])
    # A packet that is said to be lost twice is lost once.
    counted = ~(repeats & (fate == MISSED))
    places, fate, columns, repeats = places[counted], fate[counted], columns[counted], repeats[counted]
    missing = np.setdiff1d(np.arange(first, int(places[-1]) + 1), places)
    rows = np.full((len(places) + len(missing), 5), np.nan)
    rows[:, 0] = np.concatenate([places, missing])
    rows[:, 1] = np.concatenate([np.where(repeats, DUPLICATE, fate), np.full(len(missing), MISSED)])
    rows[: len(places), 2:] = columns
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))], len(missing)
