# SPDX-License-Identifier: GPL-3.0-or-later
"""Radio Sink: samples to wherever they are to go, one block for all back ends."""

from gnuradio import gr

from ds2c2.links.radiobackends import BACKENDS
from ds2c2.links.radiosettings import DEFAULT_MAX_DURATION, DEFAULT_RATE, LOCK_SECONDS, WAIT_SECONDS, TransmitSettings
from ds2c2.stream.streamformat import StreamFormat

from ._backend import RecordingNote, open_backend
from ._burst_streams import burst_filler, burst_sender, transmit_guard
from ._host_events import EVENTS_PORT, transmit_events
from ._lasting import Lasting
from ._stage import as_format
from ._tunable import Tunable


class radio_sink(Tunable, Lasting, gr.hier_block2):
    """Sends samples: to a Radio Source of this process or another one, into a recording, or on the air.

    A real radio (uhd, soapy) gets a stream that never pauses, zeros between the bursts, unless
    ``continuous`` is false. It is opened, set, read back and locked before this constructor returns. Its gain,
    frequency and rate can change while it runs.

    Input:
        complex samples; the modems' bursts have mean power 1

    Output:
        none

    Args:
        backend: sim (one process), zmq (samples to another process), file (SigMF recording), uhd
            (USRP) or soapy (whatever SoapySDR knows)
        address: sim: a name that both ends share; zmq: the endpoint to bind; file: the recording;
            uhd, soapy: device arguments
        rate: samples/s
        frequency: centre, Hz
        gain: dB
        antenna: name of the connector, empty for the device's default
        bandwidth: of the analogue filter, Hz, 0 for the device's default
        lo_offset: of the local oscillator from the centre, Hz
        subdevice, clock_source, time_source: of the device, empty for its default
        lock_timeout: seconds that the oscillator has to lock
        scale: factor before the radio, 0 for 1 (sim, zmq, file) or 0.2 (uhd, soapy)
        continuous: zeros between bursts; without (uhd only), each burst by itself
        transmit: a real radio may send
        max_duration: seconds on the air after which a real radio stops, with an error
        timeout: seconds that nobody takes a sample after which sim and zmq give up, 0 for never
        keys: of zmq: folder with this host's keys and the receiver's (`ds2c2 serve keys`), needed where
            others can reach the address
        stream_format: noted in a recording, a StreamFormat, its text form, or empty
        about: noted in a recording beside the settings, a dictionary
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
        scale: float = 0.0,
        continuous: bool = True,
        transmit: bool = False,
        max_duration: float = DEFAULT_MAX_DURATION,
        timeout: float = WAIT_SECONDS,
        keys: str = "",
        stream_format: StreamFormat | str = "",
        about: dict[str, str] | None = None,
    ):
        self.settings = settings = TransmitSettings(
            backend=backend, address=address, rate=rate, frequency=frequency, lo_offset=lo_offset, gain=gain,
            antenna=antenna, bandwidth=bandwidth, subdevice=subdevice, clock_source=clock_source,
            time_source=time_source, lock_timeout=lock_timeout, keys=keys, timeout=timeout,
            scale=scale, continuous=continuous, transmit=transmit, max_duration=max_duration,
        )  # fmt: skip
        settings.check_consent()
        gr.hier_block2.__init__(
            self, "radio_sink", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0)
        )
        self._events = None
        self.guard = transmit_guard(settings.scale, clip=settings.on_air)
        text = as_format(stream_format).text if stream_format else ""
        self.end = self._end(RecordingNote(text, dict(settings.lines()) | (about or {})))
        self._parts = [self.guard]
        if settings.on_air:
            limit = settings.max_samples
            bursts = burst_filler(self.guard, rate, limit) if continuous else burst_sender(self.guard, limit)
            self._parts.append(bursts)
        self.connect(self, *self._parts, self.end)

    @property
    def events(self) -> list[tuple[str, float]]:
        """Underruns and late packets so far: kind, and seconds on the device's clock."""
        return self._events.events if self._events is not None else []

    @property
    def device(self):
        """The back end's block."""
        return self.end

    def _changed(self, before: TransmitSettings, after: TransmitSettings) -> None:
        if before.rate != after.rate and after.on_air:
            self._parts[-1].set_rate(before.rate, after.rate)

    def _end(self, note: RecordingNote):
        backend = BACKENDS[self.settings.backend]
        block = open_backend(backend).sink(self.settings, note)
        if backend.events:
            self._events = transmit_events()
            self.msg_connect(block, EVENTS_PORT, self._events, EVENTS_PORT)
        return block
