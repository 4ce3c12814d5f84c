"""Cases: their state, their history, their playing."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.schemas.base import Request, Seconds
from api.schemas.review import MAX_SPANS
from archive.models import Case, User
from archive.terms import Decision, Kind, Role, State


class CaseState(BaseModel):
    case: str
    state: State

    @classmethod
    def of(cls, case: Case) -> CaseState:
        return cls(case=case.id, state=case.state)


class CaseRow(BaseModel):
    id: str
    title: str
    kind: Kind
    expert: str
    state: State
    scheduled_at: dt.datetime
    published_at: dt.datetime | None
    duration_s: float | None

    @classmethod
    def row(cls, case: Case) -> dict[str, Any]:
        told = case.consultation
        return {
            "id": case.id,
            "title": told.title,
            "kind": told.kind,
            "expert": told.expert.name,
            "state": case.state,
            "scheduled_at": told.scheduled_at,
            "published_at": case.published_at,
            "duration_s": case.summary.get("duration_s"),
        }

    @classmethod
    def of(cls, case: Case) -> CaseRow:
        return cls(**cls.row(case))


class CasesAnswer(BaseModel):
    cases: list[CaseRow]


class MoveAnswer(BaseModel):
    old: State | None
    new: State
    actor: str
    note: str
    at: dt.datetime


class ReviewAnswer(BaseModel):
    level: str
    decision: Decision
    user: str
    note: str
    edits: dict[str, Any]
    at: dt.datetime


class CaseAnswer(CaseRow):
    """A case whole. A trainee gets the published facts only: reviews and history are the staff's."""

    reason: dict[str, Any] | None = None
    summary: dict[str, Any] = {}
    history: list[MoveAnswer] = []
    reviews: list[ReviewAnswer] = []

    @classmethod
    def seen_by(cls, user: User, case: Case) -> CaseAnswer:
        if user.role is Role.TRAINEE:
            return cls(**cls.row(case))
        return cls(
            **cls.row(case),
            reason=case.reason,
            summary=case.summary,
            history=[
                MoveAnswer(old=m.old, new=m.new, actor=m.actor, note=m.note, at=m.at) for m in case.history
            ],
            reviews=[
                ReviewAnswer(
                    level=str(r.level),
                    decision=r.decision,
                    user=r.user_id,
                    note=r.note,
                    edits=r.edits,
                    at=r.at,
                )
                for r in case.reviews
            ],
        )


class WatchRequest(Request):
    """Spans of the case, in seconds, that have really been played since the last report."""

    spans: Annotated[list[tuple[Seconds, Seconds]], Field(max_length=MAX_SPANS)]


class WatchAnswer(BaseModel):
    watched_s: float
    counted: bool


class StepAnswer(BaseModel):
    step: str
    progress: float
    done: bool


class ProgressAnswer(BaseModel):
    state: State
    share: float | None
    steps: list[StepAnswer]
