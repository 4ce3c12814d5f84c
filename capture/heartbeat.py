"""What the core hears of a station, every few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any


class Heartbeat:
    """Remembers since when the state has been what it is."""

    def __init__(self) -> None:
        self._state, self._since = "", datetime.now(UTC)

    def report(self, snapshot: Mapping[str, Any]) -> dict[str, Any]:
        """A station's snapshot in the words of ``PUT /api/rooms/{room}/state``."""
        session, queue, now = snapshot["session"], snapshot["queue"], datetime.now(UTC)
        if snapshot["state"] != self._state:
            self._state, self._since = snapshot["state"], now
        return {
            "state": self._state,
            "since": self._since.isoformat(),
            "clock": now.isoformat(),
            "consultation": session["consultation"] if session else None,
            "space_left_s": snapshot["space_left_s"],
            "queue": {"count": queue["count"], "bytes": queue["bytes"]},
            "problems": [snapshot["room_problem"]] if snapshot["room_problem"] else [],
            "light": snapshot["light"]["verdict"] if snapshot["light"] else None,
            "sound": "fail" if snapshot["sound_alarms"] else "pass",
            "agent": version("yian"),
        }
