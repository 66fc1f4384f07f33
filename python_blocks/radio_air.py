# SPDX-License-Identifier: GPL-3.0-or-later
"""Radio Air: what happens to samples between two antennas, simulated."""

import math
from collections.abc import Sequence
from dataclasses import replace

from gnuradio import analog, blocks, channels, filter, gr

from ds2c2.links.air import AirError, AirSettings

from ._carrier_offset import carrier_offset
from ._failures import say
from ._lasting import Lasting

# Gaussian values that the noise is drawn from; more of them give more different large ones.
NOISE_VALUES = 1 << 18
# Settings that may change while samples pass.
CHANGEABLE = ("snr", "cfo", "signal_power", "doppler", "k")
SINUSOIDS = 8  # of a fading path; 8 is what GNU Radio recommends


class radio_air(Lasting, gr.hier_block2):
    """Fading, echoes, clock and carrier offset, then noise; the same samples for the same seed.

    The samples that come out do not depend on scheduling. It ends with its input; a clock offset
    keeps back the last samples, a dozen or so.

    Input:
        complex samples

    Output:
        complex samples

    Args:
        snr: signal-to-noise ratio in dB over the whole sample rate; inf for no noise
        signal_power: mean power of the samples that come in, which the SNR refers to
        cfo: carrier frequency offset in cycles/sample
        clock: sample clock of the receiver over that of the sender, minus 1
        taps: a filter that does not change, as it is: its energy is a gain
        fading: none, rayleigh or rician
        doppler: maximum Doppler shift in cycles/sample
        k: Rician factor, power of the direct path over that of the scattered ones
        delays: samples at which fading echoes come; empty for flat fading
        magnitudes: of these echoes; scaled so that their powers add up to 1
        seed: of noise and fading
    """

    def __init__(
        self,
        snr: float = math.inf,
        signal_power: float = 1.0,
        cfo: float = 0.0,
        clock: float = 0.0,
        taps: Sequence[complex] = (1,),
        fading: str = "none",
        doppler: float = 1e-5,
        k: float = 4.0,
        delays: Sequence[float] = (),
        magnitudes: Sequence[float] = (),
        seed: int = 1,
    ):
        self.settings = AirSettings(
            fading=fading, doppler=doppler, k=k, delays=tuple(delays), magnitudes=tuple(magnitudes),
            taps=tuple(taps), clock=clock, cfo=cfo, snr=snr, signal_power=signal_power, seed=seed,
        )  # fmt: skip
        samples = gr.io_signature(1, 1, gr.sizeof_gr_complex)
        gr.hier_block2.__init__(self, "radio_air", samples, samples)
        fading_seed, noise_seed = self.settings.seeds()
        parts = []
        self._fader = None
        scattered = (SINUSOIDS, doppler, fading == "rician", k, fading_seed)
        if delays:
            echoes = (list(delays), list(self.settings.echo_magnitudes), self.settings.echo_taps)
            self._fader = channels.selective_fading_model(*scattered, *echoes)
        elif fading != "none":
            self._fader = channels.fading_model(*scattered)
        if self._fader is not None:
            parts.append(self._fader)
        if self.settings.taps != (1,):
            parts.append(filter.fir_filter_ccc(1, self.settings.taps))
        if clock:
            parts.append(filter.mmse_resampler_cc(0, 1 + clock))
        self._carrier = carrier_offset(cfo)
        self._noise = analog.fastnoise_source_c(
            analog.GR_GAUSSIAN, self.settings.noise_amplitude, noise_seed, NOISE_VALUES
        )
        add = blocks.add_cc()
        self.connect(self, *parts, self._carrier, add, self)
        self.connect(self._noise, (add, 1))

    def set_snr(self, snr: float) -> None:
        """Change the SNR in dB while running; like all of these, one that cannot be is refused with a line."""
        self._change(snr=snr)

    def set_cfo(self, cfo: float) -> None:
        """Change the carrier offset in cycles/sample while running."""
        self._change(cfo=cfo)

    def set_signal_power(self, signal_power: float) -> None:
        """Change the mean power that the SNR refers to while running."""
        self._change(signal_power=signal_power)

    def set_doppler(self, doppler: float) -> None:
        """Change the maximum Doppler shift in cycles/sample while running."""
        self._change(doppler=doppler)

    def set_k(self, k: float) -> None:
        """Change the Rician factor while running."""
        self._change(k=k)

    def _change(self, **wanted: float) -> None:
        try:
            self.set_air(replace(self.settings, **wanted))
        except AirError as error:
            say(self.name(), str(error))

    def set_air(self, air: AirSettings) -> None:
        """Change what can change while running, several at once. Raises ``AirError``."""
        fixed = [name for name, value in vars(self.settings).items() if value != getattr(air, name)]
        fixed = [name for name in fixed if name not in CHANGEABLE]
        if fixed:
            raise AirError(f"air: {', '.join(fixed)} cannot change while running; {', '.join(CHANGEABLE)} can")
        self.settings = air
        self._noise.set_amplitude(air.noise_amplitude)
        self._carrier.set_cfo(air.cfo)
        if self._fader is not None:
            self._fader.set_fDTs(air.doppler)
            if air.fading == "rician":
                self._fader.set_K(air.k)
