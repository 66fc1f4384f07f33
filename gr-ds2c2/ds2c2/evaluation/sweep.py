# SPDX-License-Identifier: GPL-3.0-or-later
"""A link at several SNRs: what became of the packets, and what pictures were received.

One CSV a sweep, a row an SNR, after lines ``# key: value`` that say what was measured; a sweep
that was interrupted goes on where it stopped.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ds2c2.codec.codec import Codec
from ds2c2.ends.session import PictureFeed, ReceivingEnd, SendingEnd
from ds2c2.ends.trial import soft_frames
from ds2c2.errors import ExitCode, UserError
from ds2c2.files import make_folder, write_text
from ds2c2.links.linkframes import ModemCounts
from ds2c2.stream.interleaver import Interleaver
from ds2c2.stream.packets import FRAME_MODULUS, Packetizer, PacketParser
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.traces.lossmodels import batch_interval
from ds2c2.traces.losstrace import HOST_DROP, LossTrace
from ds2c2.traces.tracerecorder import TraceRecorder
from ds2c2.transport.packetsource import Arrivals

MAGIC = "# ds2c2 sweep 1"
MOST_POINTS = 1000


class SweepError(UserError):
    """SNRs that are no list, a folder with another sweep, a file that is none."""

    exit_code = ExitCode.MEASUREMENT


@dataclass(frozen=True)
class SweepPoint:
    """What was measured at one SNR.

    ``packets`` were sent; ``missed`` ones were not noticed, ``header`` and ``crc`` ones were and
    failed there, ``host`` ones this computer dropped; ``false_alarms`` were no packets.
    ``per_low`` and ``per_high`` are the 95 % interval of the packet error rate, by batch means,
    which respect bursts. ``snr_estimate`` is the receiver's, in dB. ``psnr`` (dB) and ``ms_ssim`` are
    means over ``pictures`` received ones, those of concealed frames too, ``psnr_low`` the worst;
    ``concealed`` ones had no base layer.
    """

    snr: float
    packets: int
    passed: int
    missed: int
    header: int
    crc: int
    host: int
    false_alarms: int
    per: float
    per_low: float
    per_high: float
    snr_estimate: float
    pictures: int
    psnr: float
    psnr_low: float
    ms_ssim: float
    concealed: int


def parse_snrs(text: str) -> list[float]:
    """``8:24:1`` (from, to, step; to included) or ``8,10,12.5``. Raises ``SweepError``."""
    wanted = f"SNRs {text!r}: write FROM:TO:STEP in dB, 8:24:1, or a list, 8,10,12"
    try:
        numbers = [float(word) for word in text.replace(":", ",").split(",")]
    except ValueError:
        raise SweepError(wanted) from None
    if not all(map(math.isfinite, numbers)):
        raise SweepError(wanted)
    if ":" in text:
        if "," in text or len(numbers) != 3 or numbers[2] <= 0 or numbers[1] < numbers[0]:
            raise SweepError(wanted)
        low, high, step = numbers
        # In thousandths, so that 0.1 dB add up.
        steps = round((high - low) * 1000) // max(1, round(step * 1000))
        if steps >= MOST_POINTS:
            raise SweepError(f"SNRs {text!r} are {steps + 1}; {MOST_POINTS} at most")
        numbers = [round(low + place * step, 3) for place in range(steps + 1)]
    return list(dict.fromkeys(numbers))


class SweepStream:
    """The packets of a sweep: pictures over and over, encoded once each.

    Args:
        stream: its format
        pictures: files, folders or globs
        packets: how many are sent at least; whole groups of frames are
        fit: how pictures of another size are fitted
        measured: frames that are decoded at each SNR, from the first on
        device: of the codec

    Raises ``UserError``.
    """

    def __init__(
        self,
        stream: StreamFormat,
        pictures: Sequence[str],
        packets: int,
        fit: str = "pad",
        measured: int = 4,
        device: str = "auto",
    ):
        self._codec = Codec(stream, device)
        self.stream = self._codec.stream
        self._interleaver = Interleaver(self.stream)
        self._feed = PictureFeed(list(pictures), stream.width, stream.height, fit, repeat=True)
        sender = SendingEnd(self._codec, self._feed)
        depth = self.stream.depth
        groups = math.ceil(packets / self.stream.blocks / depth)
        if groups * depth >= FRAME_MODULUS:
            raise SweepError(f"{packets} packets are {groups * depth} frames; {FRAME_MODULUS - 1} at most")
        self.frames = groups * depth
        self.measured = min(self.frames, depth * math.ceil(measured / depth))
        # Pictures repeat, and so do groups of them.
        period = math.lcm(depth, len(self._feed.paths)) // depth
        mixed = []
        for _ in range(min(groups, period)):
            frames = np.stack([sender.next_frame().blocks for _ in range(depth)])
            mixed.append(self._interleaver.interleave(frames))
        blocks = np.concatenate([mixed[group % period] for group in range(groups)])
        self.packets = Packetizer(self.stream).pack(blocks.reshape(-1, self.stream.block_size))

    def measure(self, snr: float, arrivals: Sequence[Arrivals], counts: ModemCounts) -> tuple[SweepPoint, LossTrace]:
        """The point of an SNR, and its loss trace, from what was noticed on the link."""
        recorder = TraceRecorder(self.stream, first=0)
        for arrived in arrivals:
            recorder.take(arrived)
        trace = recorder.finish(self.frames)
        lost = trace.lost(host_drops=True)
        host = int((trace.status == HOST_DROP).sum())
        low, high = batch_interval(lost)
        # False alarms fail, too, and are no packets.
        crc = min(counts.crc_failed, len(self.packets) - counts.passed)
        header = min(counts.header_failed, len(self.packets) - counts.passed - crc)
        good = [np.zeros((0, self.packets.shape[1]), np.uint8), *(arrived.good for arrived in arrivals)]
        received = self._receive(np.concatenate(good))
        psnrs = [result.psnr for result in received.results]
        seen = trace.snr_db[~np.isnan(trace.snr_db)]
        point = SweepPoint(
            snr=snr,
            packets=len(self.packets),
            passed=counts.passed,
            missed=max(0, len(self.packets) - counts.passed - crc - header - host),
            header=header,
            crc=crc,
            host=host,
            false_alarms=max(0, counts.detected - counts.passed - crc - header),
            per=1 - counts.passed / len(self.packets),
            per_low=low,
            per_high=high,
            snr_estimate=float(np.median(seen)) if len(seen) else math.nan,
            pictures=len(psnrs),
            psnr=float(np.mean(psnrs)),
            psnr_low=min(psnrs),
            ms_ssim=float(np.mean([result.ms_ssim for result in received.results])),
            concealed=received.concealed,
        )
        return point, trace

    def _receive(self, packets: np.ndarray) -> ReceivingEnd:
        stream = self.stream
        parsed = PacketParser(stream).parse(packets)
        near = parsed.frames < self.measured
        place = parsed.frames[near], parsed.indices[near]
        blocks = np.zeros((self.measured, stream.blocks, stream.block_size), np.uint8)
        arrived = np.zeros(blocks.shape[:2], bool)
        blocks[place], arrived[place] = parsed.blocks[near], True
        receiver = ReceivingEnd(self._codec, originals=self._feed)
        for start in range(0, self.measured, stream.depth):
            group = slice(start, start + stream.depth)
            for frame, one in enumerate(soft_frames(self._interleaver, blocks[group], arrived[group]), start):
                receiver.take(frame, one)
        return receiver


class SweepFile:
    """The CSV of a sweep in a folder; ``points`` by SNR.

    Args:
        folder: made if it is not there
        about: what is measured, ``{key: value}``; a file with another one is not continued

    Raises ``SweepError``.
    """

    NAME = "sweep.csv"
    COLUMNS = tuple(field.name for field in fields(SweepPoint))

    def __init__(self, folder: str | Path, about: dict[str, str]):
        self.path = Path(folder) / self.NAME
        self.about = {key: " ".join(str(value).split()) for key, value in about.items()}
        self.points: dict[float, SweepPoint] = {}
        make_folder(self.path.parent)
        if self.path.exists():
            self._read()

    def add(self, point: SweepPoint) -> None:
        """Keep a point; the file is whole at any time. Raises ``FileError``."""
        self.points[point.snr] = point
        out = io.StringIO()
        out.write("\n".join([MAGIC, *(f"# {key}: {value}".rstrip() for key, value in self.about.items())]) + "\n")
        table = csv.DictWriter(out, self.COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(self.points[snr]) for snr in sorted(self.points))
        write_text(self.path, out.getvalue())

    def _read(self) -> None:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise SweepError(f"{self.path}: not a sweep; choose another folder") from None
        if not lines or lines[0] != MAGIC:
            raise SweepError(f"{self.path}: not a sweep; choose another folder")
        notes = [line[1:].partition(":") for line in lines[1:] if line.startswith("#")]
        about = {key.strip(): value.strip() for key, _, value in notes}
        for key in {**about, **self.about}:
            if about.get(key) != self.about.get(key):
                raise SweepError(
                    f"{self.path}: holds a sweep with {key} {about.get(key)!r}, not {self.about.get(key)!r}; "
                    "choose another folder, or the same settings to continue it"
                )
        kinds = {field.name: field.type for field in fields(SweepPoint)}
        try:
            for row in csv.DictReader(line for line in lines if not line.startswith("#")):
                point = SweepPoint(**{name: kinds[name](value) for name, value in row.items()})
                self.points[point.snr] = point
        except (KeyError, TypeError, ValueError) as error:
            raise SweepError(f"{self.path}: damaged ({error}); remove it, or choose another folder") from None
