"""Moments that the verification found, and how people answered for them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from archive.models import Resolution
from archive.terms import Finding

if TYPE_CHECKING:
    from api.actions import Moment
from api.schemas.base import Reason, Request


class ResolveRequest(Request):
    finding: Finding
    reason: Reason
    """In words, why; it is published with the case."""
    edit: Annotated[int, Field(ge=0)] | None = None
    """The edit whose moment was looked at; when it is no longer the case's, nothing is kept."""


class ResolutionAnswer(BaseModel):
    by: str
    name: str
    finding: Finding
    reason: str
    at: dt.datetime

    @classmethod
    def of(cls, answer: Resolution) -> ResolutionAnswer:
        return cls(
            by=answer.user_id,
            name=answer.user.name,
            finding=answer.finding,
            reason=answer.reason,
            at=answer.at,
        )


class MomentAnswer(BaseModel):
    """Something the verification saw in one place: ``count`` times, worst with ``score``.

    ``thumbnail``: the address of its picture; None when too much was found for a picture of each.
    """

    id: str
    camera: str
    kinds: list[str]
    first_s: float
    last_s: float
    count: int
    score: float
    thumbnail: str | None
    resolution: ResolutionAnswer | None

    @classmethod
    def of(cls, case_id: str, moment: Moment) -> MomentAnswer:
        told = {name: moment.alarm[name] for name in cls.model_fields if name in moment.alarm}
        picture = f"/api/cases/{case_id}/moments/{told['id']}/thumbnail"
        return cls(
            **told,
            thumbnail=picture if moment.pictured else None,
            resolution=ResolutionAnswer.of(moment.resolution) if moment.resolution else None,
        )


class MomentsAnswer(BaseModel):
    edit: int
    left: int
    moments: list[MomentAnswer]
