"""``yian station``: the page in the consulting room."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.commands.common import PasswordStdin, ask_password
from api.console import both, say
from config.errors import AddressTaken, CoreUnreachable
from config.log import configure_logging
from config.settings import load_settings


def station(
    rig: Annotated[Path, typer.Argument(help=both("cli.arg.rig"))] = Path("rig.toml"),
    host: Annotated[str, typer.Option(help=both("cli.opt.host"))] = "127.0.0.1",
    port: Annotated[int, typer.Option(help=both("cli.opt.port"))] = 8810,
    user: Annotated[str, typer.Option("--as", metavar="USER", help=both("cli.station.opt.as"))] = "",
    password_stdin: PasswordStdin = False,
) -> None:
    import uvicorn

    from api.station.app import create_station_app
    from api.station.guard import LOOPBACK, check_address
    from capture.rig import load_rig
    from capture.station import Station

    configure_logging(os.environ.get("LOG_LEVEL", "INFO").upper())
    settings = load_settings()
    check_address(settings, host)
    # Told to end, it still closes the session that runs; uvicorn hands the signal on to us when it is done.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    hosts = LOOPBACK | {host} | frozenset(settings.capture.station_hosts)
    chosen = load_rig(rig)
    password = ask_password(password_stdin) if user else ""
    with _listening(host, port) as listener, Station(chosen, settings) as running:
        if user:
            try:
                running.log_in(user, password)
            except CoreUnreachable:
                say("cli.station.later")
        say("cli.station.ready", url=f"http://{_reachable(host)}:{port}")
        application = create_station_app(settings, running, hosts)
        told = uvicorn.Config(application, log_config=None, access_log=False, server_header=False)
        uvicorn.Server(told).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """Before any device is opened: a second station would take them from the first. Raises AddressTaken."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AddressTaken(address=f"{host}:{port}") from error


def _reachable(host: str) -> str:
    """What a tablet has to be told where ``host`` means every address of this machine."""
    if host != "0.0.0.0":
        return host
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("192.0.2.1", 9))  # nothing is sent: the system says which way it would go
        return str(asked.getsockname()[0])
    return host
