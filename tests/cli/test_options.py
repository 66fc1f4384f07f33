# SPDX-License-Identifier: GPL-3.0-or-later
"""Options stand once: every command that makes a stream format or emulates a channel takes all of them."""

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import click
import pytest
import typer
from typer.testing import CliRunner

from ds2c2.cli.options import ChannelOptions, RateOptions, StreamOptions
from ds2c2.cli.program import app
from ds2c2.cli.spread import changed, takes
from ds2c2.stream.streamformat import StreamFormat

# The command, and options that it has in a way of its own.
MAKE_A_FORMAT = {
    "send": (),
    "info": (),
    "demo": (),
    "sweep": (),
    "evaluate": (),
    "serve encode": (),
    "compare": ("seed", "depth"),
    "benchmark": ("bpp", "interleave", "depth", "seed"),
}
EMULATE = ("send", "demo")


def parameters(words: str) -> dict[str, click.Parameter]:
    command = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize("command", MAKE_A_FORMAT)
def test_a_command_that_makes_a_stream_format_takes_all_that_it_is_made_of(command):
    taken = parameters(command)
    for entry in fields(RateOptions):
        if entry.name not in MAKE_A_FORMAT[command]:
            assert entry.name in taken, entry.name
            assert taken[entry.name].help.startswith(entry.type.__metadata__[0].help)


@pytest.mark.parametrize("command", EMULATE)
def test_a_command_that_emulates_takes_all_that_a_channel_is_made_of(command):
    assert {entry.name for entry in fields(ChannelOptions)} <= parameters(command).keys()


def test_defaults_are_the_librarys():
    assert StreamOptions(interleave="none").of_size((768, 512)) == StreamFormat(768, 512)
    shown = {name: parameter.default for name, parameter in parameters("send").items()}
    assert (shown["bpp"], shown["block_size"], shown["seed"]) == (
        StreamFormat.bpp,
        StreamFormat.block_size,
        StreamFormat.seed,
    )


def test_a_new_option_is_one_field():
    """A toy set of options reaches a toy command without a change of either's code."""

    @dataclass(frozen=True)
    class Toy:
        colour: Annotated[str, typer.Option(help="A colour.")] = "red"
        size: Annotated[int, typer.Option(help="A size.")] = 3

        def words(self) -> str:
            return f"{self.colour} {self.size}"

    toy = typer.Typer()

    @toy.command()
    @takes(one=Toy)
    def command(one: Toy, loud: bool = False) -> None:
        print(one.words().upper() if loud else one.words())

    run = CliRunner().invoke
    assert run(toy, []).output == "red 3\n"
    assert run(toy, ["--colour", "blue", "--loud"]).output == "BLUE 3\n"
    other = changed(Toy, ("size",), colour="green")
    assert list(inspect.signature(other).parameters) == ["colour"]
    assert other().colour == "green"


@pytest.mark.parametrize(("words", "completed"), [("ds2c2 rec", "receive"), ("ds2c2 receive --vie", "--view")])
def test_the_shell_completes_commands_and_options(words, completed):
    place = str(len(words.split()) - 1)
    asked = {"_DS2C2_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": place}
    assert CliRunner().invoke(app, prog_name="ds2c2", env=asked).output.split() == [completed]
