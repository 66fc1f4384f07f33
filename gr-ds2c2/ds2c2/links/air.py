# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated air: noise, offsets, echoes and fading as one value with a text form."""

import math
from dataclasses import dataclass, fields

import numpy as np

from ds2c2.errors import ExitCode, UserError

FADINGS = ("none", "rayleigh", "rician")
MAX_CLOCK = 0.01  # relative; crystals are off by 1e-4 at most
MAX_DOPPLER = 0.1  # cycles/sample
MAX_TAPS = 64
# Echoes of the selective channel are interpolated by a filter this much longer than the last one.
INTERPOLATION_TAPS = 8


class AirError(UserError):
    """Parameters that no air has."""

    exit_code = ExitCode.RADIO


def _real(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError
    return value


def _list(convert):
    return lambda text: tuple(convert(word) for word in text.split(",") if word)


@dataclass(frozen=True)
class AirSettings:
    """What happens to complex samples between two antennas, in the order it happens.

    Args:
        fading: ``none``, ``rayleigh`` or ``rician`` (mean power gain 1)
        doppler: maximum Doppler shift in cycles/sample (times the sample rate: Hz)
        k: Rician factor, power of the direct path over that of the scattered ones
        delays: samples at which echoes come, for fading that is frequency-selective; each fades
            by itself. Empty: flat fading
        magnitudes: of these echoes; scaled so that their powers add up to 1
        taps: a filter that does not change (complex), as it is: its energy is a gain
        clock: sample clock of the receiver over that of the sender, minus 1
        cfo: carrier frequency offset in cycles/sample
        snr: signal-to-noise ratio in dB over the whole sample rate; inf for no noise
        signal_power: mean power of the samples that come in, which the SNR refers to
        seed: of noise and fading

    Raises ``AirError``.
    """

    fading: str = "none"
    doppler: float = 1e-5
    k: float = 4.0
    delays: tuple[float, ...] = ()
    magnitudes: tuple[float, ...] = ()
    taps: tuple[complex, ...] = (1,)
    clock: float = 0.0
    cfo: float = 0.0
    snr: float = math.inf
    signal_power: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("delays", "magnitudes", "taps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.fading not in FADINGS:
            raise AirError(f"fading {self.fading!r} is unknown; choose one of {', '.join(FADINGS)}")
        for name, low, high, unit in (
            ("doppler", 0, MAX_DOPPLER, "cycles/sample"),
            ("k", 0, 1e6, "power over power"),
            ("clock", -MAX_CLOCK, MAX_CLOCK, "relative"),
            ("cfo", -0.5, 0.5, "cycles/sample"),
            ("snr", -100, math.inf, "dB"),
            ("signal_power", 1e-12, 1e12, "mean of the squared samples"),
            ("seed", 0, 2**32 - 1, "a whole number"),
        ):
            if not low <= getattr(self, name) <= high:
                raise AirError(f"{name} {getattr(self, name):g} is out of range: {low:g} to {high:g}, {unit}")
        if self.fading == "none" and self.delays:
            raise AirError("delays are of echoes that fade; choose fading rayleigh or rician, or give taps")
        if len(self.delays) != len(self.magnitudes):
            raise AirError(f"{len(self.delays)} delays and {len(self.magnitudes)} magnitudes; one each is wanted")
        if not all(0 <= delay <= MAX_TAPS - INTERPOLATION_TAPS for delay in self.delays):
            raise AirError(f"delays {self.delays}: 0 to {MAX_TAPS - INTERPOLATION_TAPS} samples are wanted")
        if self.delays and not (min(self.magnitudes) >= 0 < sum(self.magnitudes)):
            raise AirError(f"magnitudes {self.magnitudes}: none below 0 and not all of them 0 are wanted")
        if not 1 <= len(self.taps) <= MAX_TAPS or not np.all(np.isfinite(self.taps)):
            raise AirError(f"{len(self.taps)} taps: 1 to {MAX_TAPS} finite numbers are wanted")

    @property
    def noise_amplitude(self) -> float:
        """Square root of the noise's mean power."""
        return 0.0 if math.isinf(self.snr) else math.sqrt(self.signal_power / 10 ** (self.snr / 10))

    @property
    def echo_magnitudes(self) -> tuple[float, ...]:
        """The magnitudes, scaled so that their powers add up to 1."""
        scale = math.sqrt(sum(magnitude**2 for magnitude in self.magnitudes)) or 1.0
        return tuple(magnitude / scale for magnitude in self.magnitudes)

    @property
    def echo_taps(self) -> int:
        """Length of the filter that places the echoes."""
        return math.ceil(max(self.delays, default=0)) + INTERPOLATION_TAPS

    def seeds(self) -> tuple[int, int]:
        """Seeds of fading and noise, far from those of neighbouring ``seed``: GNU Radio's faders
        begin alike with seeds 0 and 1."""
        fading, noise = np.random.SeedSequence(self.seed).generate_state(2) >> 1
        return int(fading), int(noise)

    @property
    def text(self) -> str:
        """What differs from an ideal air, ``snr=20 cfo=0.001 seed=3``; empty for the ideal air."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                items = value if isinstance(value, tuple) else (value,)
                words.append(f"{field.name}=" + ",".join(_shown(item) for item in items))
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> "AirSettings":
        """The settings of a text form, ``snr=20 cfo=0.001 taps=1,0,0.5,0.3j``. Raises ``AirError``."""
        values = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if name not in _READERS or not equals or name in values:
                raise AirError(f"air {text!r}: {word!r} is not understood; write NAME=VALUE of {', '.join(_READERS)}")
            try:
                values[name] = _READERS[name](value)
            except ValueError:
                raise AirError(f"air {text!r}: {value!r} is no value of {name}") from None
        return cls(**values)


def _shown(value) -> str:
    return str(value).strip("()").replace(" ", "")


_READERS = {
    "fading": str,
    "doppler": _real,
    "k": _real,
    "delays": _list(_real),
    "magnitudes": _list(_real),
    "taps": _list(complex),
    "clock": _real,
    "cfo": _real,
    "snr": _real,
    "signal_power": _real,
    "seed": int,
}


def as_air(air: AirSettings | str) -> AirSettings:
    """Settings or their text form. Raises ``AirError``."""
    return air if isinstance(air, AirSettings) else AirSettings.parse(air)
