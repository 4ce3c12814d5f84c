"""``yian room``: how the consulting rooms are, and what is planned in them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from api.commands.common import As, AsJson, named, opened, operator
from api.console import both, print_json, print_table, say

app = typer.Typer(no_args_is_help=True)
RoomCode = Annotated[str, typer.Argument(metavar="ROOM", help=both("cli.arg.room"))]


@app.command("list", help=both("cli.room.list"))
def list_rooms(as_json: AsJson = False) -> None:
    from api import actions
    from api.schemas.rooms import RoomAnswer
    from archive.models import utc_now

    with opened() as core:
        now = utc_now()
        found = actions.list_rooms(core, operator(core))
        rows = [RoomAnswer.of(room, actions.warnings_of(room, core, now), now) for room in found]
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    if not rows:
        say("cli.room.none")
        return
    print_table(
        [f"cli.col.{column}" for column in ("room", "state", "heard", "problems", "queue")],
        [
            (
                row.room,
                both(f"room.state.{row.state}"),
                both("time.seconds", count=int(row.silent_s)),
                " ".join([*row.warnings, *row.problems]),
                row.queue.count,
            )
            for row in rows
        ],
    )


@app.command(help=both("cli.room.schedule"))
def schedule(
    room: RoomCode,
    day: Annotated[datetime | None, typer.Option(help=both("cli.opt.day"), formats=["%Y-%m-%d"])] = None,
    as_json: AsJson = False,
) -> None:
    from api import actions
    from api.schemas.rooms import PlannedAnswer

    with opened() as core:
        found = actions.room_schedule(core, operator(core), room, day.date() if day else None)
        rows = [PlannedAnswer.of(one) for one in found]
        zone = core.settings.zone
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    if not rows:
        say("cli.room.nothing-planned")
        return
    print_table(
        [
            f"cli.col.{column}"
            for column in ("starts", "minutes", "consultation", "title", "automatic", "start")
        ],
        [
            (
                f"{row.starts_at.astimezone(zone):%H:%M}",
                round(row.length_s / 60),
                row.consultation,
                row.title,
                both("cli.yes" if row.automatic else "cli.no"),
                row.start_refused or both("cli.yes"),
            )
            for row in rows
        ],
    )


@app.command(help=both("cli.room.plan"))
def plan(
    room: RoomCode,
    consultation_id: Annotated[str, typer.Argument(metavar="ID", help=both("cli.arg.consultation"))],
    user: As,
    at: Annotated[datetime | None, typer.Option(help=both("cli.opt.plan-at"))] = None,
    minutes: Annotated[float | None, typer.Option(help=both("cli.opt.plan-minutes"), min=1, max=240)] = None,
    automatic: Annotated[bool, typer.Option("--automatic", help=both("cli.opt.automatic"))] = False,
) -> None:
    from api import actions

    with opened() as core:
        zone = core.settings.zone
        kept = actions.plan_room(
            core,
            named(core, user),
            room,
            consultation_id,
            starts_at=at.replace(tzinfo=zone) if at else None,
            length_s=minutes * 60 if minutes else None,
            automatic=automatic,
        )
        when = f"{kept.starts_at.astimezone(zone):%Y-%m-%d %H:%M}"
        say("cli.room.planned", id=consultation_id, code=room, at=when, minutes=round(kept.length_s / 60))


@app.command(help=both("cli.room.retire"))
def retire(room: RoomCode, user: As) -> None:
    from api import actions

    with opened() as core:
        actions.retire_room(core, named(core, user), room)
        say("cli.room.retired", code=room)
