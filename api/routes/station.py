"""What a capture station asks the core before it records: the list of today."""

from __future__ import annotations

from api import actions
from api.deps import Actor, InCore, Words
from api.doors import Doors
from api.schemas import TodayAnswer, TodayRow
from archive.terms import Role

doors = Doors("station")


@doors.get(
    "/api/station/today",
    roles=(Role.TECHNICIAN,),
    summary="Today's visits of one's base in its zone, each with whether it may be recorded",
)
def today(actor: Actor, core: InCore, words: Words) -> TodayAnswer:
    zone = core.settings.zone
    return TodayAnswer(visits=[TodayRow.of(v, words, zone) for v in actions.list_today(core, actor)])
