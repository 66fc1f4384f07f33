# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples into and out of SigMF recordings."""

import numpy as np
import pmt
from gnuradio import gr

from ds2c2.errors import FileError, FormatError
from ds2c2.links.iqrecording import IqReader, IqWriter
from ds2c2.links.radiosettings import RadioError, RadioSettings, ReceiveSettings, TransmitSettings

from ._backend import RecordingNote
from ._failures import WORK_DONE, guarded, record, say
from ._host_events import RX_TIME, TimeTags, time_of
from ._lasting import Lasting
from ._stage import FORMAT_TAG

RX_FREQUENCY = pmt.intern("rx_freq")
READ_SAMPLES = 1 << 16


def sink(settings: TransmitSettings, note: RecordingNote):
    """A block that writes a recording. Raises ``LinkError`` and ``FileError``."""
    return file_sink(settings, note)


def source(settings: ReceiveSettings):
    """A block that reads a recording. Raises ``LinkError`` and ``FormatError``."""
    return file_source(settings)


def change(name: str, block, before: RadioSettings, after: RadioSettings) -> None:
    """A recording has one sample rate; a centre frequency begins a capture of its own."""
    if before.rate != after.rate:
        raise RadioError("radio file: a recording has one sample rate from its beginning to its end")
    if isinstance(block, file_sink):
        block.tuned = after.frequency


class file_sink(Lasting, gr.sync_block):
    """Complex samples into a recording; a radio's time tags begin captures of their own."""

    def __init__(self, settings: TransmitSettings, note: RecordingNote):
        gr.sync_block.__init__(self, name="radio_sink", in_sig=[np.complex64], out_sig=None)
        self.writer = IqWriter(
            settings.address, settings.rate, settings.frequency, stream_format=note.stream_format, about=note.about
        )
        self._tags = TimeTags(settings.rate)
        self.tuned = self._frequency = settings.frequency  # as it shall be, and as it is

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        samples, first = input_items[0], self.nitems_read(0)
        if self.tuned != self._frequency:
            self._frequency = self.tuned
            self.writer.retune(self._frequency)
        stamps: dict[int, dict] = {}
        for tag in self.get_tags_in_window(0, 0, len(samples)):
            if pmt.eq(tag.key, RX_TIME):
                stamps.setdefault(tag.offset - first, {})["seconds"] = time_of(tag.value)
            elif pmt.eq(tag.key, RX_FREQUENCY):
                stamps.setdefault(tag.offset - first, {})["frequency"] = pmt.to_double(tag.value)
        done = 0
        for place in sorted(stamps):
            self.writer.write(samples[done:place])
            done = place
            if "seconds" in stamps[place]:
                if lost := self._tags.lost(self.writer.samples, stamps[place]["seconds"]):
                    self.writer.event("overrun", f"{lost} samples lost")
                self.writer.capture(**stamps[place])
        self.writer.write(samples[done:])
        return len(samples)

    def stop(self) -> bool:
        # An error here would end the process: it is kept like those of work.
        try:
            self.writer.close()
        except FileError as error:
            record("radio_sink", error)
        else:
            say("radio_sink", f"wrote {self.writer.samples} samples to {self.writer.data_path} and its metadata")
        return True


class file_source(Lasting, gr.sync_block):
    """Complex samples of a recording; ``events`` has the overruns that were recorded with it. On the first sample is
    the tag ``ds2c2_format`` with the stream format that the recording holds, if it holds one."""

    def __init__(self, settings: ReceiveSettings):
        gr.sync_block.__init__(self, name="radio_source", in_sig=None, out_sig=[np.complex64])
        self.reader = IqReader(settings.address)
        rate = self.reader.rate
        if rate is not None and rate != settings.rate:
            raise FormatError(
                f"{self.reader.data_path}: recorded with {rate:.12g} samples/s and to be received with "
                f"{settings.rate:.12g}; set the recording's rate"
            )
        self.events = [(kind, start / settings.rate) for start, kind in self.reader.events if kind == "overrun"]
        self._kept = np.zeros(0, np.complex64)
        self._read = 0

    @guarded
    def work(self, input_items: list, output_items: list) -> int:
        out = output_items[0]
        if not len(self._kept):
            self._kept = self.reader.read(self._read, READ_SAMPLES)
            self._read += len(self._kept)
            if not len(self._kept):
                return WORK_DONE
            if self.reader.stream_format and not self.nitems_written(0):
                self.add_item_tag(0, 0, FORMAT_TAG, pmt.intern(self.reader.stream_format))
        count = min(len(out), len(self._kept))
        out[:count], self._kept = self._kept[:count], self._kept[count:]
        return count

    def stop(self) -> bool:
        trouble = f"; {self.reader.trouble}" if self.reader.trouble else ""
        say("radio_source", f"read {self.nitems_written(0)} samples from {self.reader.data_path}{trouble}")
        return True
