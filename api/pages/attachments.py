"""The part of a case's page on which attachments are added, looked at and vouched for."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import File, Form, UploadFile
from fastapi.responses import RedirectResponse, Response

from api import actions
from api.core import Core
from api.deps import Actor, InCore
from api.doors import Doors
from api.routes.attachments import BODY_BYTES, KEEPERS, NOTE_CHARACTERS, REMOVERS, take_in
from api.schemas.base import Id
from archive.models import Case, User, utc_now
from archive.terms import Role, State, Topic
from config.errors import AttachmentRejected, ConsentRefused

doors = Doors("pages", in_schema=False)


@doors.post(
    "/cases/{id}/attachments", roles=KEEPERS, summary="Attach a file from the page", body_bytes=BODY_BYTES
)
def attach(
    id: Id,
    actor: Actor,
    core: InCore,
    type: Annotated[Topic, Form()],
    file: Annotated[UploadFile, File()],
    taken_at: Annotated[str, Form(max_length=40)] = "",
    note: Annotated[str, Form(max_length=NOTE_CHARACTERS, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    when = _local_time(core, taken_at) if taken_at else utc_now()
    take_in(core, actor, id, file.file, topic=type, taken_at=when, note=note)
    return _back(id)


@doors.post(
    "/cases/{id}/attachments/{attachment}/release",
    roles=(Role.REVIEWER,),
    summary="Vouch for an attachment from the page",
)
def release(
    id: Id,
    attachment: Id,
    actor: Actor,
    core: InCore,
    shows_no_identity: Annotated[Literal["true"], Form()],
    sha256: Annotated[str, Form(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    actions.release_attachment(core, actor, id, attachment, sha256)
    return _back(id)


@doors.post(
    "/cases/{id}/attachments/{attachment}/delete",
    roles=REMOVERS,
    summary="Delete an attachment from the page",
)
def delete(
    id: Id, attachment: Id, actor: Actor, core: InCore, sure: Annotated[Literal["true"], Form()]
) -> Response:
    actions.delete_attachment(core, actor, id, attachment)
    return _back(id)


def shown_attachments(core: Core, actor: User, case: Case) -> dict[str, Any] | None:
    """What the page shows of a case's attachments; None: nothing to see and nothing to do for this person."""
    try:
        found = actions.list_attachments(core, actor, case.id)
    except ConsentRefused:
        return None
    may_add = actor.role in KEEPERS and case.state is not State.WITHDRAWN
    if not found and not may_add:
        return None
    return {
        "all": found,
        "may_add": may_add,
        "may_release": actor.role is Role.REVIEWER,
        "may_delete": actor.role in REMOVERS,
        "topics": list(Topic),
        "most_mb": core.settings.archive.attachment_max_mb,
    }


def _local_time(core: Core, text: str) -> dt.datetime:
    """What a page's date field gives is the base's local time. Raises AttachmentRejected."""
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise AttachmentRejected(why="taken-at", detail="") from error
    return when if when.tzinfo else when.replace(tzinfo=core.settings.zone)


def _back(id: str) -> Response:
    return RedirectResponse(f"/cases/{id}#attachments", status_code=303)
