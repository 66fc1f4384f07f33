# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a run in one trace: what the sender's own host lost is told from what the channel lost.

A sender's log is a loss trace too, of what it sent: ``ok`` left the host, ``host_drop`` did not, and ``underruns``
stand where its radio ran out of samples. The receiver alone sees only that packets are missing.
"""

from dataclasses import replace

import numpy as np

from ds2c2.stream.packets import FRAME_MODULUS
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.packetfates import COLUMNS, CRC_FAIL, DUPLICATE, HOST_DROP, MISSED, OK, REALS, LossTrace, TraceError
from ds2c2.traces.tracerecorder import HOST_WINDOW, TraceRecorder

SENDER = "sender"  # value of the key ``side`` of its log


class SenderLog:
    """Notes what a sender sends, packet by packet.

    Args:
        stream_format, stream_number, key: of the stream
        about: ``# key: value`` lines beside those of a ``TraceRecorder``
    """

    def __init__(
        self,
        stream_format: StreamFormat,
        stream_number: int = 0,
        key: bytes = b"",
        about: dict[str, str] | None = None,
    ):
        about = {"side": SENDER} | (about or {})
        self._recorder = TraceRecorder(stream_format, stream_number, 0, about=about, key=key)

    def take(self, packets: np.ndarray, times: np.ndarray, refused: np.ndarray) -> None:
        """Packets ``uint8[n, packet_bytes]`` that were to be sent at these times ``float[n]`` in seconds since the
        run began, and which of them the host did not send, ``bool[n]``."""
        self._recorder.push(packets[~refused], times[~refused])

    def host_event(self, kind: str, time: float) -> None:
        """An underrun or late packet of the radio, seconds since the run began. Raises ``TraceError``."""
        self._recorder.host_event(kind, time)

    def finish(self, frames: int) -> LossTrace:
        """The log of a stream of so many frames. Raises ``TraceError`` where nothing was sent at all."""
        trace = self._recorder.finish(frames)
        # On the sender nothing is lost but by the host.
        trace.status[trace.status == MISSED] = HOST_DROP
        return trace


def merge(receiver: LossTrace, sender: LossTrace, window: float = HOST_WINDOW) -> tuple[LossTrace, list[str]]:
    """The receiver's trace with all packets that the sender's log names, in the order of sending; and what is to be
    said of it.

    What is missing at the receiver is the host's where the sender did not send it, or sent it within ``window``
    seconds of an underrun. Packets before and after those that the receiver knows become rows. Where the receiver's
    trace ``resumes`` and the sender's log, which knows of no restart, goes on to the number it resumed at, what lies
    between was sent and did not come. From another restart on the trace stays as it is, for its numbers are other ones
    than the sender's. Raises ``TraceError`` for traces of two streams.
    """
    if receiver.about.get("side") == SENDER:
        raise TraceError("the first of the two is a sender's log; the receiver's trace comes first, the log after it")
    formats = (receiver.stream_format, sender.stream_format)
    if None not in formats and formats[0].digest != formats[1].digest:
        raise TraceError(f"the two traces are of two stream formats: {formats[0].text} and {formats[1].text}")
    receiver, said = _joined(receiver, sender)
    end = receiver.resumes[0] if receiver.resumes else None
    sent = _once(sender, sender.resumes[0] if sender.resumes else None)
    known = receiver.sequence if end is None else receiver.sequence[receiver.sequence < end]
    common = np.intersect1d(known, sent.sequence)
    if not len(common):
        raise TraceError(
            "the two traces have no packet in common: the receiver's are "
            f"{receiver.sequence[0]} to {receiver.sequence[-1]}, the sender's {sent.sequence[0]} to {sent.sequence[-1]}"
        )
    # Behind a restart the numbers are those of other packets.
    placed = sent.sequence if end is None else sent.sequence[sent.sequence < end]
    merged = _with_rows(receiver, np.setdiff1d(placed, known))
    place = np.searchsorted(sent.sequence, merged.sequence).clip(0, len(sent) - 1)
    matched = sent.sequence[place] == merged.sequence
    if end is not None:
        matched &= merged.sequence < end
    hosts = _of_the_host(sent, window)[place] & matched & np.isin(merged.status, (MISSED, CRC_FAIL))
    status = np.where(hosts, HOST_DROP, merged.status)
    first = matched & (merged.status != DUPLICATE)
    about = receiver.about | {"merged": f"sender run {sender.about.get('run', '')}".rstrip()}
    said += [f"{int(hosts.sum())} missing packets were lost by the sender's host, not by the channel"]
    if added := len(merged) - len(receiver):
        said.append(f"{added} packets were sent before the first or after the last one that the receiver knows of")
    if unsent := int(((merged.status == OK) & ~matched & (merged.sequence < (end or np.inf))).sum()):
        said.append(f"{unsent} packets arrived that the sender's log does not name")
    if beyond := len(sent) - len(placed):
        said.append(f"{beyond} packets at the end of the sender's log have no place before sequence {end}; left out")
    if end is not None:
        said.append(f"from sequence {end} on the receiver's trace is of another start of the sender and stays as it is")
    return replace(
        merged,
        status=status,
        underruns=merged.underruns + np.where(first, sent.underruns[place], 0),
        overruns=merged.overruns,
        about=about,
    ), said


def _joined(receiver: LossTrace, sender: LossTrace) -> tuple[LossTrace, list[str]]:
    """The receiver's trace without the restarts that were none: a silence so long that it was taken for one, of a
    sender whose log goes on to the number that was heard next."""
    stream, said = receiver.stream_format, []
    while stream and receiver.resumes and not sender.resumes and (numbers := receiver.resumed_at):
        begin, at, turn = receiver.resumes[0], numbers[0], FRAME_MODULUS * stream.blocks
        # Frame numbers of packets have 16 bits.
        at += turn * max(0, -((at - begin) // turn))
        if at > sender.sequence[-1]:
            break
        columns = {name: getattr(receiver, name) for name in COLUMNS}
        columns["sequence"] = np.where(receiver.sequence >= begin, receiver.sequence + at - begin, receiver.sequence)
        columns["frame"], columns["block"] = np.divmod(columns["sequence"], stream.blocks)
        about = dict(receiver.about)
        later = [number + at - begin for number in receiver.resumes[1:]]
        for key, rest in (("resumes", later), ("resumed_at", numbers[1:])):
            about[key] = " ".join(map(str, rest))
            if not rest:
                del about[key]
        receiver = LossTrace(**columns, about=about)
        said.append(
            f"{at - begin} packets from sequence {begin} on did not come in one long silence; it was no restart"
        )
    return receiver, said


def _once(sender: LossTrace, end: int | None) -> LossTrace:
    """The first row of each packet of the sender's first start."""
    kept = sender.status != DUPLICATE
    if end is not None:
        kept &= sender.sequence < end
    return replace(sender, **{name: getattr(sender, name)[kept] for name in COLUMNS})


def _of_the_host(sent: LossTrace, window: float) -> np.ndarray:
    """Packets that the sender did not send, or near an underrun, ``bool[n]``."""
    found = sent.status == HOST_DROP
    events = np.sort(sent.time[(sent.underruns > 0) & ~np.isnan(sent.time)])
    if len(events):
        times = np.nan_to_num(sent.time, nan=-np.inf)
        before = np.searchsorted(events, times + window, side="right") - np.searchsorted(events, times - window)
        found = found | (before > 0)
    return found


def _with_rows(receiver: LossTrace, added: np.ndarray) -> LossTrace:
    """The trace with missed packets of these numbers, in order."""
    stream = receiver.stream_format
    blocks = stream.blocks if stream else None
    columns = {}
    order = np.argsort(np.concatenate([receiver.sequence, added]), kind="stable")
    for name in COLUMNS:
        if name == "sequence":
            more = added
        elif name == "status":
            more = np.full(len(added), MISSED)
        elif name in REALS:
            more = np.full(len(added), np.nan)
        elif name in ("frame", "block"):
            more = (added // blocks if name == "frame" else added % blocks) if blocks else added * (name == "frame")
        else:
            more = np.zeros(len(added), int)
        columns[name] = np.concatenate([getattr(receiver, name), more])[order]
    return LossTrace(**columns, about=receiver.about)
