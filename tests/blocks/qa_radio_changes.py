# SPDX-License-Identifier: GPL-3.0-or-later
"""Gain, frequency and rate change while samples flow: at a USRP, a SoapySDR device, in a recording, elsewhere."""

import numpy as np
import pytest
from fake_radio import FakeUhd
from flowgraph import run, wait_for
from gnuradio import blocks, ds2c2, gr

from ds2c2.links.iqrecording import IqReader

RADIO = {"frequency": 868.3e6, "rate": 1e6, "gain": 10.0}


class FakeSoapy(FakeUhd):
    """In place of the module ``gnuradio.soapy``: the same blocks by its names for their methods."""

    def sink(self, address, *more):
        return self._block(self.usrp_sink, address)

    def source(self, address, *more):
        return self._block(self.usrp_source, address)

    def _block(self, make, address):
        block = make(address, self.stream_args(cpu_format="fc32", channels=[0]))
        block.set_sample_rate = lambda channel, rate: block.set_samp_rate(rate)
        block.get_sample_rate = block.get_samp_rate
        block.set_frequency = lambda channel, hertz: block._set("set_center_freq", hertz)
        block.get_frequency = block.get_center_freq
        gain = block.set_gain
        block.set_gain = lambda channel, decibels: gain(decibels)
        return block


@pytest.fixture(params=["uhd", "soapy"])
def radio(request, monkeypatch):
    """Settings of a radio, and the device that keeps what it is told."""
    from gnuradio.ds2c2 import _radio_soapy, _radio_uhd

    fake = {"uhd": FakeUhd, "soapy": FakeSoapy}[request.param]()
    monkeypatch.setattr({"uhd": _radio_uhd, "soapy": _radio_soapy}[request.param], request.param, fake)
    return RADIO | {"backend": request.param, "address": "driver=fake"}, fake


def told(fake) -> list[tuple]:
    """Setter and value of all that was set since it was last asked."""
    calls = [call[:2] for call in fake.calls if call[0].startswith("set_") and "time" not in call[0]]
    fake.calls.clear()
    return calls


class slow_source(gr.sync_block):
    """Gives zeros until it is told to end."""

    def __init__(self):
        gr.sync_block.__init__(self, "slow_source", None, [np.complex64])
        self.ended = False

    def work(self, input_items, output_items):
        output_items[0][:] = 0
        return -1 if self.ended else min(1000, len(output_items[0]))


def test_a_sender_is_changed_while_it_sends(radio):
    settings, fake = radio
    graph, source, sink = gr.top_block(), slow_source(), ds2c2.radio_sink(**settings, transmit=True)
    graph.connect(source, sink)
    told(fake)
    graph.start()
    wait_for(lambda: len(fake.blocks[0].samples()) > 0)
    sink.set_gain(20.0)
    sink.set_frequency(869.1e6)
    sink.set_rate(2e6)
    sink.set_rate(2e6)  # nothing new
    assert told(fake) == [("set_gain", 20.0), ("set_center_freq", 869.1e6), ("set_samp_rate", 2e6)]
    assert (sink.settings.gain, sink.settings.frequency, sink.settings.rate) == (20.0, 869.1e6, 2e6)
    source.ended = True
    graph.wait()
    assert ds2c2.errors() == []


def test_a_receiver_is_changed_while_it_receives(radio):
    settings, fake = radio
    fake.samples = np.zeros(10_000_000, np.complex64)
    graph, source = gr.top_block(), ds2c2.radio_source(**settings)
    graph.connect(source, blocks.null_sink(gr.sizeof_gr_complex))
    told(fake)
    graph.start()
    source.set_gain(30.0)
    source.set_frequency(434e6)
    source.set_rate(5e5)
    assert told(fake) == [("set_gain", 30.0), ("set_center_freq", 434e6), ("set_samp_rate", 5e5)]
    graph.stop()
    graph.wait()


def test_what_a_radio_does_not_take_stays_as_it_was(radio, capfd):
    """One line, no exception: a slider's would end its window."""
    settings, fake = radio
    source = ds2c2.radio_source(**settings)
    told(fake)
    source.set_gain(1000.0)
    source.set_frequency(0.0)
    assert told(fake) == []
    fake.refuse = {"set_gain": "no such gain\nmore"}
    source.set_gain(40.0)
    fake.refuse, fake.answers = {}, {"center_freq": 868.3e6}
    source.set_frequency(900e6)
    assert told(fake) == [("set_center_freq", 900e6), ("set_center_freq", 868.3e6)]
    said = capfd.readouterr().err.splitlines()
    name = settings["backend"]
    assert "radio_source: gain 1000 is out of range: -200 to 200 dB; gain stays 10" in said
    assert (
        f"radio_source: radio {name}: no centre frequency is given; give one in Hz; frequency stays 868300000" in said
    )
    assert f"radio_source: radio {name}: gain 40.0 cannot be set (no such gain); gain stays 10" in said
    assert any("900000000 Hz was asked for and 868300000 is set" in line for line in said)
    assert (source.settings.gain, source.settings.frequency) == (10.0, 868.3e6)


def test_the_time_on_the_air_is_kept_at_another_rate(radio):
    """One second at 1 MHz is two million samples at 2 MHz."""
    settings, fake = radio
    graph, source = gr.top_block(), slow_source()
    sink = ds2c2.radio_sink(**settings, transmit=True, max_duration=1.0)
    graph.connect(source, sink)
    sink.set_rate(2e6)
    graph.start()
    graph.wait()
    assert len(fake.blocks[0].samples()) == 2_000_000
    assert "cut off after 2000000 samples" in str(ds2c2.errors()[0])
    ds2c2.clear_errors()


def test_a_recording_begins_a_capture_at_another_frequency(tmp_path, capfd):
    class tuner(slow_source):
        def work(self, input_items, output_items):
            if self.nitems_written(0) >= 5000:
                if self.ended:
                    return -1
                self.ended = True
                wait_for(lambda: sink.end.nitems_read(0) == 5000)
                sink.set_frequency(869e6)
            output_items[0][:1000] = 0
            return 1000

    graph = gr.top_block()
    sink = ds2c2.radio_sink("file", str(tmp_path / "on-air"), rate=1e6, frequency=868e6)
    source = tuner()
    graph.connect(source, sink)
    sink.set_rate(2e6)
    run(graph)
    captures = IqReader(tmp_path / "on-air")._signal.get_captures()
    assert [(c["core:sample_start"], c["core:frequency"]) for c in captures] == [(0, 868e6), (5000, 869e6)]
    said = capfd.readouterr().err
    assert "a recording has one sample rate from its beginning to its end; rate stays 1000000" in said


def test_between_processes_the_air_changes_and_a_radio_s_settings_do_no_harm(endpoint, capfd):
    """A flowgraph with sliders runs with every back end."""
    sink, source = ds2c2.radio_sink("zmq", endpoint), ds2c2.radio_source("zmq", endpoint, air="snr=30 cfo=0.01")
    for end in (sink, source):
        end.set_gain(20.0)
        end.set_frequency(868e6)
        end.set_rate(2e6)
        assert (end.settings.gain, end.settings.frequency, end.settings.rate) == (20.0, 868e6, 2e6)
    assert capfd.readouterr().err == ""
    source.set_air("snr=10 cfo=0.02")
    assert source._air.settings.text == source.settings.air.text == "cfo=0.02 snr=10.0"
    source.set_air("snr=10 cfo=0.02 seed=7")
    source.set_air("snr=10 fog=1")
    said = capfd.readouterr().err
    assert "radio_source: air: seed cannot change while running" in said and "'fog=1' is not understood" in said
    assert source.settings.air.text == "cfo=0.02 snr=10.0"
    plain = ds2c2.radio_source("sim", "nowhere")
    plain.set_air("snr=10")
    assert "there is no simulated air to change" in capfd.readouterr().err
