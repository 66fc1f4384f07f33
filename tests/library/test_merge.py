# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings of several stations put together: every block that anybody received is there, once, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2c2.ends.merge import merge
from ds2c2.errors import FormatError, LinkError
from ds2c2.stream.assembler import FrameAssembler
from ds2c2.stream.packets import END_COPIES, Packetizer
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.recording import RecordingWriter

STREAM = StreamFormat(160, 128, bpp=0.6, block_size=48)
N = STREAM.blocks
FRAMES = 6


def sent(seed: int = 1, frames: int = FRAMES, skipped: int = 0, **how) -> np.ndarray:  # noqa: ANN003
    """Packets of random blocks and the end; ``skipped`` frames went before."""
    packetizer = Packetizer(how.pop("stream", STREAM), **how)
    packetizer.sent = skipped * N
    blocks = np.random.default_rng(seed).integers(0, 256, (frames * N, STREAM.block_size), np.uint8)
    return np.concatenate([packetizer.pack(blocks), packetizer.end()])


def record(path, packets: np.ndarray, stream: StreamFormat = STREAM) -> str:  # noqa: ANN001
    with RecordingWriter(path, stream) as recording:
        recording.write(packets)
    return str(path)


def rows_of(merged) -> np.ndarray:  # noqa: ANN001
    return np.concatenate([packets for run in merged.runs for packets in merged.packets(run)])


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), losses=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=1, max_size=4))
def test_the_union_of_what_was_received(tmp_path_factory, seed, losses):
    folder, rng = tmp_path_factory.mktemp("stations"), np.random.default_rng(seed)
    packets = sent()
    came = [rng.random(len(packets)) >= loss for loss in losses]
    for one in came:
        one[: N : N // 4], one[-END_COPIES:] = True, True  # each hears where it begins and ends
    merged = merge([record(folder / str(place), packets[one]) for place, one in enumerate(came)])
    assert np.array_equal(rows_of(merged), packets[np.any(came, axis=0)])
    assert merged.expected == FRAMES * N and merged.blocks == np.any(came, axis=0).sum() - END_COPIES
    data = np.array(came)[:, :-END_COPIES]
    assert [station.blocks for station in merged.stations] == data.sum(axis=1).tolist()
    assert [station.alone for station in merged.stations] == (data & (data.sum(axis=0) == 1)).sum(axis=1).tolist()
    assert all(station.differing == 0 for station in merged.stations)


def test_two_that_each_hear_half_hear_all(tmp_path):
    """Even ones here, odd ones there: no packet in common says that they belong together."""
    packets = sent()
    paths = [record(tmp_path / str(side), np.concatenate([packets[side::2]])) for side in (0, 1)]
    merged = merge(paths)
    assert len(merged.runs) == 1 and np.array_equal(rows_of(merged)[: FRAMES * N], packets[: FRAMES * N])


def test_one_that_joins_later_and_one_that_leaves(tmp_path):
    packets = sent()
    early, late = packets[: 4 * N], packets[2 * N :]
    merged = merge([record(tmp_path / "early", early), record(tmp_path / "late", late)])
    assert np.array_equal(rows_of(merged), packets)
    assert [station.alone for station in merged.stations] == [2 * N, 2 * N]


def test_a_sender_that_restarts_does_so_for_all(tmp_path):
    """One station slept through its first run, another through its second."""
    first, second = sent(1), sent(2)
    whole = record(tmp_path / "whole", np.concatenate([first[::2], second[::2]]))
    paths = [record(tmp_path / "second", second), whole, record(tmp_path / "first", first)]
    merged = merge(paths)
    assert sorted(len(run.frames) for run in merged.runs) == [FRAMES, FRAMES]
    found = {merged.runs[place].blocks for place in range(2)}
    assert found == {FRAMES * N}
    assert all(station.differing == 0 for station in merged.stations)


def test_a_sender_that_was_killed_and_began_anew_is_two(tmp_path):
    """Few frames, so that all of them lie within what a link reorders: silence tells them apart."""
    runs = [sent(1)[: 4 * N - 3], sent(2, frames=3)]
    for name in "ab":
        with RecordingWriter(tmp_path / name, STREAM) as recording:
            for run in runs:
                recording.write(run[:: 1 if name == "a" else 2])
                recording.silence()
    merged = merge([str(tmp_path / "a"), str(tmp_path / "b")])
    assert [len(run.frames) for run in merged.runs] == [4, 3]
    assert np.array_equal(rows_of(merged), np.concatenate(runs))
    assert not any(station.differing for station in merged.stations)


def test_a_run_that_the_first_station_missed_stands_where_it_was(tmp_path):
    runs = [sent(seed, frames=4) for seed in (1, 2, 3)]
    for name, heard in (("a", (0, 2)), ("b", (0, 1, 2))):
        with RecordingWriter(tmp_path / name, STREAM) as recording:
            for run in heard:
                recording.silence()
                recording.write(runs[run])
    merged = merge([str(tmp_path / "a"), str(tmp_path / "b")])
    assert np.array_equal(rows_of(merged), np.concatenate(runs))


def test_a_sender_that_sends_the_same_pictures_again_is_two(tmp_path):
    one = sent(1, frames=4)
    for name in "ab":
        with RecordingWriter(tmp_path / name, STREAM) as recording:
            for _ in range(2):
                recording.silence()
                recording.write(one)
    merged = merge([str(tmp_path / "a"), str(tmp_path / "b")])
    assert np.array_equal(rows_of(merged), np.concatenate([one, one]))
    assert (merged.blocks, merged.expected) == (8 * N, 8 * N)
    assert [station.blocks for station in merged.stations] == [8 * N] * 2


def test_what_one_station_has_otherwise_is_counted(tmp_path):
    packets, other = sent(), sent()
    other[:3] = sent(9)[:3]
    merged = merge([record(tmp_path / "a", packets), record(tmp_path / "b", other)])
    assert merged.stations[1].differing == 3 and np.array_equal(rows_of(merged), packets)


def test_what_is_merged_is_received_like_any_recording(tmp_path):
    """And signed packets are still signed."""
    key = bytes(range(32))
    from ds2c2.stream.packetcheck import signed_with

    stream = signed_with(STREAM, key)
    packets = sent(stream=stream, key=key, session=1000)
    rng = np.random.default_rng(3)
    paths = [record(tmp_path / name, packets[rng.random(len(packets)) > 0.3], stream) for name in "ab"]
    merged = merge(paths, key=key)
    assembler = FrameAssembler(stream, key=key)
    frames = assembler.push(rows_of(merged)) + assembler.flush()
    assert [frame.number for frame in frames] == list(range(FRAMES)) and assembler.ended
    assert assembler.counts.used == merged.blocks and assembler.counts.forged == 0


def test_recordings_that_do_not_belong_together(tmp_path):
    one = record(tmp_path / "one", sent())
    other = StreamFormat(160, 128, bpp=0.7, block_size=48)
    with pytest.raises(FormatError, match="two: of another stream format than .*one"):
        merge([one, record(tmp_path / "two", sent()[:0], other)])
    with pytest.raises(LinkError, match="nowhere"):
        merge([one, str(tmp_path / "nowhere")])
