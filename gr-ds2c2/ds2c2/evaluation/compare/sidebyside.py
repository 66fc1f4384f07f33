# SPDX-License-Identifier: GPL-3.0-or-later
"""Several links beside each other: two antennas, two days; a page that leads to the report of each."""

from dataclasses import dataclass
from urllib.parse import quote

from ds2c2.evaluation.compare.advice import advice_words
from ds2c2.evaluation.compare.report import (
    BADGES,
    INTERLEAVING_BADGES,
    TEMPLATES,
    Cell,
    Table,
    bounded,
    longest_burst,
    mean_burst,
)
from ds2c2.traces.lossmodels import LABELS

KIND = "ds2c2-compare-several/1"
TEMPLATE = "sidebyside.html"


@dataclass(frozen=True)
class Compared:
    """A link that was compared: what it is called, its folder beside the page, and its ``compare.json``."""

    name: str
    folder: str
    result: dict

    @property
    def page(self) -> str:
        """Its address from the page: what a folder is called is no scheme, query or fragment of one."""
        return f"./{quote(self.folder)}/report.html"

    @property
    def words(self) -> str:
        """What to do on it."""
        return advice_words(self.result)


def figures_table(links: list[Compared]) -> Table:
    """A column a link."""
    results = [one.result for one in links]

    def row(name: str, cell) -> list:  # noqa: ANN001
        return [name, *(cell(result) for result in results)]

    def rate(result: dict) -> Cell:
        low, high = result["statistics"]["interval"]
        return Cell(f"{result['statistics']['rate']:.2%}", f"[{low:.2%}, {high:.2%}]")

    def fitted(result: dict) -> str:
        return next(model["label"] for model in result["models"] if model["name"] == result["best-model"])

    rows = [
        row("packets", lambda result: str(result["statistics"]["packets"])),
        row("frames of pictures", lambda result: f"{result['frames']:.0f}"),
        row("lost", rate),
        row("mean burst", lambda result: mean_burst(result["statistics"])),
        row("longest burst", lambda result: longest_burst(result["statistics"])),
        row("mean PSNR, dB", lambda result: bounded(result["channels"]["trace"]["psnr"])),
        row("worst 5 % of frames, dB", lambda result: bounded(result["channels"]["trace"]["worst-5"])),
        row("base layer lost", lambda result: bounded(result["channels"]["trace"]["concealed"], 1, percent=True)),
        row("fits best (BIC)", fitted),
    ]
    for name in dict.fromkeys(name for result in results for name in result["differences"]):
        rows.append(row(f"emulated: {LABELS[name]}", lambda result, name=name: _verdict(result, name)))
    badges = INTERLEAVING_BADGES
    rows.append(row("interleaving over one frame", lambda result: badges[result["verdicts"]["interleaving"]][0]))
    return Table.of(["", *(one.name for one in links)], rows)


def _verdict(result: dict, name: str) -> Cell | str:
    if name not in result["differences"]:
        return "–"
    found = bounded(result["differences"][name]["psnr"], sign=True)
    return Cell(BADGES[result["verdicts"][name]][0], f"{found.text} dB {found.interval}")


def summary(links: list[Compared], command: str) -> dict:
    """Which report is whose, and what it says, ready for JSON."""
    return {
        "kind": KIND,
        "command": command,
        "links": [
            {
                "name": one.name,
                "folder": one.folder,
                "best-model": one.result["best-model"],
                "verdicts": one.result["verdicts"],
                "words": one.result["words"],
            }
            for one in links
        ],
    }


def render_several(links: list[Compared], command: str) -> str:
    """The page."""
    return TEMPLATES.get_template(TEMPLATE).render(links=links, figures=figures_table(links), command=command)
