# SPDX-License-Identifier: GPL-3.0-or-later
"""Radio Source: samples from wherever they come, one block for all back ends."""

from dataclasses import replace

import pmt
from gnuradio import gr

from ds2c2.links.air import AirError, AirSettings, as_air
from ds2c2.links.radiobackends import BACKENDS
from ds2c2.links.radiosettings import DEFAULT_RATE, LOCK_SECONDS, WAIT_SECONDS, ReceiveSettings

from ._backend import open_backend
from ._failures import say
from ._host_events import receive_events
from ._lasting import Lasting
from ._tunable import Tunable
from .radio_air import radio_air

ENDED_PORT = pmt.intern("ended")


class radio_source(Tunable, Lasting, gr.hier_block2):
    """Receives samples: from a Radio Sink of this process or another one, a recording, or the air.

    sim, zmq and file end when their samples do. A real radio never ends: connect the Depacketizer's
    port ``ended`` to the port of the same name here. A radio is opened, set, read back and locked
    before this constructor returns. Its gain, frequency and rate can change while it runs, and so can
    signal-to-noise ratio, carrier offset, signal power, Doppler shift and Rician factor of the simulated air.

    Input:
        none; message port ``ended``: finishes this source

    Output:
        complex samples

    Args:
        backend: sim (one process), zmq (samples from another process), file (SigMF recording), uhd
            (USRP) or soapy (whatever SoapySDR knows)
        address: sim: a name that both ends share; zmq: the sender's endpoint; file: the recording;
            uhd, soapy: device arguments
        rate: samples/s
        frequency: centre, Hz
        gain: dB
        antenna: name of the connector, empty for the device's default
        bandwidth: of the analogue filter, Hz, 0 for the device's default
        lo_offset: of the local oscillator from the centre, Hz
        subdevice, clock_source, time_source: of the device, empty for its default
        lock_timeout: seconds that the oscillator has to lock
        timeout: seconds without a sample after which sim and zmq end with an error, 0 for never
        keys: of zmq: folder with this host's keys and the sender's (`ds2c2 serve keys`), needed where the
            sender is another host
        air: what happens to the samples of sim, zmq and file on their way: an AirSettings or its
            text form, ``snr=20 cfo=0.001 fading=rayleigh seed=1``
        peer: of zmq: name of the sender's key, where ``keys`` has several
    """

    def __init__(
        self,
        backend: str = "sim",
        address: str = "",
        rate: float = DEFAULT_RATE,
        frequency: float = 0.0,
        gain: float = 0.0,
        antenna: str = "",
        bandwidth: float = 0.0,
        lo_offset: float = 0.0,
        subdevice: str = "",
        clock_source: str = "",
        time_source: str = "",
        lock_timeout: float = LOCK_SECONDS,
        timeout: float = WAIT_SECONDS,
        keys: str = "",
        air: AirSettings | str = "",
        peer: str = "",
    ):
        self.settings = ReceiveSettings(
            backend=backend, address=address, rate=rate, frequency=frequency, lo_offset=lo_offset, gain=gain,
            antenna=antenna, bandwidth=bandwidth, subdevice=subdevice, clock_source=clock_source,
            time_source=time_source, lock_timeout=lock_timeout, keys=keys, timeout=timeout, air=air, peer=peer,
        )  # fmt: skip
        gr.hier_block2.__init__(
            self, "radio_source", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex)
        )
        self.message_port_register_hier_in("ended")
        self._watch = None
        self.start_block = self._start()
        parts = [self.start_block]
        self._air = None
        if self.settings.air != AirSettings():
            self._air = radio_air(**vars(self.settings.air))
            parts.append(self._air)
        self._parts = parts
        self.connect(*parts, self)
        self.msg_connect(self, "ended", self.start_block, "system")

    @property
    def events(self) -> list[tuple[str, float]]:
        """Overruns so far: kind, and seconds of samples since the first one."""
        return getattr(self._watch or self.start_block, "events", [])

    @property
    def lost(self) -> int:
        """Samples that this host lost so far."""
        return self._watch.lost if self._watch is not None else 0

    @property
    def device(self):
        """The back end's block."""
        return self.start_block

    def set_air(self, air: AirSettings | str) -> None:
        """Change the simulated air while running, settings or text form; what cannot change is a line."""
        try:
            air = as_air(air)
            if self._air is not None:
                self._air.set_air(air)
            elif air != self.settings.air:
                raise AirError("there is no simulated air to change; give one from the beginning, such as snr=100")
        except AirError as error:
            say(self.name(), f"{error}; the air stays as it is")
        else:
            self.settings = replace(self.settings, air=air)

    def _changed(self, before: ReceiveSettings, after: ReceiveSettings) -> None:
        if self._watch is not None and before.rate != after.rate:
            self._watch.set_rate(after.rate)

    def _start(self):
        settings = self.settings
        block = open_backend(BACKENDS[settings.backend]).source(settings)
        if settings.on_air:
            self._watch = receive_events(settings.rate)
            self.connect(block, self._watch)
        return block
