"""What goes over the wire about attachments."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas.base import Request
from archive.models import Attachment, User
from archive.terms import Role


class AttachmentAnswer(BaseModel):
    """``concerns``: why a reviewer has to look. A trainee is told what it is and when it was taken, no more."""

    id: str
    type: str
    format: str
    taken_at: dt.datetime
    size: int
    sha256: str
    released: bool
    note: str = ""
    concerns: list[str] = []
    added_by: str = ""
    added_at: dt.datetime | None = None

    @classmethod
    def seen_by(cls, user: User, kept: Attachment) -> AttachmentAnswer:
        seen = cls(
            id=kept.id,
            type=kept.topic,
            format=kept.form,
            taken_at=kept.taken_at,
            size=kept.size,
            sha256=kept.sha256,
            released=kept.released_at is not None,
        )
        if user.role is Role.TRAINEE:
            return seen
        told = {"note": kept.note, "concerns": kept.concerns, "added_by": kept.added_by}
        return seen.model_copy(update={**told, "added_at": kept.added_at})


class AttachmentsAnswer(BaseModel):
    attachments: list[AttachmentAnswer]


class ReleaseRequest(Request):
    """A reviewer's word that exactly these bytes show no identity."""

    shows_no_identity: Literal[True]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
