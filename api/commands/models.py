"""``yian models``: which models there are, and bringing in what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.commands.common import AsJson
from api.console import both, out, print_json, print_table, progress_bar, say
from config.settings import load_settings
from processing import weights

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help=both("cli.arg.model"))]


@app.command("list", help=both("cli.models.list"))
def list_models(as_json: AsJson = False) -> None:
    found = weights.list_models(load_settings())
    if as_json:
        print_json([{**vars(model), "path": str(model.path)} for model in found])
        return
    print_table(
        ("cli.col.model", "cli.col.purpose", "cli.col.selected", "cli.col.path"),
        [
            (
                model.name,
                both(f"model.{model.purpose}"),
                "●" if model.selected else "",
                model.path if model.present else both("cli.models.absent"),
            )
            for model in found
        ],
    )


@app.command(help=both("cli.models.fetch"))
def fetch(
    name: Name,
    url: Annotated[str | None, typer.Option(help=both("cli.opt.mirror"))] = None,
    file: Annotated[Path | None, typer.Option(help=both("cli.opt.model-file"), exists=True)] = None,
) -> None:
    with progress_bar("cli.models.fetching") as progress:
        path = weights.fetch(load_settings(), name, url=url, file=file, progress=progress)
    say("cli.models.fetched", path=path)


@app.command(help=both("cli.models.path"))
def path(name: Name) -> None:
    out.print(str(weights.model_path(load_settings(), name)), soft_wrap=True)
