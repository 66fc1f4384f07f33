# SPDX-License-Identifier: GPL-3.0-or-later
"""Radio Sink and Radio Source without hardware: one process, two sockets, a recording."""

import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pmt
import pytest
import zmq
from flowgraph import DEADLINE, run, run_to_error, wait_for
from gnuradio import blocks, ds2c2, gr

from ds2c2.errors import FormatError, LinkError
from ds2c2.links.iqrecording import IqReader, IqWriter
from ds2c2.links.radiosettings import RadioError
from ds2c2.serve.keys import make_keys

RATE = 1e6
AIR = "snr=20 cfo=0.01 taps=1,0.2j fading=rayleigh doppler=0.0001 seed=5"


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    count = 700_000  # more than a wire and its buffers hold
    return (rng.normal(size=count) + 1j * rng.normal(size=count)).astype(np.complex64)


def sender(samples, **settings) -> tuple[gr.top_block, ds2c2.radio_sink]:
    graph, sink = gr.top_block(), ds2c2.radio_sink(rate=RATE, **settings)
    graph.connect(blocks.vector_source_c(samples), sink)
    graph.sink = sink
    return graph, sink


class sample_sink(gr.sync_block):
    """Keeps samples; a vector sink takes seconds to give them."""

    def __init__(self):
        gr.sync_block.__init__(self, "sample_sink", [np.complex64], None)
        self.kept = [np.zeros(0, np.complex64)]

    def work(self, input_items, output_items):
        self.kept.append(input_items[0].copy())
        return len(input_items[0])

    def samples(self) -> np.ndarray:
        return np.concatenate(self.kept)


def receiver(**settings) -> tuple[gr.top_block, sample_sink]:
    graph, sink = gr.top_block(), sample_sink()
    source = ds2c2.radio_source(rate=RATE, **settings)
    graph.connect(source, sink)
    graph.source = source
    return graph, sink


def at_once(*graphs) -> None:
    """Run flowgraphs side by side until all have ended by themselves."""
    for graph in graphs:
        graph.start()
    finish(*graphs)


def finish(*graphs) -> None:
    """Wait until running flowgraphs have ended by themselves."""
    waiters = [threading.Thread(target=graph.wait, daemon=True) for graph in graphs]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        waiter.join(DEADLINE)
    hung = any(waiter.is_alive() for waiter in waiters)
    for graph in graphs:
        graph.stop()
    assert not hung
    assert ds2c2.errors() == []


def through_air(samples) -> np.ndarray:
    """What the air alone makes of the samples."""
    graph, sink = gr.top_block(), sample_sink()
    words = dict(word.split("=") for word in AIR.split())
    air = ds2c2.radio_air(
        snr=float(words["snr"]), cfo=float(words["cfo"]), taps=(1, 0.2j), fading="rayleigh",
        doppler=float(words["doppler"]), seed=int(words["seed"]),
    )  # fmt: skip
    graph.connect(blocks.vector_source_c(samples), air, sink)
    run(graph)
    return sink.samples()


def test_in_one_flowgraph(samples):
    """Everything arrives, through the air that the source is given, and the graph ends by itself."""
    graph, sink = gr.top_block(), sample_sink()
    there, here = ds2c2.radio_sink("sim", "wire"), ds2c2.radio_source("sim", "wire", air=AIR)
    graph.connect(blocks.vector_source_c(samples), there)
    graph.connect(here, sink)
    run(graph)
    np.testing.assert_array_equal(sink.samples(), through_air(samples))


def test_two_flowgraphs_over_zmq_give_the_same_as_one(samples):
    """The receiver ends with the sender, whichever started first."""
    transmitter, there = sender(samples, backend="zmq", address="tcp://127.0.0.1:*")
    listening, sink = receiver(backend="zmq", address=there.end.endpoint, air=AIR)
    at_once(listening, transmitter)
    np.testing.assert_array_equal(sink.samples(), through_air(samples))


def test_a_slow_receiver_loses_nothing(samples):
    """The sender is done long before: what is on its way waits."""

    class slow(sample_sink):
        def work(self, input_items, output_items):
            time.sleep(0.02)
            return sample_sink.work(self, input_items, output_items)

    transmitter, there = sender(samples[:200_000], backend="zmq", address="tcp://127.0.0.1:*")
    listening, sink = gr.top_block(), slow()
    source = ds2c2.radio_source("zmq", there.end.endpoint)
    listening.connect(source, sink)
    at_once(transmitter, listening)
    np.testing.assert_array_equal(sink.samples(), samples[:200_000])


def test_gnu_radios_own_zmq_blocks_fit(samples):
    """Messages are plain samples, both ways."""
    zeromq = pytest.importorskip("gnuradio.zeromq")
    push = zeromq.push_sink(gr.sizeof_gr_complex, 1, "tcp://127.0.0.1:*", 100, False, 4)
    transmitter, (listening, sink) = gr.top_block(), receiver(backend="zmq", address=push.last_endpoint())
    transmitter.connect(blocks.vector_source_c(samples[:50_000]), push)
    listening.start()
    transmitter.run()
    wait_for(lambda: len(sink.samples()) == 50_000)
    listening.stop()
    listening.wait()
    np.testing.assert_array_equal(sink.samples(), samples[:50_000])

    transmitter, there = sender(samples[:50_000], backend="zmq", address="tcp://127.0.0.1:*")
    pull = zeromq.pull_source(gr.sizeof_gr_complex, 1, there.end.endpoint, 100, False, 4)
    listening, sink = gr.top_block(), sample_sink()
    listening.connect(pull, sink)
    listening.start()
    transmitter.start()
    wait_for(lambda: len(sink.samples()) == 50_000)
    # It never learns of the end: whoever sent waits until it leaves.
    listening.stop()
    listening.wait()
    del listening, pull
    finish(transmitter)
    np.testing.assert_array_equal(sink.samples(), samples[:50_000])


def test_a_sender_that_dies_and_comes_back_is_heard_again(samples, capfd):
    """No end was sent, so the receiver goes on; what is no samples is counted."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as first:
        endpoint = f"tcp://127.0.0.1:{first.bind_to_random_port('tcp://127.0.0.1')}"
        listening, sink = receiver(backend="zmq", address=endpoint)
        listening.start()
        first.send(samples[:1000].tobytes())
        first.send(b"12345")
        wait_for(lambda: len(sink.samples()) == 1000)
    with zmq.Context() as context, context.socket(zmq.PUSH) as again:
        again.bind(endpoint)
        again.send(samples[1000:3000].tobytes())
        again.send(b"")
        finish(listening)
    np.testing.assert_array_equal(sink.samples(), samples[:3000])
    assert "3000 samples came from" in (said := capfd.readouterr().err) and "1 messages that are no" in said


@pytest.fixture
def keys(tmp_path):
    """Folders of two hosts that know each other, and of a third that knows the first and is not known."""
    public = {name: make_keys(tmp_path / name, name)[0] for name in ("radio", "far", "stranger")}
    for host, known in (("radio", "far"), ("far", "radio"), ("stranger", "radio")):
        shutil.copy(public[known], tmp_path / host)
    return {name: str(tmp_path / name) for name in public}


def test_beyond_loopback_both_ends_show_keys(samples, keys):
    """Who is known gets the samples, who is not gets none, and both say so in the end."""
    transmitter, there = sender(samples[:100_000], backend="zmq", address="tcp://0.0.0.0:*", keys=keys["radio"])
    endpoint = there.end.endpoint.replace("0.0.0.0", "127.0.0.1")
    stranger, _ = receiver(backend="zmq", address=endpoint, keys=keys["stranger"], timeout=0.4)
    transmitter.start()
    run_to_error(stranger)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert "a sender running that knows this host's key" in str(error)
    listening, sink = receiver(backend="zmq", address=endpoint, keys=keys["far"])
    listening.start()
    finish(transmitter, listening)
    np.testing.assert_array_equal(sink.samples(), samples[:100_000])


@pytest.mark.parametrize("end", [sender, receiver])
@pytest.mark.parametrize("backend", ["sim", "zmq"])
def test_nobody_there_is_said_after_the_timeout(samples, endpoint, backend, end):
    """One line, and no hang."""
    address = {"sim": "nobody", "zmq": endpoint}[backend]
    graph, _ = end(*[samples] * (end is sender), backend=backend, address=address, timeout=0.2)
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, LinkError) and "waited 0.2 s" in str(error) and address in str(error)


def test_a_receiver_that_leaves_does_not_hold_the_sender():
    """In one flowgraph: the rest of the samples goes nowhere and the graph ends."""
    graph, sink = gr.top_block(), sample_sink()
    there, here = ds2c2.radio_sink("sim", "left"), ds2c2.radio_source("sim", "left")
    graph.connect(blocks.vector_source_c(np.ones(600_000, np.complex64)), there)
    graph.connect(here, blocks.head(gr.sizeof_gr_complex, 1000), sink)
    run(graph)
    assert len(sink.samples()) == 1000


def test_ended_finishes_the_source(endpoint):
    """The message that the Depacketizer sends when its stream is over."""
    graph, sink = gr.top_block(), sample_sink()
    source = ds2c2.radio_source("zmq", endpoint, timeout=0)
    strobe = blocks.message_strobe(pmt.cons(pmt.intern("done"), pmt.from_long(1)), 50)
    graph.connect(source, sink)
    graph.msg_connect(strobe, "strobe", source, "ended")
    graph.start()
    wait_for(source.start_block.finished)
    graph.stop()
    graph.wait()


def test_a_recording_replayed_gives_the_same_samples(samples, tmp_path, stream_format):
    """With the settings and the stream format in its metadata."""
    recorder, _ = sender(samples, backend="file", address=str(tmp_path / "run"), frequency=868e6,
                         stream_format=stream_format, about={"link": "ofdm"})  # fmt: skip
    run(recorder)
    replayer, sink = receiver(backend="file", address=str(tmp_path / "run.sigmf-meta"), air=AIR)
    run(replayer)
    np.testing.assert_array_equal(sink.samples(), through_air(samples))
    reader = IqReader(tmp_path / "run")
    assert reader.stream_format == stream_format.text
    assert reader.about["link"] == "ofdm" and reader.about["frequency"] == "868000000 Hz"
    assert reader.captures[0].frequency == 868e6 and reader.trouble == ""


@pytest.mark.parametrize("demodulator", [ds2c2.ofdm_demodulator, ds2c2.gmsk_demodulator])
def test_a_recording_of_another_stream_format_is_named(samples, tmp_path, stream_format, demodulator):
    """It says itself what it is of, through the air's emulation too; packets of another size would not be noticed."""
    recorder, _ = sender(samples, backend="file", address=str(tmp_path / "run"), stream_format=stream_format)
    run(recorder)
    other = replace(stream_format, block_size=48)
    graph, sink = gr.top_block(), blocks.null_sink(other.packet_bytes)
    source = ds2c2.radio_source("file", str(tmp_path / "run"), rate=RATE, air="snr=20")
    graph.connect(source, demodulator(other), sink)
    run_to_error(graph)
    (error,) = ds2c2.errors()
    ds2c2.clear_errors()
    assert isinstance(error, FormatError)
    assert f"comes as {stream_format.text}, the block is set to {other.text}" in str(error)


def test_overruns_are_recorded_and_replayed(samples, tmp_path):
    """Time tags as a USRP Source puts them begin captures; where time is missing is an overrun."""
    tags = []
    for offset, seconds in ((0, 100.0), (30_000, 100.05)):
        tag = gr.tag_t()
        tag.offset, tag.key = offset, pmt.intern("rx_time")
        tag.value = pmt.make_tuple(pmt.from_uint64(int(seconds)), pmt.from_double(seconds % 1))
        tags.append(tag)
    graph, sink = gr.top_block(), ds2c2.radio_sink("file", str(tmp_path / "run"))
    graph.connect(blocks.vector_source_c(samples[:50_000], False, 1, tags), sink)
    run(graph)
    reader = IqReader(tmp_path / "run")
    assert [(capture.start, capture.time) for capture in reader.captures] == [
        (0, "1970-01-01T00:01:40.000000Z"),
        (30_000, "1970-01-01T00:01:40.050000Z"),
    ]
    replayer, sink = receiver(backend="file", address=str(tmp_path / "run"))
    run(replayer)
    assert replayer.source.events == [("overrun", 0.03)]
    np.testing.assert_array_equal(sink.samples(), samples[:50_000])


def test_what_cannot_be_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(RadioError, match="radio 'usrp' is unknown"):
        ds2c2.radio_sink("usrp")
    with pytest.raises(LinkError, match="nowhere.sigmf-meta: no such file"):
        ds2c2.radio_source("file", str(tmp_path / "nowhere"))
    IqWriter(tmp_path / "fast", 2e6).close()
    with pytest.raises(FormatError, match="recorded with 2000000 samples/s and to be received with 1000000"):
        ds2c2.radio_source("file", str(tmp_path / "fast"))
    with pytest.raises(RadioError, match="others can reach"):
        ds2c2.radio_sink("zmq", "tcp://0.0.0.0:5557")
    taken = ds2c2.radio_sink("zmq", "tcp://127.0.0.1:*")
    with pytest.raises(LinkError, match="cannot send at"):
        ds2c2.radio_sink("zmq", taken.end.endpoint)
