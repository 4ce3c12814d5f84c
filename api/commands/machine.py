"""``yian doctor``: whether this machine can do the work, and what to do where it cannot."""

from __future__ import annotations

import typer

from api.commands.common import AsJson
from api.console import both, out, print_json
from config.settings import load_settings

MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def doctor(as_json: AsJson = False) -> None:
    from api.doctor import examine

    checks = examine(load_settings())
    if as_json:
        print_json([check.to_dict() for check in checks])
    else:
        for check in checks:
            out.print(f"{MARKS[check.status]} {both(check.name)}: {check.detail}", soft_wrap=True)
            if check.advice:
                out.print(f"  → {both(check.advice)}", soft_wrap=True)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
