# SPDX-License-Identifier: GPL-3.0-or-later
"""A USRP that is none: blocks with the methods of gr-uhd's that keep what they are told."""

import numpy as np
import pmt
from gnuradio import gr, uhd


class Sensor:
    def __init__(self, value: bool):
        self._value = value

    def to_bool(self) -> bool:
        return self._value


class Device:
    """What both blocks have: ``calls`` in their order; ``refuse`` maps a method to what it raises,
    ``answers`` a getter to what it returns instead of what was set."""

    def __init__(self, fake, address, arguments, *more):
        self.fake = fake
        fake.calls.append(("make", address, arguments.cpu_format, list(arguments.channels), *more))
        fake.blocks.append(self)
        self._locks = iter(fake.locks)

    def _set(self, name, *values):
        if name in self.fake.refuse:
            raise RuntimeError(self.fake.refuse[name])
        self.fake.calls.append((name, *values))
        self.fake.values[name.removeprefix("set_")] = values[0]

    def _get(self, name):
        return self.fake.answers.get(name, self.fake.values.get(name))

    def set_center_freq(self, request, channel):
        manual = request.rf_freq_policy == uhd.tune_request.POLICY_MANUAL
        offset = request.rf_freq - request.target_freq if manual else None
        self._set("set_center_freq", request.target_freq, offset, channel)

    def get_sensor_names(self, channel):
        return ("temp", "lo_locked")

    def get_mboard_sensor_names(self, board):
        return ("ref_locked",)

    def get_sensor(self, name, channel):
        assert name == "lo_locked"
        self.fake.calls.append(("get_sensor", name))
        return Sensor(next(self._locks, True))

    def get_mboard_sensor(self, name, board):
        self.fake.calls.append(("get_mboard_sensor", name))
        return Sensor(True)


def _passed_on(name):
    return lambda self, *values: self._set(name, *values)


def _asked(name):
    return lambda self, *where: self._get(name)


for _name in ("clock_source", "time_source", "subdev_spec", "samp_rate", "antenna", "gain", "bandwidth"):
    setattr(Device, f"set_{_name}", _passed_on(f"set_{_name}"))
for _name in ("clock_source", "time_source", "subdev_spec", "samp_rate", "antenna", "gain", "bandwidth", "center_freq"):
    setattr(Device, f"get_{_name}", _asked(_name))
for _name in ("set_time_now", "set_time_unknown_pps"):
    setattr(Device, _name, _passed_on(_name))


class usrp_sink(Device, gr.sync_block):
    """Keeps samples; reports underruns when it has got as many as ``fake.underruns`` says."""

    def __init__(self, fake, *arguments):
        gr.sync_block.__init__(self, "usrp_sink", [np.complex64], None)
        self.message_port_register_out(pmt.intern("async_msgs"))
        Device.__init__(self, fake, *arguments)
        self.kept = [np.zeros(0, np.complex64)]
        self.lengths = []
        self.set_max_noutput_items(4096)

    def work(self, input_items, output_items):
        start, count = self.nitems_read(0), len(input_items[0])
        self.kept.append(input_items[0].copy())
        for tag in self.get_tags_in_window(0, 0, count):
            self.lengths.append((tag.offset, pmt.to_python(tag.key), pmt.to_python(tag.value)))
        for place, code in self.fake.reports:
            if start <= place < start + count:
                self.message_port_pub(pmt.intern("async_msgs"), report(code, 12.5))
        return count

    def samples(self):
        return np.concatenate(self.kept)


class usrp_source(Device, gr.sync_block):
    """Gives ``fake.samples``, a time tag at each of ``fake.stamps``."""

    def __init__(self, fake, *arguments):
        gr.sync_block.__init__(self, "usrp_source", None, [np.complex64])
        Device.__init__(self, fake, *arguments)

    def work(self, input_items, output_items):
        out, start = output_items[0], self.nitems_written(0)
        left = self.fake.samples[start : start + len(out)]
        if not len(left):
            return -1
        out[: len(left)] = left
        for place, seconds in self.fake.stamps:
            if start <= place < start + len(left):
                time = pmt.make_tuple(pmt.from_uint64(int(seconds)), pmt.from_double(seconds % 1))
                self.add_item_tag(0, place, pmt.intern("rx_time"), time)
        return len(left)


def report(code: str, seconds: float):
    """A message as gr-uhd publishes it at ``async_msgs``."""
    time = pmt.cons(pmt.from_uint64(int(seconds)), pmt.from_double(seconds % 1))
    content = pmt.make_dict()
    for key, value in (
        ("channel", pmt.from_uint64(0)),
        ("time_spec", time),
        ("event_code", pmt.list1(pmt.intern(code))),
    ):
        content = pmt.dict_add(content, pmt.intern(key), value)
    return pmt.cons(pmt.intern("uhd_async_msg"), content)


class FakeUhd:
    """In place of the module ``gnuradio.uhd``: its own values, blocks of ours."""

    stream_args, tune_request, time_spec = uhd.stream_args, uhd.tune_request, uhd.time_spec

    def __init__(self):
        self.calls, self.blocks = [], []
        self.values = {"gain": 0.0, "antenna": "RX2"}
        self.refuse, self.answers = {}, {}
        self.locks = [False, False]  # answers before the oscillator is locked
        self.reports, self.stamps = [], []
        self.samples = np.zeros(0, np.complex64)

    def usrp_sink(self, *arguments):
        return usrp_sink(self, *arguments)

    def usrp_source(self, *arguments):
        return usrp_source(self, *arguments)
