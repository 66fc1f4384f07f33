# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 trace fit``: models of the losses of one link, or of many and of all together."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ds2c2.cli.reading import ReadingOptions, say
from ds2c2.cli.spread import takes
from ds2c2.cli.terminal import Table
from ds2c2.cli.trace import console, trace_app, write_json
from ds2c2.errors import printable
from ds2c2.files import check_free
from ds2c2.traces.lossmodels import BASIC, NAMES

# What the distances are called by which a model is refuted.
CALLED = {"loss": "loss", "bursts": "bursts", "gaps": "gaps", "dispersion": "spread"}
SHOWN_LINKS = 12  # rows of single links on the screen; all of them are in the JSON


@trace_app.command()
@takes(other=ReadingOptions)
def fit(
    other: ReadingOptions,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A loss trace, a file of another tool, or a folder of them.")
    ],
    json_: Annotated[str, typer.Option("--json", metavar="FILE", help="Write statistics and models as JSON.")] = "",
    emulate: Annotated[
        str, typer.Option(metavar="FILE", help="Write a trace drawn from a fitted model, for --channel trace.")
    ] = "",
    model: Annotated[
        str, typer.Option(metavar="NAME", help=f"Which to draw or print, fitted if it was not: {', '.join(NAMES)}.")
    ] = "",
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Fit this one too, may be repeated: hidden-markov, semi-markov, drift.",
        ),
    ] = None,
    packets: Annotated[int, typer.Option(min=1, help="How many packets to draw.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of draws and tests.")] = 1,
    netem: Annotated[
        str, typer.Option(metavar="DEVICE", help="Print the model as a command of Linux's `tc netem` for an interface.")
    ] = "",
) -> None:
    """Fit loss models: to a link, or to many, each by itself and all together."""
    from ds2c2.traces.lossmodels import Model
    from ds2c2.traces.losstrace import TraceError, read_links
    from ds2c2.traces.netem import check_device, netem_lines

    names = {*BASIC, *(also or ()), *([model] if model else [])}
    if unknown := sorted(names - set(NAMES)):
        raise TraceError(f"model {unknown[0]!r} is unknown; choose one of {', '.join(NAMES)}")
    if netem:
        check_device(netem)
    check_free(json_, emulate)
    links = read_links(file, other.reading())
    say(console, links.said)
    losses = {name: trace.lost() for name, trace in links.traces.items()}
    single = len(losses) == 1
    models = (_one if single else _many)(file, losses, json_, seed, names)
    if not (emulate or netem):
        return
    known: dict[str, Model] = {one.name: one for one in models}
    # netem has none of the others.
    chosen = model or min((one for one in models if not netem or one.name in BASIC), key=lambda one: one.bic).name
    if chosen not in known:
        raise TraceError(f"{file}: model {chosen!r} was not fitted; choose one of {', '.join(known)}")
    if netem:
        for line in netem_lines(known[chosen], netem):
            print(line)
    if emulate:
        _emulate(emulate, known[chosen], packets, seed, file)


def _emulate(out: str, model, packets: int, seed: int, file: str) -> None:  # noqa: ANN001
    import numpy as np

    from ds2c2.traces.hiddenmarkov import first_of
    from ds2c2.traces.losstrace import LossTrace, write_trace

    rng = np.random.default_rng(seed)
    # A link that drifted does so again, from its beginning on.
    drawn = first_of(model.pieces(rng), packets) if model.name == "drift" else model.draw(packets, rng)
    about = {"link": "emulated", "model": model.name, "fitted_to": printable(Path(file).name), "seed": str(seed)}
    write_trace(out, LossTrace.from_losses(drawn, about=about))
    console.print(f"wrote {out}: {packets} packets of {model.label}", markup=False)


def _one(file: str, losses: dict, json_: str, seed: int, names: set[str]) -> list:
    from ds2c2.traces.goodness import goodness
    from ds2c2.traces.lossmodels import best, describe_model, fit_noticed, statistics, verdict

    (lost,) = losses.values()
    with console.status(f"fitting models to {len(lost)} packets") as status:
        models = fit_noticed(lost, tuple(names))
        tested = {}
        for number, one in enumerate(models, 1):
            status.update(f"testing models on {len(lost)} packets: {number} of {len(models)}, {one.label}")
            tested[one.name] = goodness(one, lost, seed)
    described = [describe_model(one, lost) for one in models]
    _show(f"{Path(file).name}: {len(lost)} packets", described)
    for one in models:
        for words in one.words():
            console.print(words, markup=False)
    console.print(verdict(models), markup=False)
    console.print(_refuted(models, tested), markup=False)
    if json_:
        content = {
            "statistics": asdict(statistics(lost)),
            "models": described,
            "best-model": best(models).name,
            "p-values": {name: good.p for name, good in tested.items()},
            "seed": seed,
        }
        write_json(Path(json_), content)
        console.print(f"wrote {json_}", markup=False)
    return models


def _share(some: int, of: int) -> str:
    return f"{some} of {of}\n{some / of:.0%}" if of else "–"


def _refuted(models: list, tested: dict) -> str:
    """Which models the link refutes, and by what."""
    named = [(one.label, tested[one.name].refuted_by) for one in models]
    words = [f"{label} (by {', '.join(CALLED[name] for name in by)})" for label, by in named if by]
    return f"Refuted: {'; '.join(words)}." if words else "None of them is refuted."


def _many(file: str, losses: dict, json_: str, seed: int, names: set[str]) -> list:
    import numpy as np

    from ds2c2.traces.lossmodels import describe_model
    from ds2c2.traces.manylinks import FEW_PACKETS, fit_links

    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("links fitted", total=len(losses))
        found = fit_links(losses, seed, lambda name: progress.advance(bar), names)
    joined = np.concatenate([link.lost for link in found.links])
    described = [describe_model(one, joined) for one in found.pooled]
    _show(f"{Path(file).name}: {len(found.links)} links together, {len(joined)} packets", described)
    table = Table(title="Each link by itself")
    for heading in ("", "fits best (BIC)", "not refuted with its own parameters, of tested", "with those of all links"):
        table.add_column(heading, justify="right" if heading else "left")
    count = len(found.links)
    for row in found.shares():
        # A model that could not be fitted to a link was not tested on it, so the link says nothing of it.
        links = {"best": count, "own": row["tested"], "pooled": count}
        table.add_row(row["label"], *(_share(row[key], of) for key, of in links.items()))
    console.print(table)
    rates = np.array([link.lost.mean() for link in found.links])
    console.print(f"loss of the links: {rates.min():.1%} to {rates.max():.1%}, median {np.median(rates):.1%}")
    for link in found.links[: SHOWN_LINKS if count > SHOWN_LINKS else count]:
        refuted = [name for name, good in link.own.items() if good.refuted_by]
        words = f"; refuted: {', '.join(refuted)}" if refuted else ""
        console.print(
            f"{link.name}: {len(link.lost)} packets, {link.lost.mean():.1%} lost, {link.best.name}{words}", markup=False
        )
    if count > SHOWN_LINKS:
        console.print(f"and {count - SHOWN_LINKS} more{'' if json_ else '; --json FILE writes all'}")
    if found.short:
        names = ", ".join(found.short)
        console.print(f"{len(found.short)} links of fewer than {FEW_PACKETS} packets left out: {names}", markup=False)
    if json_:
        single = [
            {
                "name": link.name,
                "packets": len(link.lost),
                "lost": int(link.lost.sum()),
                "best-model": link.best.name,
                "models": [describe_model(one, link.lost) for one in link.models],
                "p-values": {name: good.p for name, good in link.own.items()},
                "p-values-pooled": {name: good.p for name, good in link.pooled.items()},
            }
            for link in found.links
        ]
        content = {"pooled": described, "shares": found.shares(), "links": single, "short": found.short, "seed": seed}
        write_json(Path(json_), content)
        console.print(f"wrote {json_}", markup=False)
    return found.pooled


def _show(title: str, described: list[dict]) -> None:
    from ds2c2.evaluation.compare.report import model_table

    shown = model_table(described)
    table = Table(title=title)
    for heading in shown.headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in shown.rows:
        table.add_row(*(f"{cell.text}\n{cell.interval}".rstrip() for cell in row))
    console.print(table)
