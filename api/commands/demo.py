"""``yian demo``: the whole way on one machine, with everything real."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.commands.media import AudioFiles, parse_audio
from api.console import both


def demo(
    video: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=both("cli.opt.video"))] = None,
    audio: AudioFiles = None,
    serve: Annotated[bool, typer.Option("--serve", help=both("cli.opt.serve"))] = False,
    folder: Annotated[Path, typer.Option(help=both("cli.opt.demo-folder"))] = Path("demo-data"),
) -> None:
    from api.demo import run_demo

    run_demo(folder, videos=video or [], audios=parse_audio(audio or []), keep_serving=serve)
