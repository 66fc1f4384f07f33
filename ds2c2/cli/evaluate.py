# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate``: PSNR and MS-SSIM over loss for a folder of pictures."""

import json
import os
import platform
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ds2c2.channel import ChannelError
from ds2c2.cli import options
from ds2c2.cli.options import DEFAULTS, unsuited_effect

console = Console(highlight=False, soft_wrap=True)
LOSSES = [0.0, 0.16, 0.5]  # the paper's pe_test, and half


def evaluate(
    pictures: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    rules: Annotated[
        Literal["paper", "air"],
        typer.Option(help="paper: base layer unprotected and never lost; air: lost like the rest."),
    ] = "air",
    loss: Annotated[
        list[float] | None, typer.Option(help="Share of the blocks (bits) hit; may be repeated. Default: 0, 0.16, 0.5.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of the channel for each picture and loss.")] = 3,
    effect: options.Effect = "erase",
    unit: options.Unit = "block",
    bpp: options.Bpp = DEFAULTS["bpp"],
    block_size: options.BlockSize = DEFAULTS["block_size"],
    base_bpp: options.BaseBpp = DEFAULTS["base_bpp"],
    redundancy: options.Redundancy = DEFAULTS["base_redundancy"],
    interleave: options.Interleave = DEFAULTS["interleave"],
    seed: options.Seed = DEFAULTS["seed"],
    model: options.Model = DEFAULTS["model"],
    device: options.Device = "auto",
    out: Annotated[str, typer.Option(metavar="FILE", help="JSON with every measurement, in CompressAI's shape.")] = "",
) -> None:
    """Measure received pictures at several loss rates and print the means."""
    import torch

    from ds2c2.evaluation.losscurve import as_json, measure_picture, summary
    from ds2c2.pictures import list_pictures

    paths = list_pictures(pictures)
    if trouble := unsuited_effect(effect, model):
        raise ChannelError(f"figures would mislead: {trouble}")
    settings = {
        "bpp": bpp, "block_size": block_size, "base_bpp": base_bpp, "base_redundancy": redundancy,
        "interleave": interleave, "seed": seed, "model": model,
    }  # fmt: skip
    met = f"effect {effect}" + (" on single bits" if unit == "bit" else "")
    measurements = []
    for path in track(paths, description="pictures", console=console, transient=True):
        measurements += measure_picture(path, settings, rules, loss or LOSSES, draws, effect, device, unit)
    table = Table(title=f"{len(paths)} pictures, {rules} rules, {met}, {bpp:g} bpp asked, {draws} draws")
    for heading in ("loss", "bpp", "on air", "PSNR dB", "MS-SSIM", "base PSNR dB", "worst gain dB", "base lost"):
        table.add_column(heading, justify="right")
    for row in summary(measurements):
        table.add_row(
            f"{row['loss']:.0%}",
            *(f"{row[field]:.4f}" for field in ("bpp", "air_bpp")),
            f"{row['psnr']:.2f}",
            f"{row['ms_ssim']:.4f}",
            f"{row['base_psnr']:.2f}",
            f"{row['worst_gain']:+.2f}",
            f"{row['concealed']:.1%}",
        )
    console.print(table)
    if out:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
        described = f"{rules} rules, {met}, {draws} draws, redundancy {redundancy:g}, {machine}"
        part = Path(out).with_suffix(".part")
        part.write_text(json.dumps(as_json(measurements, f"ds2c2-{model}", described), indent=1))
        os.replace(part, out)
        console.print(f"wrote {out}", markup=False)
