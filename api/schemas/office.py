"""Counters, the access log, the health of the service."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel


class CountersAnswer(BaseModel):
    bases: list[dict[str, Any]]


class AuditRow(BaseModel):
    id: int
    at: dt.datetime
    actor: str
    action: str
    object: str
    outcome: str
    detail: dict[str, Any]


class AuditAnswer(BaseModel):
    """Newest first. ``next_before`` asks for the page that follows; None: that was all."""

    events: list[AuditRow]
    next_before: int | None


class HealthAnswer(BaseModel):
    ok: bool
