# SPDX-License-Identifier: GPL-3.0-or-later
"""Radio Air: the power, turn and rate that are asked for, the same samples for the same seed."""

import numpy as np
import pytest
from flowgraph import run
from gnuradio import blocks, ds2c2, gr

from ds2c2.links.air import AirError, AirSettings

SAMPLES = 100_000
ALL = {
    "snr": 10, "cfo": 0.013, "clock": 1e-3, "taps": (1, 0, 0.5, 0.3j), "fading": "rayleigh", "doppler": 1e-4,
    "delays": (0, 1.5, 3.2), "magnitudes": (1, 0.5, 0.3), "seed": 3,
}  # fmt: skip


def through(samples, limit=None, **settings) -> np.ndarray:
    """Samples that come out of the air; ``limit`` is the scheduler's largest cut."""
    source, sink = blocks.vector_source_c(samples.tolist()), blocks.vector_sink_c()
    graph = gr.top_block()
    air = ds2c2.radio_air(**settings)
    graph.connect(source, air, sink)
    if limit:
        graph.set_max_noutput_items(limit)
    run(graph)
    return np.array(sink.data(), np.complex64)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    return (rng.normal(size=SAMPLES) + 1j * rng.normal(size=SAMPLES)).astype(np.complex64)


def test_the_ideal_air_changes_nothing(samples):
    np.testing.assert_array_equal(through(samples), samples)


def test_noise_has_the_power_that_the_snr_says(samples):
    noise = through(samples, snr=13, signal_power=2.0) - samples
    assert 10 * np.log10(2.0 / np.mean(np.abs(noise) ** 2)) == pytest.approx(13, abs=0.1)
    # White, and of equal power in both parts.
    assert abs(np.mean(noise[1:] * noise[:-1].conj())) < 0.02 * np.mean(np.abs(noise) ** 2)
    assert np.var(noise.real) == pytest.approx(np.var(noise.imag), rel=0.05)


def test_the_carrier_turns(samples):
    turned = through(samples, cfo=-0.0371) / samples
    np.testing.assert_allclose(turned, np.exp(-2j * np.pi * 0.0371 * np.arange(SAMPLES)), atol=1e-3)


def test_taps_are_a_filter(samples):
    taps = (1, 0, 0.5, 0.3j)
    np.testing.assert_allclose(through(samples, taps=taps), np.convolve(samples, taps)[:SAMPLES], atol=1e-5)


def test_the_clock_offset_changes_the_number_of_samples(samples):
    assert len(through(samples, clock=1e-2)) == pytest.approx(SAMPLES / 1.01, abs=32)
    assert len(through(samples, clock=-1e-2)) == pytest.approx(SAMPLES / 0.99, abs=32)


@pytest.mark.parametrize(("fading", "deep"), [("rayleigh", 0.095), ("rician", 0.0)])
def test_fading_has_mean_power_1_and_its_own_depth(fading, deep):
    """Rayleigh: the power is exponential, 9.5 % of the time below a tenth of its mean; a direct path
    twenty times stronger than the scattered ones is never that low."""
    gain = through(np.ones(400_000, np.complex64), fading=fading, doppler=1e-3, k=20)
    assert np.mean(np.abs(gain) ** 2) == pytest.approx(1, abs=0.15)
    assert np.mean(np.abs(gain) ** 2 < 0.1) == pytest.approx(deep, abs=0.04)


def test_selective_fading_keeps_the_power():
    rng = np.random.default_rng(2)
    sent = (rng.normal(size=400_000) + 1j * rng.normal(size=400_000)).astype(np.complex64) / np.sqrt(2)
    out = through(sent, fading="rayleigh", doppler=1e-3, delays=(0, 2.5, 6), magnitudes=(1, 1, 1))
    assert np.mean(np.abs(out) ** 2) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("limit", [64, 517, 3001])
def test_scheduling_does_not_change_a_sample(samples, limit):
    """Everything at once, the stream cut in other places: bit for bit the same."""
    np.testing.assert_array_equal(through(samples, limit, **ALL), through(samples, **ALL))


def test_the_seed_draws_noise_and_fading(samples):
    ones = np.ones(1000, np.complex64)
    for settings in ({"snr": 10}, {"fading": "rayleigh"}):
        first, again, other = (through(ones, seed=seed, **settings) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).mean() > 0.05


class changer(gr.sync_block):
    """Keeps samples and asks the air for changes when the first ones come."""

    def __init__(self, air):
        gr.sync_block.__init__(self, "changer", [np.complex64], None)
        self.air, self.kept = air, []

    def work(self, input_items, output_items):
        if not self.kept:
            self.air.set_cfo(0.2)
            self.air.set_snr(60)
        self.kept.append(input_items[0].copy())
        return len(input_items[0])


def test_noise_and_carrier_change_while_running(capfd):
    """The phase goes on where it was: every step is the old offset or the new one."""
    air = ds2c2.radio_air(cfo=0.1)
    graph, sink = gr.top_block(), changer(air)
    graph.connect(blocks.vector_source_c([1] * SAMPLES), air, sink)
    graph.set_max_noutput_items(512)
    run(graph)
    out = np.concatenate(sink.kept)
    steps = np.angle(out[1:] / out[:-1]) / (2 * np.pi)
    assert steps[0] == pytest.approx(0.1, abs=1e-4) and steps[-1] == pytest.approx(0.2, abs=1e-2)
    assert np.all(np.minimum(abs(steps - 0.1), abs(steps - 0.2)) < 1e-2)
    assert np.mean(np.abs(np.abs(out[-1000:]) - 1)) > 1e-5
    # From a slider: an exception would end its window.
    air.set_cfo(0.7)
    assert "radio_air: cfo 0.7 is out of range" in capfd.readouterr().err and air.settings.cfo == 0.2


def test_power_and_fading_change_while_running():
    """What cannot change is named."""
    air = ds2c2.radio_air(snr=20, fading="rician", doppler=1e-5, k=4)
    air.set_signal_power(4.0)
    air.set_doppler(2e-3)
    air.set_k(9.0)
    assert (air.settings.signal_power, air.settings.doppler, air.settings.k) == (4.0, 2e-3, 9.0)
    assert air._noise.amplitude() == pytest.approx(0.2 / np.sqrt(2))  # of each of I and Q
    assert air._fader.fDTs() == pytest.approx(2e-3) and air._fader.K() == pytest.approx(9)
    with pytest.raises(AirError, match="air: taps, seed cannot change while running; snr, cfo"):
        air.set_air(AirSettings(fading="rician", taps=(1, 0.1), seed=2))


def test_what_no_air_has_is_refused():
    with pytest.raises(AirError, match="snr"):
        ds2c2.radio_air(snr=-1000)
