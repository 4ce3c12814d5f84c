"""What the station asks and tells the core beside its uploads: today's list with its plan, the heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from capture.core import Core
from capture.login import Login
from capture.today import Today
from config.errors import NotLoggedIn, YianError
from config.settings import Settings

LIST_EVERY_S = 20.0
_log = structlog.get_logger(__name__)


class Desk:
    """Talks to the core in a thread of its own, so that nothing in the room ever waits for a network."""

    def __init__(self, settings: Settings, login: Login) -> None:
        self._settings, self._login = settings.capture, login
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def today(self) -> Any:
        """The list of today as the core tells it. Raises CoreUnreachable, NotLoggedIn and what else the core says."""
        with Core(self._login.settings) as core:
            planned = {each["consultation"]: each for each in core.schedule(self._settings.room)}
            visits = core.today(self._settings.room)
        for visit in visits:
            if plan := planned.get(visit["id"]):
                visit |= {
                    "scheduled_at": plan["starts_at"],
                    "planned_minutes": plan["length_s"] / 60,
                    "automatic": plan["automatic"],
                }
        return visits

    def start(self, today: Today, report: Callable[[], dict[str, Any]]) -> None:
        self._thread = threading.Thread(target=self._run, args=(today, report), name="desk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Say good-bye and end; what is under way with the core is given up."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(self._settings.heartbeat_s)

    def _run(self, today: Today, report: Callable[[], dict[str, Any]]) -> None:
        due = 0.0
        waited = 0.0
        while True:
            if waited >= due and self._quietly(today.refresh):
                due = waited + LIST_EVERY_S
            self._quietly(lambda: self._tell(report()))
            if self._ended.wait(self._settings.heartbeat_s):
                self._quietly(lambda: self._tell(report() | {"state": "idle"}))
                return
            waited += self._settings.heartbeat_s

    def _tell(self, words: dict[str, Any]) -> None:
        with Core(self._login.settings) as core:
            core.tell_room(self._settings.room, words)

    def _quietly(self, errand: Callable[[], object]) -> bool:
        """Whether it was done."""
        try:
            errand()
            return True
        except NotLoggedIn:
            _log.warning("core_refuses", code="not-logged-in")
        except YianError as error:
            _log.info("core_away", code=error.code)
        return False
