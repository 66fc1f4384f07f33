# SPDX-License-Identifier: GPL-3.0-or-later
"""Preambles in noise: found where they are, whatever pieces the samples come in."""

import numpy as np
import pytest

from ds2c2.links.burstfinder import OFDM_PREAMBLE, BurstFinder
from ds2c2.links.ofdm import FFT_SIZE, PREFIX, ModemError, OfdmFormat, sync_words

SPACING = 1500  # samples between bursts


def stream_of(bursts, snr=30.0, cfo=0.0, seed=1):
    """Preamble and noise-like payload every ``SPACING`` samples, from 300 on."""
    rng = np.random.default_rng(seed)

    def gaussian(*shape):
        return rng.standard_normal((*shape, 2)).view(complex)[..., 0] / np.sqrt(2)

    symbols = [np.fft.ifft(np.fft.ifftshift(word)) * FFT_SIZE / np.sqrt(52) for word in sync_words()]
    preamble = np.concatenate([np.concatenate([symbol[-PREFIX:], symbol]) for symbol in symbols])
    samples = np.zeros((bursts, SPACING), complex)
    samples[:, 300:460] = preamble
    samples[:, 460:1200] = gaussian(bursts, 740)
    samples = samples.reshape(-1)
    samples *= np.exp(2j * np.pi * cfo * np.arange(len(samples)))
    return (samples + 10 ** (-snr / 20) * gaussian(len(samples))).astype(np.complex64)


def found_in(samples, sizes, threshold=0.7):
    finder, place, outs, bursts = BurstFinder(threshold=threshold), 0, [], []
    for size in sizes:
        out, begun = finder.push(samples[place : place + size])
        outs.append(out)
        bursts += begun
        place += size
    return np.concatenate(outs), bursts


@pytest.mark.parametrize("snr", [12, 20, 60])
def test_bursts_are_found_and_measured(snr):
    samples = stream_of(60, snr, cfo=0.0031)
    _, bursts = found_in(samples, [len(samples)])
    places = np.array([burst.start for burst in bursts]) - 300
    # In the first half of the prefix, so that echoes have room behind it; hardly ever late.
    assert len({place // SPACING for place in places + 100}) == 60
    offsets = places - SPACING * np.round(places / SPACING)
    assert -11 < np.median(offsets) < -5
    assert np.median([burst.cfo for burst in bursts]) == pytest.approx(0.0031, abs=1e-4)
    assert np.median([burst.snr_db for burst in bursts]) == pytest.approx(snr, abs=0.6)


def test_pieces_do_not_matter():
    """Bit for bit the same samples and bursts."""
    samples = stream_of(20, 10, cfo=-0.002)
    whole = found_in(samples, [len(samples)])
    rng = np.random.default_rng(3)
    for most in (8, 100, 3000):
        sizes = []
        while sum(sizes) < len(samples):
            sizes.append(int(rng.integers(1, most)))
        out, bursts = found_in(samples, sizes)
        assert bursts == whole[1]
        assert out.tobytes() == whole[0].tobytes()


def test_what_goes_out_is_what_came_later_without_its_offset():
    samples = stream_of(3, 80, cfo=0.004)
    out, bursts = found_in(samples, [1000] * 4 + [500])
    first = bursts[0].position
    delay = OFDM_PREAMBLE.delay
    # Before the first burst nothing is known of the offset.
    np.testing.assert_array_equal(out[delay:first], samples[: first - delay])
    piece = samples[first - delay : first - delay + 800] * np.exp(-2j * np.pi * 0.004 * np.arange(800))
    assert np.max(np.abs(out[first : first + 800] - piece)) < 0.01


def test_a_carrier_is_no_burst():
    """It looks like a preamble without end; one burst behind it is found again."""
    samples = stream_of(2, 40)
    samples[:1200] = np.exp(0.1j * np.arange(1200) + 0.1j)
    _, bursts = found_in(samples, [700, len(samples) - 700])
    assert [burst.start // SPACING for burst in bursts] == [1]
    assert 1200 > OFDM_PREAMBLE.longest


def test_silence_and_noise_are_no_bursts():
    for samples in (np.zeros(5000, np.complex64), stream_of(0), stream_of(4, -60)):
        assert found_in(samples, [len(samples)])[1] == []


@pytest.mark.parametrize("threshold", [0, 1, -1, float("nan")])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ModemError, match="threshold"):
        BurstFinder(threshold=threshold)


def test_air_time():
    """100 bytes and a check sum in QPSK on 48 carriers: 9 symbols, 3 before them, 80 samples each."""
    assert OfdmFormat(100).burst_samples == 12 * 80
    assert OfdmFormat(100, "bpsk").payload_symbols == 18
    assert OfdmFormat(100, "8psk").payload_carriers == 278
    assert OfdmFormat(100, "16qam", "cc").payload_bytes == 210
    assert OfdmFormat(1064, "bpsk", "cc").payload_symbols == 357
    with pytest.raises(ModemError, match="too long"):
        OfdmFormat(4092)
