# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ds2c2 receive`` says of frames, in sentences or as lines of JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

import typer

from ds2c2.cli import options
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.stream.assembler import LinkCounts
from ds2c2.stream.streamformat import StreamFormat
from ds2c2.transport.packetsource import StationCounts


class Teller:
    """Says what happens. With ``as_json`` the standard output has JSON alone, a line a frame and one at the end, and
    sentences go to the standard error."""

    def __init__(self, as_json: bool = False):
        self._json = as_json
        self._console = Terminal(stderr=as_json)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    def table(self, table: Table) -> None:
        self._console.print(table)

    def frames(self, results: list, stream: StreamFormat, delays: Sequence[float | None] = ()) -> None:
        """A line for each ``FrameResult``; in sentences, frames of which nothing came are one together. ``delays``:
        seconds from each one's picture to its being shown, None where the sender says nothing of it."""
        told = zip(results, delays or [None] * len(results), strict=True)
        if self._json:
            for result, delay in told:
                typer.echo(json.dumps(as_dict(result, delay)))
            return
        for lost, run in groupby(told, lambda one: one[0].nothing):
            some = list(run)
            for line in (
                [describe_lost([result for result, _ in some])]
                if lost
                else [describe(result, stream, delay) for result, delay in some]
            ):
                self.say(line)

    def counts(self, counts: LinkCounts, trouble: str) -> None:
        self.say(f"packets: {counts.line()}{f', {trouble}' if trouble else ''}")

    def stations(self, stations: Mapping[str, StationCounts]) -> None:
        """A line for each station by its name."""
        for name, counts in stations.items():
            self.say(
                f"{name}: {options.counted(counts.received, 'packet')}, {counts.first} of them the first of their kind"
            )

    def done(
        self,
        receiving,  # noqa: ANN001
        packets: Mapping[str, int],
        out: str,
        written: int,
        trouble: str,
        stations: Mapping[str, StationCounts] = MappingProxyType({}),
    ) -> None:
        """The end of what a ``ReceivingEnd`` received: ``written`` pictures went to ``out``, if that is not empty."""
        self.say(totals(receiving, out, written))
        if self._json:
            concealed = receiving.concealed - receiving.lost
            frames = {
                "received": receiving.frames - receiving.concealed, "concealed": concealed, "lost": receiving.lost,
                "written": written,
            }  # fmt: skip
            end = {"event": "end", "frames": frames, "packets": dict(packets), "out": out or None, "trouble": trouble}
            if stations:
                end["stations"] = {name: vars(heard) for name, heard in stations.items()}
            typer.echo(json.dumps(end))


def as_dict(result, delay: float | None = None) -> dict:  # noqa: ANN001 - FrameResult; importing it would import torch
    """A frame's result with names that say units; what is not known is None."""

    def known(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else round(value, 5)

    return {
        "event": "frame", "frame": result.frame, "concealed": result.concealed, "nothing": result.nothing,
        "base_lost": result.base_lost, "enhancement_lost": result.enhancement_lost,
        "base_repaired": result.base_repaired, "damaged": result.damaged, "psnr_db": known(result.psnr),
        "ms_ssim": known(result.ms_ssim), "delay_s": known(delay),
        "path": str(result.path) if result.path else None,
    }  # fmt: skip


def describe(result, stream: StreamFormat, delay: float | None = None) -> str:  # noqa: ANN001 - FrameResult
    if result.nothing:
        return describe_lost([result])
    words = [f"frame {result.frame}:", "concealed, its base layer was lost" if result.concealed else "received"]
    if stream.layout == "spread":
        lost = f"{options.counted(result.enhancement_lost, 'block')} lost"
        repaired = f"{options.counted(result.base_repaired, 'symbol')} of the base layer repaired"
    else:
        lost = f"{result.base_lost} base and {result.enhancement_lost} enhancement blocks lost"
        repaired = f"{result.base_repaired} repaired"
    words.append(f"({lost}, {repaired}{f', {result.damaged} damaged' if result.damaged else ''})")
    if result.psnr is not None:
        words.append(f"PSNR {result.psnr:.2f} dB, MS-SSIM {result.ms_ssim:.4f}")
    if delay is not None:
        words.append(f"delay {delay:.2f} s")
    if result.path is not None:
        words.append(f"-> {result.path}")
    return " ".join(words)


def describe_lost(results: list) -> str:
    first, last = results[0].frame, results[-1].frame
    where = f"frame {first}" if first == last else f"frames {first} to {last}"
    measured = [result.psnr for result in results if result.psnr is not None]
    shown = f", PSNR {sum(measured) / len(measured):.2f} dB of what was there before" if measured else ""
    return f"{where}: nothing came{shown}, not written"


def totals(receiving, out: str, written: int) -> str:  # noqa: ANN001 - ReceivingEnd
    """The last line: what was written where, or shown."""
    lost = f"; nothing came of {options.counted(receiving.lost, 'frame')}" if receiving.lost else ""
    concealed = receiving.concealed - receiving.lost
    done = (
        f"wrote {options.counted(written, 'picture')} to {out}"
        if out
        else f"showed {options.counted(receiving.frames - receiving.lost, 'picture')}"
    )
    return f"{done}, {concealed} of them concealed{lost}"


def same_size(stream: StreamFormat) -> str:
    """The remedy where packets have another size."""
    size = stream.packet_bytes
    return f"if the sender sent them, give its --format, and a UDP Sink of GNU Radio the payload size {size}"
