# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the simulated air: their text form, and what no air has."""

import math

import pytest

from ds2c2.links.air import AirError, AirSettings, as_air

ODD = AirSettings(
    fading="rician", doppler=2e-4, k=0.5, delays=(0, 1.5), magnitudes=(3, 4), taps=(1, 0, 0.5, -0.3j), clock=-1e-5,
    cfo=0.01, snr=12.5, signal_power=151.0, seed=77,
)  # fmt: skip


@pytest.mark.parametrize("air", [AirSettings(), AirSettings(snr=20), ODD])
def test_the_text_form_gives_the_settings_back(air):
    assert AirSettings.parse(air.text) == air
    assert as_air(air.text) == as_air(air) == air


def test_the_ideal_air_has_no_words():
    assert AirSettings().text == ""
    assert AirSettings.parse("snr=20   cfo=0.001") == AirSettings(snr=20, cfo=0.001)


def test_noise_and_echoes_have_the_power_that_is_asked_for():
    assert AirSettings().noise_amplitude == 0
    assert AirSettings(snr=20, signal_power=50).noise_amplitude == pytest.approx(math.sqrt(0.5))
    assert ODD.echo_magnitudes == pytest.approx((0.6, 0.8))
    assert ODD.echo_taps == 2 + 8


def test_neighbouring_seeds_are_far_apart():
    seeds = {AirSettings(seed=seed).seeds() for seed in range(20)}
    assert len(seeds) == 20
    assert all(abs(a[0] - b[0]) > 100 for a in seeds for b in seeds if a != b)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("snr", "'snr' is not understood"),
        ("snr=20 snr=21", "'snr=21' is not understood"),
        ("wind=3", "'wind=3' is not understood"),
        ("snr=loud", "'loud' is no value of snr"),
        ("cfo=nan", "'nan' is no value of cfo"),
        ("cfo=0.7", "cfo 0.7 is out of range: -0.5 to 0.5"),
        ("clock=1", "clock 1 is out of range"),
        ("seed=1.5", "'1.5' is no value of seed"),
        ("fading=rayleight", "fading 'rayleight' is unknown"),
        ("delays=0,1 magnitudes=1,1", "choose fading"),
        ("fading=rayleigh delays=0,1 magnitudes=1", "2 delays and 1 magnitudes"),
        ("fading=rayleigh delays=0,100 magnitudes=1,1", "0 to 56 samples"),
        ("fading=rayleigh delays=0,1 magnitudes=0,0", "not all of them 0"),
        ("taps=", "0 taps"),
        ("taps=inf", "1 taps: 1 to 64 finite"),
    ],
)
def test_what_no_air_has_is_named(text, named):
    with pytest.raises(AirError) as refused:
        AirSettings.parse(text)
    assert named in str(refused.value)
