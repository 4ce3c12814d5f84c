"""Today's list of consultations as the core told it last: kept beside the spool, so that a clinic works offline."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from capture.kept_file import keep
from config.errors import CoreUnreachable, NotFound


class Visit(BaseModel):
    """One consultation of today. ``consent`` is a code; only with ``may_record`` may it be recorded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    scheduled_at: dt.datetime
    half_day: str
    kind: str
    title: str
    expert: str
    patient: str
    may_record: bool
    consent: str
    planned_minutes: float | None = None
    automatic: bool = False
    # Why it was planned into a full half-day, and who allowed it.
    override_reason: str | None = None
    override_by: str | None = None


_log = structlog.get_logger(__name__)
_VISITS = TypeAdapter(tuple[Visit, ...])


class Today:
    """The list and its age. Safe to use from several threads."""

    def __init__(self, home: Path, zone: ZoneInfo, fetch: Callable[[], Any]) -> None:
        """``fetch`` asks the core for the list as plain data; it raises what the core says."""
        self._path = home / "station" / "today.json"
        self._zone, self._fetch = zone, fetch
        self._lock = threading.Lock()
        self._visits: tuple[Visit, ...] = ()
        self._told_at: dt.datetime | None = None
        self._load()

    @property
    def visits(self) -> tuple[Visit, ...]:
        """Those of today; yesterday's list is no list."""
        with self._lock:
            told_at, visits = self._told_at, self._visits
        if told_at is None or told_at.astimezone(self._zone).date() != dt.datetime.now(self._zone).date():
            return ()
        return visits

    @property
    def told_at(self) -> dt.datetime | None:
        with self._lock:
            return self._told_at

    def find(self, consultation: str) -> Visit:
        """Raises NotFound."""
        for visit in self.visits:
            if visit.id == consultation:
                return visit
        raise NotFound(what="consultation", id=consultation)

    def refresh(self) -> None:
        """Ask the core. Raises CoreUnreachable and what else the core says; the old list stays then."""
        try:
            visits = _VISITS.validate_python(self._fetch())
        except ValidationError as error:
            raise CoreUnreachable(url="", detail="no list of today") from error
        with self._lock:
            self._visits, self._told_at = visits, dt.datetime.now(dt.UTC)
            self._save(
                {"told_at": self._told_at.isoformat(), "visits": _VISITS.dump_python(visits, mode="json")}
            )

    def _save(self, told: Mapping[str, Any]) -> None:
        try:
            keep(self._path, json.dumps(told, ensure_ascii=False))
        except OSError as error:
            # The disk may be full; what was told counts as long as the program runs.
            _log.warning("today_not_kept", detail=error.strerror)

    def _load(self) -> None:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            self._visits = _VISITS.validate_python(told["visits"])
            self._told_at = dt.datetime.fromisoformat(told["told_at"])
        except (OSError, ValueError, KeyError, TypeError):
            # Never told, or damaged: the core is asked anyway.
            self._visits, self._told_at = (), None
