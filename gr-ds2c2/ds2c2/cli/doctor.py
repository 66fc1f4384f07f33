# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 doctor``: names the cause when something is not right."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ds2c2.cli.terminal import Terminal

console = Terminal()


def doctor(
    library_only: Annotated[bool, typer.Option("--library-only", help="For hosts that do without GNU Radio.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as a JSON list.")] = False,
) -> None:
    """Check GNU Radio, numpy's ABI, torch, CUDA, block paths and weights; explain what is wrong and how to fix it."""
    from ds2c2.cli.check import exit_code
    from ds2c2.cli.installation import run_checks

    checks = run_checks(library_only)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
        raise typer.Exit(exit_code(checks))
    for check in checks:
        mark = "[green]ok  [/]" if check.ok else ("[red]FAIL[/]" if check.required else "[yellow]note[/]")
        console.print(mark, end=" ", markup=True)
        console.print(f"{check.name}: {check.found}", markup=False)
        if not check.ok and check.remedy:
            console.print(f"     remedy: {check.remedy}", markup=False)
    raise typer.Exit(exit_code(checks))
