# SPDX-License-Identifier: GPL-3.0-or-later
"""``ds2c2 doctor``: names the cause when something is not right."""

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def doctor() -> None:
    """Check GNU Radio, numpy's ABI, torch, CUDA, block paths and weights; name cause and remedy."""
    from ds2c2.doctor import run_checks

    checks = run_checks()
    for check in checks:
        mark = "[green]ok  [/]" if check.ok else ("[red]FAIL[/]" if check.required else "[yellow]note[/]")
        console.print(mark, end=" ")
        console.print(f"{check.name}: {check.found}", markup=False)
        if not check.ok and check.remedy:
            console.print(f"     remedy: {check.remedy}", markup=False)
    if any(check.required and not check.ok for check in checks):
        raise typer.Exit(1)
