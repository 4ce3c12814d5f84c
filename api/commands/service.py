"""``yian serve`` and ``yian worker``: the programs that run all day."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.common import opened
from api.console import both, say
from config.log import configure_logging
from config.settings import load_settings

if TYPE_CHECKING:
    from api.core import Core


def serve(
    host: Annotated[str | None, typer.Option(help=both("cli.opt.host"))] = None,
    port: Annotated[int | None, typer.Option(help=both("cli.opt.port"))] = None,
    with_worker: Annotated[bool, typer.Option("--worker/--no-worker", help=both("cli.opt.worker"))] = True,
) -> None:
    configure_logging(os.environ.get("LOG_LEVEL", "INFO").upper())
    settings = load_settings()
    with opened() as core:
        run_server(core, host or settings.web.host, port or settings.web.port, with_worker)


def run_server(core: Core, host: str, port: int, with_worker: bool) -> None:
    """Serve until told to stop; a worker in the same process when wanted."""
    import uvicorn

    from api.app import create_app
    from processing.engine import Engine

    with ExitStack() as stack:
        if with_worker:
            stack.enter_context(Engine(core.settings, core.catalog, core.store, core.vault))
        say("cli.serve.ready", url=f"http://{host}:{port}")
        uvicorn.run(
            create_app(core.settings, core=core),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
        )


def worker() -> None:
    from processing.engine import Engine

    configure_logging(os.environ.get("LOG_LEVEL", "INFO").upper())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened() as core, Engine(core.settings, core.catalog, core.store, core.vault) as engine:
        say("cli.worker.ready", worker=engine.worker)
        stop.wait()
