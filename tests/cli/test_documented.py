# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command line in README and docs is one that the program takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from ds2c2.cli.program import app

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")), *sorted((CHECKOUT / "models").glob("*.md"))]
# A line of a code block that begins so, behind a prompt, an assignment or another path.
LINE = re.compile(r"^(?:    |\$ )?\s*(?:nice -n \d+ )?(?:\S*/)?(?:python -m )?ds2c2 +([a-z].*)$")
INLINE = re.compile(r"`(?:\S*/)?ds2c2 ([a-z][^`]*)`")
# Lines of drawings, and a word that is the label of annotations.
DRAWN, LABELS = set("◄►─│"), {"run"}
SUBSTITUTED = re.compile(r"\"?\$\([^)]*\)\"?|\"\$\w+\"")


def command_lines(text: str) -> list[tuple[int, str, bool]]:
    """Line numbers, what follows ``ds2c2``, and whether it stands in a sentence: of code blocks, continued lines
    joined, and of code in sentences, which may leave arguments out."""
    found = []
    lines = text.splitlines()
    fenced, place = False, 0
    while place < len(lines):
        line, number = lines[place], place + 1
        place += 1
        if line.startswith("```"):
            fenced = not fenced
            continue
        match = LINE.match(line) if fenced or line.startswith("    ") else None
        if match:
            words = match[1]
            while words.endswith("\\") and place < len(lines):
                words = f"{words[:-1]} {lines[place].strip()}"
                place += 1
            if not DRAWN & set(words):
                found.append((number, words, False))
        else:
            found += [(number, words, True) for words in INLINE.findall(line) if words not in LABELS]
    return found


def words_of(line: str) -> list[str]:
    """The words of a command, without comment, pipe and what is only hinted at."""
    line = SUBSTITUTED.sub("something", line)
    line = re.split(r"\s#\s|\s\|\s|\s&&\s|\s>\s|\s2>|\s&$|;", line)[0]
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.replace("'", "").replace('"', "").split()  # a quotation that goes on in the next line
    return [word for word in words if word not in ("...", "…")]


def resolved(words: list[str]) -> tuple[Any, list[str], list[str]]:
    """The command, its names, and the words for it; typer's own classes of commands are no public names."""
    command, path = typer.main.get_command(app), ["ds2c2"]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    return command, path, words


def trouble(line: str, in_sentence: bool = False) -> str:
    """What the program would say of a command line; empty if nothing."""
    hinted = "..." in line or "…" in line
    command, path, words = resolved(words_of(line))
    if hasattr(command, "commands"):
        # "`ds2c2 trace`", a group's name in a sentence
        return "" if not words or words == ["--help"] else f"no command {words[0]!r}"
    if "--help" in words:
        return ""
    options = {name: parameter for parameter in command.params for name in getattr(parameter, "opts", ())}
    for word in words:
        if word.startswith("--") and word.partition("=")[0] not in options:
            return f"{' '.join(path)} has no option {word.partition('=')[0]}"
    try:
        command.make_context(path[-1], [word.lower() if word.isupper() else word for word in words])
    except Exception as error:
        # What is left out, and a placeholder that is no number, are right where they are meant so.
        kind = type(error).__name__
        left_out = kind in ("MissingParameter", "BadOptionUsage") and in_sentence
        placeholder = kind == "BadParameter" and any(word.isupper() for word in words)
        return "" if hinted or left_out or placeholder else error.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_every_documented_line(page):
    wrong = [
        f"{page.name}:{number}: ds2c2 {line}: {found}"
        for number, line, in_sentence in command_lines(page.read_text(encoding="utf-8"))
        if (found := trouble(line, in_sentence))
    ]
    assert not wrong, "\n".join(wrong)


def test_there_are_lines_to_look_at():
    assert sum(len(command_lines(page.read_text(encoding="utf-8"))) for page in PAGES) > 60


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("send a.png --to b --nonsense 3", "--nonsense"),
        ("send a.png --to b --interleave sideways", "sideways"),
        ("send a.png --bpp much --to b", "--bpp"),
        ("nonsense", "nonsense"),
        ("benchmark pictures", "--out"),
        ("trace nonsense", "nonsense"),
    ],
)
def test_a_wrong_line_is_found(line, said):
    assert said in trouble(line)


def test_make_targets_that_the_readme_names():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.M))
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target
