# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ds2c2 receive`` says of frames."""

from itertools import groupby

from rich.console import Console

from ds2c2.cli import options
from ds2c2.stream.streamformat import StreamFormat


def show(console: Console, results: list) -> None:
    """A line for each ``FrameResult``; frames of which nothing came are one line together."""
    for lost, run in groupby(results, lambda result: result.nothing):
        some = list(run)
        for line in [describe_lost(some)] if lost else map(describe, some):
            console.print(line, markup=False)


def describe(result) -> str:  # noqa: ANN001 - FrameResult; importing it would import torch
    if result.nothing:
        return describe_lost([result])
    words = [f"frame {result.frame}:", "concealed, its base layer was lost" if result.concealed else "received"]
    words.append(
        f"({result.base_lost} base and {result.enhancement_lost} enhancement blocks lost, "
        f"{result.base_repaired} repaired{f', {result.damaged} damaged' if result.damaged else ''})"
    )
    if result.psnr is not None:
        words.append(f"PSNR {result.psnr:.2f} dB, MS-SSIM {result.ms_ssim:.4f}")
    if result.path is not None:
        words.append(f"-> {result.path}")
    return " ".join(words)


def describe_lost(results: list) -> str:
    first, last = results[0].frame, results[-1].frame
    where = f"frame {first}" if first == last else f"frames {first} to {last}"
    measured = [result.psnr for result in results if result.psnr is not None]
    shown = f", PSNR {sum(measured) / len(measured):.2f} dB of what was there before" if measured else ""
    return f"{where}: nothing came{shown}, not written"


def totals(receiving, out: str) -> str:  # noqa: ANN001 - ReceivingEnd
    """The last line: what was written where, or shown."""
    lost = f"; nothing came of {options.counted(receiving.lost, 'frame')}" if receiving.lost else ""
    concealed = receiving.concealed - receiving.lost
    done = (
        f"wrote {options.counted(receiving.written, 'picture')} to {out}"
        if out
        else f"showed {options.counted(receiving.frames - receiving.lost, 'picture')}"
    )
    return f"{done}, {concealed} of them concealed{lost}"


def same_size(stream: StreamFormat) -> str:
    """The remedy where packets have another size."""
    return f"give the sender's --format, and a UDP Sink of GNU Radio the payload size {stream.packet_bytes}"
