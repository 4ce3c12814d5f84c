"""Automatic start and stop: what the plan of the day asks of the station now. It never overrules consent or a gate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
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
    """Asks for each automatic visit once to start and once to stop; a person who stops or starts earlier is obeyed."""

    def __init__(self, planned_minutes: float) -> None:
        """``planned_minutes``: length of a visit that the plan does not tell."""
        self._planned_minutes = planned_minutes
        self._stopped: set[str] = set()
        self._seen: set[str] = set()

    def wish(self, visits: Sequence[Visit], now: dt.datetime, running: str | None) -> Wish | None:
        """What to do at ``now`` (UTC) while ``running`` is recorded, or nothing."""
        if running is not None:
            self._seen.add(running)
        for visit in visits:
            if not visit.automatic:
                continue
            begins = visit.scheduled_at
            ends = begins + dt.timedelta(minutes=visit.planned_minutes or self._planned_minutes)
            if running == visit.id:
                if now >= ends and visit.id not in self._stopped:
                    self._stopped.add(visit.id)
                    return Wish("stop", visit.id)
            elif running is None and self._may_start(visit, begins, ends, now):
                return Wish("start", visit.id)
        return None

    def _may_start(self, visit: Visit, begins: dt.datetime, ends: dt.datetime, now: dt.datetime) -> bool:
        """Every half second until it runs: the light may be put right meanwhile. What has once run is not begun again."""
        return visit.id not in self._seen and visit.may_record and begins <= now < min(ends, begins + LATE)
