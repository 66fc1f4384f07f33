# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card: what weights were made from, how, and what they give."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ds2c2.evaluation import modelcard
from ds2c2.evaluation.judge import JUDGED_LOG_STEPS, Judgement
from ds2c2.evaluation.modelcard import machine, table
from ds2c2.networks.profiles import PROFILES
from ds2c2.training.loop import Trainer, TrainingSettings


@dataclass(frozen=True)
class Report:
    """What a card says beside what the trainer knows.

    ``held_out`` says in words which pictures ``after`` (and, for an update, ``before``) were
    measured on; ``about`` is the user's word on the pictures and their terms. ``after`` is None until
    they have been measured: weights without a card would not say whose terms bind them.
    """

    command: str
    about: str
    pictures: list[Path]
    held_out: str
    after: list[Judgement] | None
    before: list[Judgement] = field(default_factory=list)


def write_card(path: Path, trainer: Trainer, report: Report) -> Path:
    """Write the card beside the weights, ``name.md``."""
    settings = trainer.settings
    folders = Counter(p.parent.name for p in report.pictures)
    counted = ", ".join(f"{name}: {count}" for name, count in sorted(folders.items()))
    facts = {
        "pictures": report.about or "not described",
        "of them trained on": f"{len(report.pictures)}, by folder {counted}",
        **_origin(settings),
        "steps": f"{trainer.step} of {settings.steps}, batch {settings.batch}, crops of {settings.crop} pixels",
        "seed, learning rate, precision": f"{settings.seed}, {settings.learning_rate:g}, {settings.precision}",
        "time": f"{trainer.seconds / 3600:.2f} h on {machine(trainer.device)}",
        "shape": f"`{settings.shape.as_dict()}`",
        "command": f"`{report.command}`",
    }
    what = f"Weights of the `{settings.profile}` profile,{_part(settings)}"
    return modelcard.write_card(
        path, trainer.networks, what, facts, _results(report, PROFILES[settings.profile].load("rules"))
    )


def _part(settings: TrainingSettings) -> str:
    if settings.objective == "mse":
        return ""
    return (
        f"\nOf them the decoder alone, trained with L1 + SSIM + VGG for the eye; the rest is in {settings.start_from}, "
        "which must be there.\nWhat is sent is the same with both."
    )


def _origin(settings: TrainingSettings) -> dict[str, str]:
    if settings.update:
        return {"updated from": f"{settings.start_from}, whose base layer's networks (FineNets) are kept"}
    return {"started from": settings.start_from} if settings.start_from else {}


def _results(report: Report, rules: str) -> list[str]:
    if report.after is None:
        return [f"Held-out pictures ({report.held_out}): not judged, the program was ended before.", ""]
    if not report.after:
        return [f"Held-out pictures ({report.held_out}): none is large enough to judge by.", ""]
    lines = [f"Held-out pictures: {report.after[0].pictures} ({report.held_out}), {rules}:", ""]
    ms_ssim = report.after[0].ms_ssim is not None
    heads = ["lost blocks" if ms_ssim else "lost symbols", *(["PSNR dB before"] if report.before else []), "PSNR dB"]
    lines += table([*heads, *(["MS-SSIM"] if ms_ssim else []), "base PSNR dB"], [
        [
            f"{row.loss:.0%}",
            *([f"{report.before[i].psnr:.2f}"] if report.before else []),
            f"{row.psnr:.2f}",
            *([f"{row.ms_ssim:.4f}"] if ms_ssim else []),
            f"{row.base_psnr:.2f}",
        ]
        for i, row in enumerate(report.after)
    ])  # fmt: skip
    if not ms_ssim:
        losses = [row for row in report.after if row.loss < 1]
        lines += ["At each step, log2 in 8-bit levels; PSNR in dB by lost symbols:", ""]
        lines += table(["step", "bpp", *(f"{row.loss:.0%}" for row in losses)], [
            [f"{step:g}", f"{losses[0].curve[i][1]:.3f}", *(f"{row.curve[i][2]:.2f}" for row in losses)]
            for i, step in enumerate(JUDGED_LOG_STEPS)
        ])  # fmt: skip
    return lines
