# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks to a Markdown page: tables, the paper's figures beside them, and what is not beaten."""

import json
import shutil
from pathlib import Path

from ds2c2.errors import ExitCode, UserError
from ds2c2.evaluation.distances import DISTANCES
from ds2c2.evaluation.distances import key as distance_key
from ds2c2.evaluation.outcomes import BOTH, OURS
from ds2c2.evaluation.rivals.rivals import NAMES, label
from ds2c2.evaluation.summary import is_fixed, mean_over_losses, value
from ds2c2.files import make_folder, read_bytes, whole
from ds2c2.stream.protection import OUTAGE

HEADLINE_RATE = 0.26  # bits per pixel
# Kodak, PSNR in dB at 0 and 16 % hit, table 2 of "Robust End-to-End Image Transmission with Residual
# Learning": (rate in bpp, share of errors in training, clean, hit). Its receiver does not know the places.
PAPER_KODAK = (
    (0.14, 0.08, 24.67, 24.50),
    (0.14, 0.0, 25.30, 23.67),
    (0.26, 0.08, 27.95, 27.32),
    (0.26, 0.0, 28.25, 25.03),
)
PAPER_LOSSES = (0.0, 0.16)
# A rival counts as better from here on: less is not seen in a table of two decimals.
MARGIN = 0.005  # dB
RULES_TEXT = {
    "air": "air rules: base blocks are lost like the others, their redundancy is counted",
    "paper": "paper rules: the base layer arrives and carries no redundancy",
}
CHANNEL_TEXT = {"iid": "independent losses", "gilbert-elliott": "losses in bursts (Gilbert-Elliott)"}

OPENING = f"""# Results

Written by `ds2c2 report` from `ds2c2 benchmark`; [benchmark.md](benchmark.md) says how each figure comes about.

`bpp` counts every bit of every code block: base layer, its redundancy, enhancement; for a rival its file, header
included, and the code's redundancy. All codecs have the same number of blocks of the same size, and each picture's
blocks meet the same losses whichever codec they carry. PSNR in dB, mean over pictures and draws; a picture of which
nothing arrives counts as mid-grey. Rivals are protected by an *ideal* erasure code (any k of n blocks give the file,
no overhead) with at most {100 * OUTAGE:g} % outage at the loss rate it is designed for. Two sets of rules, never mixed
in a table. Earlier figures of the weights `binary` are in [results-binary.md](results-binary.md).
"""


# Where a page's plots lie, beside it, and what each shows.
IMAGES = "images"
PLOT_TEXT = {
    "psnr-over-loss-paper": "PSNR over loss under paper rules",
    "psnr-over-loss-air": "PSNR over loss under air rules",
    "psnr-over-rate-0": "PSNR over rate without loss",
    "psnr-over-rate-16": "PSNR over rate at 16 % loss",
}


class ReportError(UserError):
    """A file that holds no benchmark, or a page that cannot be written."""

    exit_code = ExitCode.MEASUREMENT


def read_results(source: str | Path) -> dict:
    """``benchmark.json`` or the folder that holds it. Raises ``ReportError``."""
    path = Path(source)
    path = path / "benchmark.json" if path.is_dir() else path
    try:
        results = json.loads(read_bytes(path, "a benchmark's results").decode())
        if not {"name", "settings", "curves", "best-fixed"} <= results.keys():
            raise ValueError("it holds no curves")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ReportError(f"{path}: no benchmark's results ({error}); `ds2c2 benchmark` writes them") from None
    return results


def copy_plots(source: str | Path, results: dict, page: Path, name: str = "") -> list[Path]:
    """Copy the plots that lie beside ``benchmark.json`` to the folder ``images`` beside the page.

    Their names begin with ``name``, by default the benchmark's. A single rate gives no curve over the rate, so that
    plot stays where it is. Raises ``FileError``.
    """
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    copies = []
    single = len(results["settings"]["rates"]) == 1
    for stem in PLOT_TEXT:
        plot = folder / f"{stem}.png"
        if plot.is_file() and not (single and stem.startswith("psnr-over-rate")):
            copy = page.parent / IMAGES / f"{name or results['name']}-{plot.name}"
            make_folder(copy.parent)
            with whole(copy) as part:
                shutil.copyfile(plot, part)
            copies.append(copy)
    return copies


def command(results: dict) -> str:
    """The command that measures this again."""
    settings = results["settings"]
    options = {
        "model": settings["model"],
        "rates": ",".join(f"{rate:g}" for rate in settings["rates"]),
        "losses": ",".join(f"{100 * loss:g}" for loss in settings["losses"]),
        "channels": ",".join(settings["channels"]),
        "rules": ",".join(settings["rules"]),
        "seeds": settings["seeds"],
        "block-size": settings["block_size"],
        "base-bpp": settings["base_bpp"],
        "paper-base-bpp": settings["paper_base_bpp"],
        **{key: settings[key] for key in ("redundancy", "survive") if key in settings},
        **({"effort": settings["effort"]} if "effort" in settings else {}),
        **({"perception": "trunks.safetensors"} if "trunks" in settings else {}),
    }
    asked = [*settings["rivals"], *settings.get("missing", ())]
    if asked and set(asked) != set(NAMES):
        options["rivals"] = ",".join(asked)
    words = " ".join(f"--{name} {value}" for name, value in options.items()) + ("" if asked else " --no-rivals")
    # Not into the pictures' own folder: plots would be pictures of the next run.
    return f"ds2c2 benchmark {results['name']} --out judged/{results['name']} {words}"


def headline_rate(results: dict) -> float:
    """The rate that tables show first: 0.26 bpp where it was measured."""
    rates = results["settings"]["rates"]
    return HEADLINE_RATE if HEADLINE_RATE in rates else rates[0]


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _figure(number: float | None, digits: int = 2) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


def _percent(losses: list[float]) -> list[str]:
    return [f"{loss * 100:g} %" for loss in losses]


def ours(results: dict, rules: str) -> dict | None:
    """Our curve under these rules, None when it was not measured."""
    return next((c for c in results["curves"] if c["codec"] == OURS and c["rules"] == rules), None)


def fixed_rivals(results: dict, rate: float) -> list[dict]:
    """Of each rival the one curve that it would choose not knowing the loss rate."""
    return [curve for curve in results["curves"] if is_fixed(results, curve, rate)]


def _rows(curves: list[dict], rate: float, losses: list[float], channel: str, key: str, digits: int) -> list[list[str]]:
    rows = []
    for curve in curves:
        cells = [_figure(value(curve, rate, loss, channel, key), digits) for loss in losses]
        if key == "psnr-rgb":
            cells.append(_figure(mean_over_losses(curve, rate, channel)))
        rows.append([f"**{curve['name']}**" if curve["codec"] == OURS else curve["name"], *cells])
    return rows


def loss_table(
    results: dict,
    rules: str,
    rate: float,
    curves: list[dict],
    channel: str = "iid",
    key: str = "psnr-rgb",
    digits: int = 2,
) -> str:
    """Codecs over losses at one rate, ours first."""
    losses = results["settings"]["losses"]
    mean = ["mean 0–50 %"] if key == "psnr-rgb" else []
    mine = ours(results, rules)
    shown = ([mine] if mine else []) + curves
    return table(["blocks lost", *_percent(losses), *mean], _rows(shown, rate, losses, channel, key, digits))


def _intervals(results: dict, rate: float, channel: str) -> str:
    """How sure our figures are: the widest half interval of the mean."""
    if results["settings"]["seeds"] < 2:
        return "not known of a single draw"
    widths = []
    for curve in results["curves"]:
        for loss in results["settings"]["losses"] if curve["codec"] == OURS else ():
            ends = [value(curve, rate, loss, channel, f"psnr-rgb-{end}") for end in ("low", "high")]
            if None not in ends:
                widths.append((ends[1] - ends[0]) / 2)
    return f"at most ±{max(widths):.3f} dB" if widths else "not measured"


def beaten_by(results: dict, rules: str, rate: float, loss: float, curves: list[dict], channel: str = "iid"):
    """Curves that give more PSNR than ours in a cell: (gain in dB, name), the best first."""
    mine = value(ours(results, rules), rate, loss, channel)
    gains = [(value(curve, rate, loss, channel) - mine, curve["name"]) for curve in curves]
    return sorted(((gain, name) for gain, name in gains if gain > MARGIN), reverse=True)


def not_beaten(results: dict, rules: str) -> str:
    """What is not beaten, a line a rate, computed from the cells."""
    lines = []
    every = [c for c in results["curves"] if c["codec"] != OURS]
    for channel in results["settings"]["channels"]:
        for rate in results["settings"]["rates"]:
            cells, clear = [], []
            for loss in results["settings"]["losses"]:
                better = beaten_by(results, rules, rate, loss, every, channel)
                if better:
                    gain, name = better[0]
                    count = f"{len(better)} of {len(every)} curves" if len(better) > 1 else "1 curve"
                    cells.append(f"at {loss * 100:g} % {count}, most {name} by {gain:.2f} dB")
                else:
                    clear.append(f"{loss * 100:g} %")
            means = [(mean_over_losses(c, rate, channel), c["name"]) for c in every]
            mine = mean_over_losses(ours(results, rules), rate, channel)
            better = sorted(((mean - mine, name) for mean, name in means if mean - mine > MARGIN), reverse=True)
            cells += [f"on the mean over 0–50 % {better[0][1]} by {better[0][0]:.2f} dB"] if better else []
            lines.append(
                f"* {rate:g} bpp, {CHANNEL_TEXT[channel]}: "
                + ("; ".join(cells) if cells else "nothing measured is better")
                + (f". Nothing measured is better at {', '.join(clear)}." if cells and clear else ".")
            )
    return "\n".join(lines) + "\n"


def paper_table(results: dict) -> str:
    """The paper's own figures and ours, each with the channel it is for."""
    rows = [
        [
            f"the paper, trained with {100 * trained:g} % errors",
            f"{rate:g}",
            "1s become 0s, places unknown",
            f"{clean:.2f}",
            f"{hit:.2f}",
        ]
        for rate, trained, clean, hit in PAPER_KODAK
    ]
    mine = ours(results, "paper")
    for rate in sorted({row[0] for row in PAPER_KODAK}) if mine else ():
        cells = [_figure(value(mine, rate, loss)) for loss in PAPER_LOSSES]
        rows.append([f"**{mine['name']}**", f"{rate:g}", "blocks missing, places known", *cells])
    return table(["", "bpp", "channel", *_percent(list(PAPER_LOSSES))], rows)


def rate_table(results: dict) -> str:
    """The mean over losses at every rate: ours beside the best of the rivals' fixed designs, a row a
    rate, channel and rules."""
    rows = []
    for rules in results["settings"]["rules"]:
        for channel in results["settings"]["channels"]:
            for rate in results["settings"]["rates"]:
                mine = mean_over_losses(ours(results, rules), rate, channel)
                means = [
                    (mean_over_losses(curve, rate, channel), curve["name"]) for curve in fixed_rivals(results, rate)
                ]
                best, name = max(((mean, name) for mean, name in means if mean is not None), default=(None, "–"))
                ahead = "–" if None in (mine, best) else f"{mine - best:+.2f}"
                rows.append([rules, CHANNEL_TEXT[channel], f"{rate:g}", _figure(mine), _figure(best), ahead, name])
    return table(["rules", "channel", "bpp", "ours", "best fixed design", "ours ahead by", "which"], rows)


def _section(results: dict, plots: list[Path]) -> list[str]:
    settings, rate = results["settings"], headline_rate(results)
    pieces = [f"## {results['name']}: {results['description']}\n"]
    machine = ", ".join(f"{key} {what}" for key, what in results["machine"].items())
    pieces.append(f"Weights `{settings['model']}` {settings['weights'][:8]}; {machine}.\n")
    pieces.append(f"    {command(results)}\n")
    for plot in plots:
        text = next(text for stem, text in PLOT_TEXT.items() if plot.stem.endswith(stem))
        pieces.append(f"![{results['name']}: {text}]({IMAGES}/{plot.name})\n")
    if results["not-measured"]:
        absent = "; ".join(f"{label(rival)}: {why}" for rival, why in results["not-measured"].items())
        pieces.append(f"Not measured: {absent}.\n")
    fixed = fixed_rivals(results, rate)
    if len(settings["rates"]) > 1:
        pieces.append("### Mean PSNR over 0–50 % loss at every rate\n")
        pieces.append(rate_table(results))
    for rules in settings["rules"]:
        beside = " Rivals have no base layer; their figures are those of the air rules." if rules == "paper" else ""
        for channel in settings["channels"]:
            pieces.append(
                f"### {rate:g} bpp, {CHANNEL_TEXT[channel]}, {rules} rules\n\n"
                f"{RULES_TEXT[rules].capitalize()}.{beside} 95 % interval of our means "
                f"{_intervals(results, rate, channel)}.\n"
            )
            pieces.append(loss_table(results, rules, rate, fixed, channel))
    main = "air" if "air" in settings["rules"] else settings["rules"][0]
    channel = settings["channels"][0]
    where = f"{rate:g} bpp, {CHANNEL_TEXT[channel]}, {main} rules"
    pieces.append(f"### Worst 5 % of pictures and draws, {where}\n")
    pieces.append(loss_table(results, main, rate, fixed, channel, "psnr-rgb-worst-5"))
    pieces.append(f"### MS-SSIM, {where}\n")
    pieces.append(loss_table(results, main, rate, fixed, channel, "ms-ssim-rgb", 4))
    for name, title in DISTANCES.items() if "trunks" in settings else ():
        pieces.append(f"### {title}, {where}\n\nThe lower, the nearer; the first draw of each picture.\n")
        pieces.append(loss_table(results, main, rate, fixed, channel, distance_key(name), 4))
    pieces.append(f"### Every design, {where}\n")
    every = [c for c in results["curves"] if c["codec"] != OURS and c["rules"] == BOTH]
    pieces.append(loss_table(results, main, rate, every, channel))
    for other in (r for r in settings["rates"] if r != rate):
        pieces.append(f"### {other:g} bpp, {CHANNEL_TEXT[channel]}, {main} rules\n")
        pieces.append(loss_table(results, main, other, fixed_rivals(results, other), channel))
    for rules in settings["rules"] if every else ():
        pieces.append(f"### Not beaten, {rules} rules\n\nWhere some rival's curve, unprotected ones too, is better:\n")
        pieces.append(not_beaten(results, rules))
    if results["name"].lower().startswith("kodak"):
        pieces.append(
            "### Beside the paper\n\nTwo channels, so not one comparison. The paper's rate may be counted per sample "
            "and not per pixel.\n"
        )
        pieces.append(paper_table(results))
    return pieces


def render(benchmarks: list[dict], plots: list[list[Path]] | None = None) -> str:
    """The page for one or more ``benchmark.json``, in their order, with the plots of each."""
    pieces = [OPENING]
    for results, shown in zip(benchmarks, plots or [[]] * len(benchmarks), strict=True):
        pieces += _section(results, shown)
    return "\n".join(pieces)
