"""Every consulting room of a base on one page, as it is now."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api import actions
from api.core import Core
from api.deps import Actor, InCore, Words
from api.doors import Doors
from api.messages import Messages
from api.pages.render import clock, page
from api.routes.rooms import WATCHERS
from archive.models import Room, User, utc_now
from archive.rooms import AgentState, Planned

doors = Doors("pages", in_schema=False)


@dataclass(frozen=True)
class Card:
    """One room as the page shows it. ``trouble``: somebody should look after it."""

    room: Room
    name: str
    heard: str
    since: str
    silent: bool
    trouble: bool
    problems: list[str]
    queue: str
    space: str
    clock: str
    agent: str
    visit: str | None
    planned: list[Planned]


@doors.get("/rooms", roles=WATCHERS, summary="Every room of one's base")
def show_rooms(request: Request, actor: Actor, core: InCore, words: Words) -> Response:
    now = utc_now()
    found = actions.list_rooms(core, actor)
    known = actions.shown_consultations(
        core, actor, {room.report["consultation"] for room in found if room.report["consultation"]}
    )
    cards = [_card(core, actor, words, room, known, now) for room in found]
    return page(
        request,
        "rooms.html",
        cards=cards,
        now=now,
        troubled=sum(card.trouble for card in cards),
        clock=clock,
    )


def _card(core: Core, actor: User, words: Messages, room: Room, known: set[str], now: dt.datetime) -> Card:
    report: dict[str, Any] = room.report
    warnings = actions.warnings_of(room, core, now)
    ago_s = (now - room.heard_at).total_seconds()
    visit = report["consultation"]
    gates = (report["light"], report["sound"])
    return Card(
        room=room,
        name=report["name"] or room.code,
        heard=words.text("room.silent" if "silent" in warnings else "room.heard", ago=duration(words, ago_s)),
        since=duration(words, (now - room.since).total_seconds()),
        silent="silent" in warnings,
        trouble=bool(warnings or report["problems"]) or "fail" in gates or room.state == AgentState.ERROR,
        problems=[_problem(words, code) for code in report["problems"]],
        queue=_queue(words, report["queue"]),
        space=_space(words, report["space_left_s"]),
        clock=_skew(words, report["clock_skew_s"]) if "clock" in warnings else "",
        agent=report["agent"] or "",
        visit=visit if visit in known else None,
        planned=actions.room_schedule(core, actor, room.code),
    )


def duration(words: Messages, seconds: float) -> str:
    """A length of time in the largest unit that fits, as people say it."""
    whole = max(0, int(seconds))
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if whole >= 2 * length or (unit == "minutes" and whole >= length):
            return words.text(f"time.{unit}", count=whole // length)
    return words.text("time.seconds", count=whole)


def size(bytes_count: int) -> str:
    """Bytes as MB or GB (powers of 1000)."""
    return f"{bytes_count / 1e9:.1f} GB" if bytes_count >= 1e9 else f"{bytes_count / 1e6:.0f} MB"


def _problem(words: Messages, code: str) -> str:
    """A problem in words; one that this core does not know yet by its code."""
    key = f"room.problem.{code}"
    return words.text(key) if key in words else words.text("room.problem", code=code)


def _queue(words: Messages, queue: dict[str, Any]) -> str:
    if not queue["count"]:
        return words.text("room.queue_empty")
    return words.text("room.queue", count=queue["count"], size=size(queue["bytes"]))


def _space(words: Messages, space_left_s: float | None) -> str:
    if space_left_s is None:
        return words.text("room.space_unknown")
    return words.text("room.space", time=duration(words, space_left_s))


def _skew(words: Messages, skew_s: float) -> str:
    key = "room.clock_ahead" if skew_s > 0 else "room.clock_behind"
    return words.text(key, time=duration(words, abs(skew_s)))
