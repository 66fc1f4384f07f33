# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 demo``: photographs across a GNU Radio flowgraph, a table, a contact sheet each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from ds2c2.cli import options
from ds2c2.cli.options import ChannelOptions, RateOptions, unsuited_effect
from ds2c2.cli.spread import changed, takes
from ds2c2.cli.terminal import Table, Terminal
from ds2c2.errors import UserError
from ds2c2.files import check_folder

console = Terminal()
warnings = Terminal(stderr=True)


@dataclass(frozen=True)
class Crossing:
    """What one photograph's way through the flowgraph came to. Rates in bits per pixel."""

    name: str
    small_bpp: float
    side_bpp: float
    enhancement_bpp: float
    header_bpp: float
    sent: int
    lost: int
    repaired: int
    damaged: int
    base_quality: tuple[float, float] | None
    quality: tuple[float, float]
    sheet: Path

    @property
    def bpp(self) -> float:
        return self.small_bpp + self.side_bpp + self.enhancement_bpp


# A fixed number of a frame's blocks, so that pictures compare; bits are many enough by chance.
@takes(stream=RateOptions, channel=changed(ChannelOptions, loss=0.16, channel=None))
def demo(
    stream: RateOptions,
    channel: ChannelOptions,
    pictures: Annotated[list[str], typer.Argument(help="Default: four photographs of scikit-image.")] = [],  # noqa: B006
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where pictures and contact sheets go.")] = "out/demo",
    favour: options.Favour = [],  # noqa: B006
    labels: options.Labels = "",
    effort: options.Effort = 0,
    device: options.Device = "auto",
) -> None:
    """Send photographs through a GNU Radio flowgraph that loses code blocks; show what arrives."""
    from ds2c2.pictures.pictures import list_pictures, sample_photographs

    check_folder(out)
    paths = list_pictures(pictures or sample_photographs())
    emulated = channel.settings()
    emulated["model"] = channel.channel or ("exact" if channel.unit == "block" else "iid")
    link = emulated | {"device": device, "favour": favour, "labels": labels, "effort": effort}
    if warning := unsuited_effect(channel.effect, stream.model):
        warnings.print(f"warning: {warning}", markup=False)
    base = "never hit" if channel.protect_base else "lost like the rest"
    hit = "the code blocks" if channel.unit == "block" else "their bits"
    console.print(
        f"{len(paths)} photographs at {stream.bpp:g} bpp, {channel.loss:.0%} of {hit} hit ({emulated['model']}, "
        f"{channel.effect}), base layer {base}"
    )
    crossings = [
        cross(path, stream, link, Path(out))
        for path in track(paths, description="through the flowgraph", console=console, transient=True)
    ]
    console.print(quality_table(crossings, channel.unit))
    console.print(rate_table(crossings))
    for crossing in crossings:
        console.print(f"wrote {crossing.sheet}", markup=False)


def flowgraph_class() -> type:
    """The loopback flowgraph of ``gnuradio.ds2c2``: the only door from here to GNU Radio."""
    try:
        from gnuradio.ds2c2 import loopback
    except ImportError as error:
        raise UserError(f"GNU Radio or its ds2c2 blocks cannot be loaded ({error}); run `ds2c2 doctor`") from None
    return loopback


def cross(path: Path, rate: RateOptions, link: dict, folder: Path) -> Crossing:
    """Send one picture through the flowgraph and write its contact sheet."""
    from ds2c2.ends.session import common_size
    from ds2c2.pictures.contactsheet import ERROR_GAIN, contact_sheet, error_picture
    from ds2c2.pictures.pictures import write_picture

    stream = rate.of_size(common_size([path]))
    flowgraph = flowgraph_class()(stream, str(path), folder=str(folder / path.stem), **link)
    flowgraph.run_to_end()
    receiver = flowgraph.sink.receiver
    if not receiver.results:
        raise UserError(f"{path.name}: nothing arrived; with --loss {link['loss']:g} no block came through")
    result = receiver.results[0]
    original = receiver.originals.picture(0)
    base = receiver.base_picture
    panels = [
        (f"original, {stream.width}x{stream.height}", original),
        (
            f"base only, {result.base_psnr:.2f} dB" if base is not None else "base lost",
            base if base is not None else np.zeros_like(original),
        ),
        (f"received, {result.psnr:.2f} dB, MS-SSIM {result.ms_ssim:.4f}", receiver.picture),
        (f"error, {ERROR_GAIN} times", error_picture(original, receiver.picture)),
    ]
    by_bit = link["unit"] == "bit"
    lost = flowgraph.channel.bits_hit if by_bit else flowgraph.channel.hit
    of_all = f"{8 * stream.block_size * stream.blocks} bits hit" if by_bit else f"{stream.blocks} code blocks lost"
    title = f"{path.stem}: {stream.sent_bpp:.3f} bpp, {lost} of {of_all}"
    sheet = write_picture(folder / f"{path.stem}-sheet.png", contact_sheet(panels, title))
    per_pixel = 8 / stream.pixels
    small = flowgraph.source.sender.small_bytes
    return Crossing(
        name=path.stem,
        small_bpp=small * per_pixel,
        side_bpp=(stream.base_share * stream.blocks * stream.block_size - small) * per_pixel,
        enhancement_bpp=stream.enhancement_bits / 8 * per_pixel,
        header_bpp=stream.blocks * stream.header_bytes * per_pixel,
        sent=stream.blocks,
        lost=lost,
        repaired=result.base_repaired,
        damaged=result.damaged,
        base_quality=None if base is None else (result.base_psnr, result.base_ms_ssim),
        quality=(result.psnr, result.ms_ssim),
        sheet=sheet,
    )


def quality_table(crossings: list[Crossing], unit: str) -> Table:
    table = Table(
        title="Blocks and quality",
        caption="repaired: of the base layer, its blocks, or symbols of 8 bytes where all carry some",
    )
    counts = ("sent", "lost" if unit == "block" else "bits hit", "repaired", "damaged")
    for heading in ("picture", *counts, "base PSNR", "MS-SSIM", "received PSNR", "MS-SSIM"):
        table.add_column(heading, justify="left" if heading == "picture" else "right", no_wrap=heading == "picture")
    for c in crossings:
        base = (f"{c.base_quality[0]:.2f} dB", f"{c.base_quality[1]:.4f}") if c.base_quality else ("lost", "lost")
        received = (f"{c.quality[0]:.2f} dB", f"{c.quality[1]:.4f}")
        table.add_row(c.name, *map(str, (c.sent, c.lost, c.repaired, c.damaged)), *base, *received)
    return table


def rate_table(crossings: list[Crossing]) -> Table:
    table = Table(title="Rates, bits per pixel", caption="side info: base header, redundancy, checks, unused bytes")
    for heading in ("picture", "c", "side info", "enhancement", "blocks", "packet headers", "in all"):
        table.add_column(heading, justify="left" if heading == "picture" else "right", no_wrap=heading == "picture")
    for c in crossings:
        rates = (c.small_bpp, c.side_bpp, c.enhancement_bpp, c.bpp, c.header_bpp, c.bpp + c.header_bpp)
        table.add_row(c.name, *(f"{rate:.4f}" for rate in rates))
    return table
