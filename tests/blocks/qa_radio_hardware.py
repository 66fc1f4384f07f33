# SPDX-License-Identifier: GPL-3.0-or-later
"""Radios: every setting reaches gr-uhd and is read back; what a radio gets has no hole and an end."""

import time

import numpy as np
import pytest
from fake_radio import FakeUhd
from flowgraph import DEADLINE, run, run_to_error
from gnuradio import blocks, ds2c2, gr

from ds2c2.errors import DeviceError
from ds2c2.links.radiosettings import RadioError, ReceiveSettings

ALL = {
    "backend": "uhd", "address": "type=b200", "rate": 2e6, "frequency": 868.3e6, "gain": 31.5, "antenna": "TX/RX",
    "bandwidth": 3e6, "lo_offset": 4e6, "subdevice": "A:0", "clock_source": "external", "time_source": "external",
}  # fmt: skip
PLAIN = {"backend": "uhd", "frequency": 868.3e6, "rate": 1e6}
# In the order that UHD wants: sources and channel first, tuned before the gain, locked at last.
SETTINGS = [
    ("set_clock_source", "external", 0),
    ("set_time_source", "external", 0),
    ("set_subdev_spec", "A:0", 0),
    ("set_samp_rate", 2e6),
    ("set_antenna", "TX/RX", 0),
    ("set_center_freq", 868.3e6, 4e6, 0),
    ("set_gain", 31.5, 0),
    ("set_bandwidth", 3e6, 0),
    *[("get_sensor", "lo_locked")] * 3,
    ("get_mboard_sensor", "ref_locked"),
]


@pytest.fixture
def fake(monkeypatch):
    from gnuradio.ds2c2 import _radio_uhd

    fake = FakeUhd()
    monkeypatch.setattr(_radio_uhd, "uhd", fake)
    return fake


def burst(length=3000, level=1.0, seed=1) -> np.ndarray:
    """One burst of noise, 600 zeros behind it."""
    rng = np.random.default_rng(seed)
    phases = np.exp(2j * np.pi * rng.uniform(size=length))
    return np.concatenate([level * phases, np.zeros(600)]).astype(np.complex64)


def test_all_settings_reach_a_usrp_sink(fake):
    ds2c2.radio_sink(**ALL, transmit=True)
    assert fake.calls[0] == ("make", "type=b200", "fc32", [0], "")
    assert [call for call in fake.calls[1:] if call[0] != "set_time_unknown_pps"] == SETTINGS
    # The device's clock begins with the next pulse at this host's whole second.
    ((_, clock),) = [call for call in fake.calls if call[0] == "set_time_unknown_pps"]
    assert abs(clock.get_real_secs() - time.time()) < 60 and clock.get_frac_secs() == 0


def test_all_settings_reach_a_usrp_source(fake):
    source = ds2c2.radio_source(**ALL)
    assert fake.calls[0] == ("make", "type=b200", "fc32", [0])
    assert [call for call in fake.calls[1:] if call[0] != "set_time_unknown_pps"] == SETTINGS
    assert source.events == [] and source.lost == 0


def test_what_is_not_given_is_left_to_the_device(fake):
    """But for the gain, which would be what somebody else left behind."""
    ds2c2.radio_source(**PLAIN)
    assert [call[0] for call in fake.calls if call[0].startswith("set_")] == [
        "set_samp_rate", "set_center_freq", "set_gain", "set_time_now"
    ]  # fmt: skip
    assert ("set_center_freq", 868.3e6, None, 0) in fake.calls


@pytest.mark.parametrize(
    ("answers", "refuse", "named"),
    [
        ({"samp_rate": 1.99e6}, {}, "rate 2000000 samples/s was asked for and 1990000 is set"),
        ({"center_freq": 868.4e6}, {}, "frequency 868300000 Hz was asked for and 868400000 is set"),
        ({"antenna": "RX2"}, {}, "antenna TX/RX was asked for and RX2 is set"),
        ({"clock_source": "internal"}, {}, "clock_source external was asked for and internal is set"),
        ({}, {"set_antenna": "LookupError: no such antenna\nmore\nlines"}, "antenna TX/RX cannot be set (LookupError"),
        ({}, {"set_subdev_spec": "AssertionError: bad"}, "subdevice A:0 cannot be set"),
    ],
)  # fmt: skip
def test_what_a_device_does_not_take_is_one_line(fake, answers, refuse, named):
    fake.answers, fake.refuse = {"center_freq": ALL["frequency"], **answers}, refuse
    with pytest.raises(RadioError) as refused:
        ds2c2.radio_sink(**ALL, transmit=True)
    assert named in str(refused.value) and "\n" not in str(refused.value)


def test_an_oscillator_that_does_not_lock(fake):
    fake.locks = [False] * 10_000
    with pytest.raises(RadioError, match="local oscillator did not lock within 0.05 s at 868300000 Hz"):
        ds2c2.radio_source(**PLAIN, lock_timeout=0.05)


def test_another_gain_is_said(fake, capfd):
    fake.answers = {"gain": 10.0, "center_freq": 868.3e6}
    ds2c2.radio_source(**PLAIN, gain=90)
    said = capfd.readouterr().err
    assert "radio_source: gain 90 dB was asked for and 10 is set" in said
    assert "USRP at 868.300000 MHz, 1000000 samples/s, gain 10 dB" in said


@pytest.mark.parametrize(
    ("backend", "address", "tool"),
    [("uhd", "addr=127.0.0.9", "uhd_find_devices"), ("soapy", "driver=nothing", "SoapySDRUtil"),
     ("soapy", "driver=null,type=null", "SoapySDRUtil")],
)  # fmt: skip
def test_a_missing_device_is_one_line(backend, address, tool):
    """With the real gr-uhd and gr-soapy."""
    for make in (lambda **radio: ds2c2.radio_sink(**radio, transmit=True), ds2c2.radio_source):
        with pytest.raises(DeviceError) as refused:
            make(backend=backend, address=address, frequency=868e6)
        assert address in str(refused.value) and tool in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("backend", ["uhd", "soapy"])
def test_nothing_is_opened_before_somebody_says_that_it_may_send(fake, backend):
    with pytest.raises(RadioError, match="--transmit"):
        ds2c2.radio_sink(backend, "driver=any", frequency=868e6)
    assert fake.calls == []


class pausing_source(gr.sync_block):
    """Bursts that come in two halves each, the later ones only when ``ready()``."""

    def __init__(self, bursts, ready):
        gr.sync_block.__init__(self, "pausing_source", None, [np.complex64])
        self.pieces = [half for burst in bursts for half in np.split(burst, [1000])]
        self.ready, self.late = ready, len(self.pieces) - 2

    def work(self, input_items, output_items):
        if not self.pieces:
            return -1
        if len(self.pieces) <= self.late and not self.ready():
            time.sleep(0.005)
            return 0
        piece = self.pieces.pop(0)
        output_items[0][: len(piece)] = piece
        return len(piece)


def test_a_continuous_stream_has_zeros_where_no_burst_is(fake):
    """Whole bursts, zeros before, between and behind them, although the second half came late."""
    bursts = [burst(seed=seed) for seed in range(3)]
    sink = ds2c2.radio_sink(**PLAIN, scale=0.5, transmit=True)
    graph, source = gr.top_block(), pausing_source(bursts, lambda: sink.end.nitems_read(0) > 250_000)
    graph.connect(source, sink)
    run(graph)
    sent = sink.end.samples()
    np.testing.assert_array_equal(sent[sent != 0], np.float32(0.5) * np.concatenate([b[b != 0] for b in bursts]))
    sounding = np.flatnonzero(sent)
    # One burst, then a long silence, then the others.
    gaps = np.diff(sounding)[np.diff(sounding) > 1] - 1
    assert len(gaps) == 2 and gaps[0] > 100_000 and gaps[1] >= 600
    assert sounding[0] >= 0.1 * PLAIN["rate"] and len(sent) - sounding[-1] > 0.05 * PLAIN["rate"]
    assert sent[sounding[0]] == np.float32(0.5) * bursts[0][0]


def test_bursts_by_themselves_have_a_length_and_no_zeros(fake):
    bursts = [burst(length, seed=length) for length in (3000, 20, 4000)]
    graph, sink = gr.top_block(), ds2c2.radio_sink(**PLAIN, transmit=True, continuous=False, scale=1)
    graph.connect(blocks.vector_source_c(np.concatenate(bursts)), sink)
    run(graph)
    assert fake.calls[0][-1] == "ds2c2_burst"
    assert sink.end.lengths == [(0, "ds2c2_burst", 3000), (3000, "ds2c2_burst", 20), (3020, "ds2c2_burst", 4000)]
    np.testing.assert_array_equal(sink.end.samples(), np.concatenate([b[b != 0] for b in bursts]))


@pytest.mark.parametrize("continuous", [True, False])
def test_the_longest_time_on_the_air_is_kept(fake, continuous):
    """To the sample, with an error."""
    graph = gr.top_block()
    sink = ds2c2.radio_sink(**PLAIN, transmit=True, max_duration=0.25, continuous=continuous)
    graph.connect(blocks.vector_source_c(burst(), True), sink)
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, RadioError) and "cut off after 250000 samples" in str(error)
    sent = len(sink.end.samples())
    assert sent == 250_000 if continuous else 247_000 <= sent <= 250_000


def test_samples_beyond_what_a_radio_takes_are_cut_off_and_counted(fake, capfd):
    graph, sink = gr.top_block(), ds2c2.radio_sink(**PLAIN, transmit=True, scale=0.5)
    loud = burst(level=4.0)
    graph.connect(blocks.vector_source_c(loud), sink)
    run(graph)
    assert np.abs(sink.end.samples()).max() == pytest.approx(1, abs=1e-6)
    assert sink.guard.clipped == 3000 and sink.guard.peak == pytest.approx(2)
    said = capfd.readouterr().err
    assert said.count("samples reach 2.00") == 1 and "set scale to 0.22 or less" in said


def test_underruns_are_counted_and_timed(fake, capfd):
    """What the device reports; that a burst was sent is no trouble."""
    fake.reports = [(1000, "underflow"), (20_000, "burst_ack"), (50_000, "time_error"), (90_000, "underflow_in_packet")]
    graph, sink = gr.top_block(), ds2c2.radio_sink(**PLAIN, transmit=True)
    graph.connect(blocks.vector_source_c(burst()), sink)
    graph.start()
    until = time.monotonic() + DEADLINE
    while len(sink.events) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    graph.wait()
    assert sink.events == [("underrun", 12.5), ("late", 12.5), ("underrun", 12.5)]
    assert "radio_sink: 2 underruns, 1 packets late or out of order" in capfd.readouterr().err


def test_overruns_are_counted_and_timed(fake, capfd):
    """A time tag in the middle: what its time says is missing was lost; one after tuning loses nothing."""
    fake.samples = np.ones(100_000, np.complex64)
    fake.stamps = [(0, 50.0), (20_000, 50.02), (30_000, 50.0301)]
    graph, source, sink = gr.top_block(), ds2c2.radio_source(**PLAIN), blocks.null_sink(gr.sizeof_gr_complex)
    graph.connect(source, sink)
    run(graph)
    assert source.events == [("overrun", 0.03)] and source.lost == 100
    assert "radio_source: 100000 samples, 1 overruns, 100 samples lost" in capfd.readouterr().err


class recorder:
    """Keeps every call to a method of a Soapy block; getters answer what was set."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("get_"):
            return lambda channel: next(call[2] for call in self.calls if call[0] == name.replace("get_", "set_"))
        return lambda *values: self.calls.append((name, *values))


def test_all_settings_reach_a_soapy_block():
    from gnuradio.ds2c2._radio_soapy import _set

    block, made = recorder(), []
    settings = ReceiveSettings(**{**ALL, "backend": "soapy", "address": "driver=lime"})
    assert _set("radio_source", settings, lambda *arguments: made.append(arguments) or block) is block
    assert made == [("driver=lime", "fc32", 1, "", "", ["OFFSET=4000000"], [""])]
    assert block.calls == [
        ("set_clock_source", "external"),
        ("set_time_source", "external"),
        ("set_frontend_mapping", "A:0"),
        ("set_sample_rate", 0, 2e6),
        ("set_antenna", 0, "TX/RX"),
        ("set_frequency", 0, 868.3e6),
        ("set_gain", 0, 31.5),
        ("set_bandwidth", 0, 3e6),
    ]
