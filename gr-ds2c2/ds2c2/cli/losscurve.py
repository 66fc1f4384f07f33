# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 evaluate`` without tables and figures: PSNR and MS-SSIM of one model over the loss rate."""

import json
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ds2c2.channels.channel import ChannelError
from ds2c2.cli.options import counted, unsuited_effect
from ds2c2.cli.terminal import Table
from ds2c2.files import check_free, make_folder, write_text
from ds2c2.stream.streamformat import DEFAULT_SURVIVE

LOSSES = [0.0, 0.16, 0.5]  # the paper's pe_test, and half


def loss_curve(
    pictures: list[str],
    settings: dict,
    rules: str,
    losses: list[float] | None,
    draws: int,
    effect: str,
    unit: str,
    device: str,
    out: str,
    console: Console,
    vgg: str = "",
    lpips: str = "",
    perception: str = "",
    effort: int = 0,
) -> None:
    """Measure received pictures, print the means, write every measurement to ``out`` unless it is empty.

    ``settings`` are a stream format's, ``effort`` the codec's; ``vgg``, ``lpips`` and ``perception`` the
    checkpoints of perceptual distances, empty for none. Raises ``UserError``.
    """
    import torch

    from ds2c2.evaluation.losscurve import as_json, measure_picture, summary
    from ds2c2.pictures.pictures import list_pictures

    check_free(out)
    paths, model = list_pictures(pictures), settings["model"]
    if trouble := unsuited_effect(effect, model):
        raise ChannelError(f"figures would mislead: {trouble}")
    met = f"effect {effect}" + (" on single bits" if unit == "bit" else "")
    distances, seen = {}, None
    if vgg or lpips or perception:
        from ds2c2.evaluation.perception import distances_by

        distances, seen = distances_by(vgg, lpips, perception, device)
    measurements = []
    for path in track(paths, description="pictures", console=console, transient=True):
        measurements += measure_picture(
            path, settings, rules, losses or LOSSES, draws, effect, device, unit, seen, effort=effort
        )
    often = counted(draws, "draw")
    title = f"{counted(len(paths), 'picture')}, {rules} rules, {met}, {settings['bpp']:g} bpp asked, {often}"
    table = Table(title=title)
    headings = ("loss", "bpp", "on air", "PSNR dB", "MS-SSIM", "base PSNR dB", "worst gain dB", "base lost")
    for heading in (*headings, *distances.values()):
        table.add_column(heading, justify="right", overflow="fold")
    for row in summary(measurements):
        table.add_row(
            f"{row['loss']:.0%}",
            *(f"{row[field]:.4f}" for field in ("bpp", "air_bpp")),
            f"{row['psnr']:.2f}",
            f"{row['ms_ssim']:.4f}",
            f"{row['base_psnr']:.2f}",
            f"{row['worst_gain']:+.2f}",
            f"{row['concealed']:.1%}",
            *(f"{row[field]:.4f}" for field in distances),
        )
    console.print(table)
    if out:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
        survive, redundancy = settings.get("survive", DEFAULT_SURVIVE), settings.get("base_redundancy")
        protected = f"survive {survive:g}" if redundancy is None else f"redundancy {redundancy:g}"
        refined = f", effort {effort}" if effort else ""
        described = f"{rules} rules, {met}, {often}, {protected}{refined}, {machine}"
        make_folder(Path(out).parent)
        write_text(out, json.dumps(as_json(measurements, f"ds2c2-{model}", described), indent=1))
        console.print(f"wrote {out}", markup=False)
