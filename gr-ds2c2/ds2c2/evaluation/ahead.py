# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a benchmark will take, before any unit is finished: its first ones take minutes."""

import time

import numpy as np

from ds2c2.evaluation.outcomes import OURS, BenchmarkSettings, quality
from ds2c2.pictures.pictures import read_picture


def own_seconds(settings: BenchmarkSettings, left: list[tuple], device: str) -> float:
    """Seconds that one process needs for what is ``left`` of our codec, tasks as ``benchmark.tasks`` gives them, by
    encoding and decoding one picture now; 0 where nothing is. Raises ``UserError``."""
    from ds2c2.codec.codec import Codec
    from ds2c2.ends.trial import Trial

    sources = {source.name: source for source in settings.pictures}
    own = [(sources[picture], rates, rules) for picture, rules, codec, rates in left if codec == OURS]
    if not own:
        return 0.0
    source, rates, rules = own[0]
    codec = Codec(settings.stream(source, rates[0], rules), device)
    # A worker has one thread: what counts is what all of them did here.
    clock = time.monotonic if codec.device.type != "cpu" else time.process_time
    original = read_picture(source.path)
    began = clock()
    blocks = codec.encode(original, effort=settings.effort).blocks
    encoded = clock()
    trial = Trial(codec, blocks)
    quality(original, trial.shown(trial.receive(np.zeros(len(blocks), bool))))
    each = encoded - began + (clock() - encoded) * len(list(settings.draws()))
    pixels = sum(one.width * one.height * len(rates) for one, rates, _ in own)
    return each * pixels / (source.width * source.height)
