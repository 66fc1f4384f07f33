# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between links and receivers: what a link knows arrives, and nothing waits for ever."""

import threading
import time

import numpy as np
import pytest

from ds2c2.errors import LinkError
from ds2c2.stream.packets import HEADER_BYTES, Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import STATUSES
from ds2c2.traces.tracerecorder import TraceRecorder
from ds2c2.transport.packetsource import Arrivals, Listener, PacketSource, QueuedSource, RecordingSource, UdpSource
from ds2c2.transport.recording import RecordingWriter
from ds2c2.transport.stations import StationsSource
from ds2c2.transport.udp import UdpSender

FORMAT = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1, model="binary@00000000", base_redundancy=1)
PATIENCE = 20.0  # seconds that a busy machine may take


def packets(count: int = FORMAT.blocks) -> np.ndarray:
    return Packetizer(FORMAT).pack(np.zeros((count, FORMAT.block_size), np.uint8))


def never() -> bool:
    return False


def test_what_a_link_knows_is_in_the_trace():
    """Damaged packets, figures of each packet and host events, from another thread's link."""
    sent = packets()
    intact = np.ones(6, bool)
    intact[[1, 3]] = False
    came = sent[[0, 1, 2, 3, 4, 6]].copy()
    came[1, HEADER_BYTES] ^= 1  # the header still says whose it is
    came[3, 2] ^= 1
    figures = np.arange(6.0)
    link = QueuedSource(FORMAT, {"link": "ofdm", "radio": "zmq"})

    def work() -> None:
        link.put(Arrivals(came, figures, figures + 10, figures / 100, intact, unreadable=2))
        link.put(Arrivals(link.nothing(), events=(("underrun", 2.0),)))
        link.put(Arrivals(sent[8:], np.arange(8.0, 14.0)))
        link.finish()

    threading.Thread(target=work).start()
    recorder = TraceRecorder(FORMAT, about=link.about)
    listener = Listener(link, PATIENCE, PATIENCE, never)
    for arrivals in listener:
        assert not arrivals.silent
        recorder.take(arrivals)
    trace = recorder.finish()
    assert [STATUSES[kind] for kind in trace.status] == (
        ["ok", "crc_fail", "ok", "host_drop", "ok", "missed", "ok", "missed"] + 6 * ["ok"]
    )
    assert (trace.snr_db[1], trace.cfo[1], trace.time[1]) == (11.0, 0.01, 1.0)
    assert trace.underruns.tolist() == [0, 0, 1] + 11 * [0]
    assert (trace.about["radio"], trace.about["unattributed"]) == ("zmq", "3")
    assert (listener.good, listener.failed, listener.unreadable) == (10, 2, 2)
    assert listener.trouble == "2 failed the link's CRC, 2 unreadable, once underrun"
    assert not listener.gave_up


def test_a_silent_link_is_given_up():
    with QueuedSource(FORMAT, {}) as link:
        listener = Listener(link, 0.01, 0.05, never)
        assert all(arrivals.silent for arrivals in listener)
        assert listener.gave_up


def test_a_live_link_is_left_when_the_stream_ends():
    """When silence follows: anybody can say that it ends. At once where nobody but the sender can."""
    for sure, given in ((False, 2), (True, 1)):
        link = QueuedSource(FORMAT, {})
        link.put(Arrivals(packets()))
        listener = Listener(link, 0.01, PATIENCE, lambda: listener.good > 0, sure=sure)  # noqa: B023
        assert [len(arrivals.packets) for arrivals in listener] == [FORMAT.blocks, 0][:given]
        assert not listener.gave_up


def test_what_others_send_is_silence():
    """Packets come without end, and none of the stream."""
    with QueuedSource(FORMAT, {}) as link:
        listener = Listener(link, 0.01, 0.05, never, taken=lambda: 1)  # a stream has begun
        link.put(Arrivals(packets()))
        quiet = []
        for _ in listener:
            quiet.append(listener.quiet)
            link.put(Arrivals(packets()))
            time.sleep(0.002)
        # Once for each silence, which lasts five times as long before the listener gives up.
        assert listener.gave_up and not quiet[0] and 1 <= sum(quiet) <= 5


def test_silence_that_fell_while_this_host_was_at_work_is_told_in_its_place():
    """Times of arrival say it: 2 s between the packets, which are read together."""
    rows, times = packets(9), np.array([0.0, 0.1, 0.2, 2.3, 2.4, 2.5, 2.6, 9.0, 9.1])
    with QueuedSource(FORMAT, {}) as link:
        link.put(Arrivals(rows, times, snr_db=np.arange(9.0), unreadable=1, events=(("overrun", 0.1),)))
        link.put(Arrivals(rows[:2], np.array([9.2, 20.0])))
        link.finish()
        listener = Listener(link, 1.0, PATIENCE, never)
        found = [(listener.quiet, arrivals) for arrivals in listener]
    assert [(quiet, len(arrivals.packets)) for quiet, arrivals in found] == [
        (False, 3), (True, 4), (True, 2), (False, 1), (True, 1),
    ]  # fmt: skip
    assert np.array_equal(np.concatenate([arrivals.packets for _, arrivals in found]), np.concatenate([rows, rows[:2]]))
    assert found[1][1].snr_db.tolist() == [3, 4, 5, 6] and found[1][1].times.tolist() == [2.3, 2.4, 2.5, 2.6]
    assert (listener.unreadable, listener.good, listener.events["overrun"]) == (1, 11, 1)
    assert [arrivals.unreadable for _, arrivals in found] == [1, 0, 0, 0, 0]


def test_what_had_come_when_it_was_told_to_stop_is_there():
    with QueuedSource(FORMAT, {}) as link:
        for _ in range(3):
            link.put(Arrivals(packets(4)))
        listener = Listener(link, 1.0, PATIENCE, never)
        for _ in listener:
            listener.stop()
        assert listener.good == 4
        assert [len(arrivals.packets) for arrivals in listener.rest()] == [4, 4] and listener.unread == 8
        assert listener.good == 12


def test_what_does_not_fit_is_an_overrun():
    link = QueuedSource(FORMAT, {}, limit=20)
    link.put(Arrivals(packets(20)))
    link.put(Arrivals(packets(3), np.array([7.0, 7.1, 7.2]), intact=np.ones(3, bool)))
    assert link.trouble == "3 packets dropped by a full queue"
    assert len(link.read(0.0).packets) == 20
    dropped = link.read(0.0)
    assert dropped.events == (("overrun", 7.0),) and len(dropped.good) == 0
    link.put(Arrivals(packets(20)))
    assert len(link.read(0.0).packets) == 20


def test_a_links_error_comes_after_its_packets_and_it_is_stopped_once():
    stopped = []
    link = QueuedSource(FORMAT, {}, lambda: stopped.append(1))
    link.put(Arrivals(packets()))
    link.finish(LinkError("the radio went away"))
    with pytest.raises(LinkError, match="went away"), link:
        assert len(link.read(0.0).packets) == FORMAT.blocks
        link.read(0.0)
    link.close()
    assert stopped == [1]


def collect(source: PacketSource) -> list[Arrivals]:
    with source:
        return [arrivals for arrivals in Listener(source, PATIENCE, PATIENCE, never) if not arrivals.silent]


def test_a_recording_is_read_to_its_own_end(tmp_path):
    sent = Packetizer(FORMAT)
    with RecordingWriter(tmp_path / "r", FORMAT) as recording:
        recording.write(sent.pack(np.zeros((5, FORMAT.block_size), np.uint8)))
        recording.write(sent.end())
        recording.write(sent.pack(np.zeros((5, FORMAT.block_size), np.uint8)))
    source = RecordingSource(str(tmp_path / "r"))
    listener = Listener(source, PATIENCE, PATIENCE, lambda: True)
    assert sum(len(arrivals.packets) for arrivals in listener) == 18 and not source.live
    (tmp_path / "r").write_bytes((tmp_path / "r").read_bytes()[:-1])
    source = RecordingSource(str(tmp_path / "r"))
    assert len(collect(source)[0].packets) == 17
    assert source.trouble == f"{HEADER_BYTES + FORMAT.block_size - 1} bytes of a torn last packet"


def test_what_a_link_turned_away_is_counted_of_all_stations_together():
    link, other = QueuedSource(FORMAT, {}, limit=10), UdpSource("127.0.0.1", 0, FORMAT)
    link.put(Arrivals(packets(11)))
    sender = UdpSender("127.0.0.1", other._link._socket.getsockname()[1], rate=1e6)
    sender.send(np.zeros((4, FORMAT.packet_bytes + 1), np.uint8))
    sender.send(np.zeros((3, 0), np.uint8))
    sender.send(packets(1))  # what came before it is counted
    with StationsSource({"hill": link, "valley": other}) as source:
        while not len(source.read(PATIENCE).packets):
            pass
        assert source.turned_away == {"wrong_size": 4, "empty": 3, "dropped": 11}
        assert source.trouble == (
            "hill: 11 packets dropped by a full queue, "
            "valley: 4 datagrams of 41 bytes where 40 are wanted, 3 empty datagrams"
        )
    sender.close()


def test_udp_packets_bring_their_times_and_the_kernels_drops_are_overruns(monkeypatch):
    """A receive buffer of the least size overflows while nobody reads."""
    monkeypatch.setattr("ds2c2.transport.udp.RECEIVE_BUFFER", 1)
    source = UdpSource("127.0.0.1", 0, FORMAT)
    receiver = source._link
    sender = UdpSender("127.0.0.1", receiver._socket.getsockname()[1], rate=1e6)
    sent = packets(400)
    with source:
        # The collecting thread cannot go on.
        with receiver._came:
            sender.send(sent)
        sender.send(sent[:1])
        came = source.read(PATIENCE)
        times, events = [*came.times], [*came.events]
        while not events:
            # The number of drops rides on the packets that come after them.
            sender.send(sent[:1])
            more = source.read(PATIENCE)
            times += [*more.times]
            events += more.events
    sender.close()
    assert times == sorted(times) and 0 <= times[0] and 0 < len(times) < 400
    assert events[0][0] == "overrun" and 0 <= events[0][1] <= times[-1]
    assert receiver.overflowed > 0 and f"{receiver.overflowed} by the kernel" in source.trouble


def test_the_first_packets_of_a_stream_are_not_parted_by_silence():
    """A receiver that has long listened gets them one by one."""
    with QueuedSource(FORMAT, {}) as link:
        listener, quiet = Listener(link, 0.01, PATIENCE, never, taken=lambda: 0), []
        for count, _ in enumerate(listener):
            quiet.append(listener.quiet)
            if count == 4:
                break
            if count >= 2:
                link.put(Arrivals(packets()))
        assert quiet == [True, True, True, False, False]
