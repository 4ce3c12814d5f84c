"""Automatic start and stop: what the plan of the day asks of the station now. It never overrules consent or a gate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from capture.today import Visit

# A patient who is late is still recorded; a visit that nobody began is not begun at the next one's time.
LATE = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Wish:
    action: Literal["start", "stop"]
    consultation: str


class Timetable:
    """What the plan asks for; a person who starts, stops or goes on is obeyed."""

    def __init__(self, planned_minutes: float) -> None:
        """``planned_minutes``: length of a visit that the plan does not tell."""
        self._planned_minutes = planned_minutes
        self._stopped: set[str] = set()

    def length(self, visit: Visit) -> dt.timedelta:
        return dt.timedelta(minutes=visit.planned_minutes or self._planned_minutes)

    def end(self, visit: Visit) -> dt.datetime:
        return visit.scheduled_at + self.length(visit)

    def wish(
        self,
        visits: Sequence[Visit],
        now: dt.datetime,
        running: str | None,
        *,
        is_over: bool = False,
        begun: Collection[str] = (),
    ) -> Wish | None:
        """What to do at ``now`` (UTC) while ``running`` is recorded, or nothing. A session that runs is asked to stop once.

        ``is_over``: the time meant for ``running`` has passed. ``begun``: what has ever been recorded, also before this
        program was started: it is not begun again, for whoever sits there by then may be somebody else, or have paused it.
        """
        for visit in visits:
            if not visit.automatic:
                continue
            if running == visit.id:
                if is_over and visit.id not in self._stopped:
                    self._stopped.add(visit.id)
                    return Wish("stop", visit.id)
            elif running is None and visit.id not in begun and self._may_start(visit, now):
                return Wish("start", visit.id)
        return None

    def _may_start(self, visit: Visit, now: dt.datetime) -> bool:
        """Every half second until it runs: the light may be put right meanwhile."""
        begins = visit.scheduled_at
        return visit.may_record and begins <= now < min(self.end(visit), begins + LATE)
