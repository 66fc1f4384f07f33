# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a run in one trace: the sender's host told from the channel."""

import numpy as np
import pytest

from ds2c2.stream.packets import Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.losstrace import CRC_FAIL, HOST_DROP, MISSED, OK, LossTrace, TraceError, read_trace_file, write_trace
from ds2c2.traces.merging import SenderLog, merge
from ds2c2.traces.tracerecorder import TraceRecorder

STREAM = StreamFormat(64, 64, bpp=0.9, block_size=32, base_bpp=0.1, base_redundancy=1)
N = STREAM.blocks


def rows(status: list[int], first: int = 0, times: list[float] | None = None, stream=STREAM, **about) -> LossTrace:
    trace = LossTrace.from_losses(np.zeros(len(status), bool), stream, about)
    trace.sequence += first
    trace.frame, trace.block = np.divmod(trace.sequence, stream.blocks)
    trace.status = np.array(status, np.uint8)
    if times is not None:
        trace.time = np.array(times)
    return trace


def test_what_the_senders_host_lost_is_not_the_channels(tmp_path):
    receiver = rows([MISSED, OK, MISSED, CRC_FAIL, OK], first=2, run="r")
    sender = rows([OK, OK, HOST_DROP, OK, OK, HOST_DROP, OK, OK], run="s")
    merged, said = merge(receiver, sender)
    assert merged.sequence.tolist() == list(range(8)) and merged.frame[-1] == 7 // N
    assert merged.status.tolist() == [MISSED, MISSED, HOST_DROP, OK, MISSED, HOST_DROP, OK, MISSED]
    assert merged.lost().tolist() == [True, True, False, True, False, True]
    assert merged.about["merged"] == "sender run s" and merged.about["run"] == "r"
    assert said[0].startswith("2 missing packets were lost by the sender's host")
    assert said[1].startswith("3 packets were sent before the first or after the last")
    path = write_trace(tmp_path / "m.csv", merged)
    assert read_trace_file(path).status.tolist() == merged.status.tolist()


def test_losses_near_an_underrun_of_the_sender_are_the_hosts():
    sender = rows([OK] * 6, times=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    sender.underruns[2] = 3
    receiver = rows([OK, MISSED, MISSED, MISSED, OK, MISSED])
    merged, _ = merge(receiver, sender)
    assert merged.status.tolist() == [OK, MISSED, HOST_DROP, MISSED, OK, MISSED]
    assert merged.underruns.tolist() == [0, 0, 3, 0, 0, 0]
    wider, _ = merge(receiver, sender, window=0.11)
    assert wider.status.tolist() == [OK, HOST_DROP, HOST_DROP, HOST_DROP, OK, MISSED]


def test_a_later_start_of_the_sender_stays_as_it_is():
    receiver = rows([OK, MISSED, MISSED])
    receiver.sequence[2] = 40
    receiver.frame, receiver.block = np.divmod(receiver.sequence, N)
    receiver.about["resumes"] = "40"
    merged, said = merge(receiver, rows([OK, HOST_DROP, HOST_DROP]))
    assert merged.sequence.tolist() == [0, 1, 2, 40] and merged.status.tolist() == [OK, HOST_DROP, HOST_DROP, MISSED]
    assert "from sequence 40 on" in said[-1]


def test_a_long_silence_is_an_outage_where_the_senders_log_goes_on():
    """100 of 300 frames in a row are missing, more than a receiver alone can tell from a restart."""
    log, recorder = SenderLog(STREAM), TraceRecorder(STREAM, first=0)
    packetizer = Packetizer(STREAM)
    for frame in range(300):
        packets = packetizer.pack(np.zeros((N, STREAM.block_size), np.uint8))
        log.take(packets, np.full(N, 0.1 * frame), np.zeros(N, bool))
        if not 100 <= frame < 200:
            recorder.push(packets, np.full(N, 0.1 * frame))
    receiver, sender = recorder.finish(300), log.finish(300)
    assert len(receiver.resumes) == 1 and receiver.about["resumed_at"] == str(200 * N)
    merged, said = merge(receiver, sender)
    assert merged.sequence.tolist() == list(range(300 * N)) and not merged.resumes
    assert np.flatnonzero(merged.lost()).tolist() == list(range(100 * N, 200 * N))
    assert np.nanargmin(np.abs(merged.time - 20.0)) == 200 * N
    assert "did not come in one long silence; it was no restart" in said[0]
    # A sender that began anew is another one, and what the first sent after it was last heard has no place.
    receiver.about["resumed_at"] = "0"
    apart, said = merge(receiver, sender)
    assert apart.resumes == receiver.resumes and (np.diff(apart.sequence) > 0).all()
    assert f"{300 * N - receiver.resumes[0]} packets at the end of the sender's log have no place" in said[-2]


def test_traces_of_two_runs_are_refused():
    with pytest.raises(TraceError, match="no packet in common: the receiver's are 0 to 1, the sender's 7 to 7"):
        merge(rows([OK, OK]), rows([OK], first=7))
    other = StreamFormat(96, 64, bpp=0.9, block_size=32, base_bpp=0.1, base_redundancy=1)
    with pytest.raises(TraceError, match="two stream formats"):
        merge(rows([OK]), rows([OK], stream=other))


def test_a_senders_log_is_no_receivers_trace():
    sender, receiver = rows([OK, HOST_DROP, OK], side="sender"), rows([OK, MISSED, OK])
    with pytest.raises(TraceError, match="the first of the two is a sender's log; the receiver's trace comes first"):
        merge(sender, receiver)


def test_the_senders_log_holds_what_left_the_host():
    """Refused packets are the host's, underruns stand at the packet before; the receiver's own recorder reads them."""
    packets = Packetizer(STREAM).pack(np.zeros((N, STREAM.block_size), np.uint8))
    log, recorder = SenderLog(STREAM), TraceRecorder(STREAM)
    refused, times = np.zeros(N, bool), np.arange(N) / 10
    refused[3] = True
    log.take(packets, times, refused)
    log.host_event("underrun", 0.65)
    recorder.push(packets[[0, 1, 2, 4, 7]], times[[0, 1, 2, 4, 7]] + 5.0)
    sent = log.finish(1)
    assert np.flatnonzero(sent.status == HOST_DROP).tolist() == [3] and np.flatnonzero(sent.underruns).tolist() == [6]
    merged, _ = merge(recorder.finish(), sent)
    assert np.flatnonzero(merged.status == HOST_DROP).tolist() == [3, 6]
    assert np.flatnonzero(merged.status == MISSED).tolist() == [5, *range(8, N)]
