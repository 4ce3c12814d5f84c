"""Withdrawn cases and what a manager decides about them."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel

from api.schemas.base import Reason, Request
from archive.holding import HeldCase
from archive.terms import HoldVerdict


class KeepRequest(Request):
    """A law obliges to keep a withdrawn case: which, and the day on which a manager decides again."""

    reason: Reason
    until: dt.date


class HeldAnswer(BaseModel):
    """A withdrawn case. ``waits``: a manager has to decide now. ``withdrawn_by`` and ``decided_by`` are ids of people."""

    case: str
    title: str
    footage: bool
    waits: bool
    purposes: list[str]
    reason: str
    withdrawn_at: dt.datetime | None
    withdrawn_by: str | None
    verdict: HoldVerdict | None
    decided_reason: str
    decide_again_on: dt.date | None
    decided_by: str | None
    decided_at: dt.datetime | None

    @classmethod
    def of(cls, held: HeldCase, today: dt.date) -> HeldAnswer:
        taken, decided = held.withdrawal, held.decision
        return cls(
            case=held.case.id,
            title=held.case.consultation.title,
            footage=held.footage,
            waits=held.waits(today),
            purposes=taken.purposes if taken else [],
            reason=taken.reason if taken else "",
            withdrawn_at=taken.at if taken else None,
            withdrawn_by=taken.by if taken else None,
            verdict=decided.verdict if decided else None,
            decided_reason=decided.reason if decided else "",
            decide_again_on=decided.decide_again_on if decided else None,
            decided_by=decided.by if decided else None,
            decided_at=decided.at if decided else None,
        )
