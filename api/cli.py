"""``yian``: everything a technician, reviewer or manager can do from a terminal.

Every command loads only what it needs, so that ``yian --help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import typer

from api.commands import (
    attachment,
    case,
    consultation,
    demo,
    light,
    machine,
    media,
    models,
    moments,
    people,
    review,
    rig,
    room,
    service,
    station,
)
from api.console import both, err, print_error
from config.errors import DiskFull, YianError
from config.log import configure_logging

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="yian",
    help=both("cli.yian"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", help=both("cli.demo"))(demo.demo)
app.command("serve", help=both("cli.serve"))(service.serve)
app.command("worker", help=both("cli.worker"))(service.worker)
app.command("capture", help=both("cli.capture"))(media.capture)
app.command("station", help=both("cli.station"))(station.station)
app.add_typer(rig.app, name="rig", help=both("cli.rig"))
app.command("ingest", help=both("cli.ingest"))(media.ingest)
case.app.command("moments", help=both("cli.case.moments"))(moments.list_moments)
case.app.command("resolve", help=both("cli.case.resolve"))(moments.resolve)
app.add_typer(case.app, name="case", help=both("cli.case"))
app.add_typer(review.app, name="review", help=both("cli.review"))
app.command("counters", help=both("cli.counters"))(case.counters)
app.command("blur", help=both("cli.blur"))(media.blur)
app.command("transcribe", help=both("cli.transcribe"))(media.transcribe)
app.add_typer(models.app, name="models", help=both("cli.models"))
app.command("doctor", help=both("cli.doctor"))(machine.doctor)
consultation.app.command("attach", help=both("cli.consultation.attach"))(attachment.attach)
consultation.app.command("attachments", help=both("cli.consultation.attachments"))(
    attachment.list_attachments
)
consultation.app.command("attachment", help=both("cli.consultation.attachment"))(attachment.save)
consultation.app.command("release", help=both("cli.consultation.release"))(attachment.release)
consultation.app.command("detach", help=both("cli.consultation.detach"))(attachment.detach)
app.add_typer(room.app, name="room", help=both("cli.room"))
app.add_typer(consultation.app, name="consultation", help=both("cli.consultation"))
app.add_typer(light.app, name="light", help=both("cli.light"))
app.add_typer(people.app, name="user", help=both("cli.user"))
app.add_typer(people.enrol_app, name="enrol", help=both("cli.enrol"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exit status: 0 done, 1 refused or failed (with words), 2 wrong usage, 130 interrupted."""
    configure_logging(os.environ.get("LOG_LEVEL", "ERROR").upper())
    try:
        app(args=list(arguments) if arguments is not None else None, standalone_mode=True)
    except YianError as error:
        print_error(error)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        err.print(both("cli.interrupted"))
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print_error(DiskFull(path=str(error.filename or "."), needed_mb=None, free_mb=0))
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
