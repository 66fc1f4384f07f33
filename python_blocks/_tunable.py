# SPDX-License-Identifier: GPL-3.0-or-later
"""What Radio Sink and Radio Source can change while a flowgraph runs: gain, frequency, sample rate."""

from dataclasses import replace

from ds2c2.errors import UserError
from ds2c2.links.radiobackends import BACKENDS

from ._backend import open_backend
from ._failures import say


class Tunable:
    """Among the bases of a block with ``settings`` and the back end's block in ``device``.

    A setter is called from another thread, by a slider: what cannot be set is one line, and stays as it was.
    """

    def set_gain(self, gain: float) -> None:
        """Change the gain while running, dB."""
        self._change(gain=gain)

    def set_frequency(self, frequency: float) -> None:
        """Change the centre frequency while running, Hz."""
        self._change(frequency=frequency)

    def set_rate(self, rate: float) -> None:
        """Change the sample rate while running, samples/s."""
        self._change(rate=rate)

    def _change(self, **wanted: float) -> None:
        ((setting, value),) = wanted.items()
        before = self.settings
        if value == getattr(before, setting):
            return
        try:
            after = replace(before, **wanted)
            # To back ends that no setting reaches, a change is nothing to do.
            change = getattr(open_backend(BACKENDS[before.backend]), "change", None)
            if change is not None:
                change(self.name(), self.device, before, after)
        except UserError as error:
            say(self.name(), f"{error}; {setting} stays {getattr(before, setting):.12g}")
            return
        self.settings = after
        self._changed(before, after)

    def _changed(self, before, after) -> None:
        """What else depends on the settings."""
