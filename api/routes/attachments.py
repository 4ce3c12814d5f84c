"""Attachments of a consultation: handed in, looked at, vouched for, deleted."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import File, Form, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from api import actions
from api.core import Core
from api.deps import Actor, InCore
from api.doors import EVERY_ROLE, Doors
from api.routes.recordings import incoming_folder
from api.schemas.attachments import AttachmentAnswer, AttachmentsAnswer, ReleaseRequest
from api.schemas.base import Id
from archive.models import Attachment, User
from archive.store import disk_full_is_named
from archive.terms import Role, Topic
from config.errors import AttachmentRejected

doors = Doors("attachments")

KEEPERS = (Role.TECHNICIAN, Role.EXPERT)
REMOVERS = (Role.TECHNICIAN, Role.EXPERT, Role.REVIEWER, Role.MANAGER)
# The largest that the setting allows, and the frame around it.
BODY_BYTES = (256 << 20) + (1 << 20)
NOTE_CHARACTERS = 1000
CONTENT_TYPES = {
    "jpeg": ("image/jpeg", "jpg"),
    "png": ("image/png", "png"),
    "pdf": ("application/pdf", "pdf"),
    "dicom": ("application/dicom", "dcm"),
}


@doors.post(
    "/api/consultations/{id}/attachments",
    roles=KEEPERS,
    summary="Attach a picture or report; it is cleaned, sealed, and held until a reviewer vouches for it",
    status_code=201,
    body_bytes=BODY_BYTES,
)
async def attach(
    id: Id,
    actor: Actor,
    core: InCore,
    type: Annotated[Topic, Form()],
    taken_at: Annotated[str, Form(max_length=40)],
    file: Annotated[UploadFile, File()],
    note: Annotated[str, Form(max_length=NOTE_CHARACTERS, pattern=r"^[^\x00]*$")] = "",
    replaces: Annotated[str | None, Form(pattern=r"^[A-Za-z0-9]{1,16}$")] = None,
) -> AttachmentAnswer:
    kept = await run_in_threadpool(
        take_in,
        core,
        actor,
        id,
        file.file,
        topic=type,
        taken_at=_time(taken_at),
        note=note,
        replaces=replaces,
    )
    return AttachmentAnswer.seen_by(actor, kept)


def take_in(
    core: Core,
    actor: User,
    consultation_id: str,
    received: BinaryIO,
    *,
    topic: Topic,
    taken_at: dt.datetime,
    note: str,
    replaces: str | None = None,
) -> Attachment:
    """Attach what was ``received``, by way of a private file that is gone afterwards. Raises as the action does."""
    folder = incoming_folder(core.settings.home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with disk_full_is_named(folder), tempfile.NamedTemporaryFile(dir=folder) as file:
        shutil.copyfileobj(received, file)
        file.flush()
        source = Path(file.name)
        return actions.attach(
            core,
            actor,
            consultation_id,
            source,
            topic=topic,
            taken_at=taken_at,
            note=note,
            replaces=replaces,
        )


@doors.get(
    "/api/consultations/{id}/attachments",
    roles=EVERY_ROLE,
    summary="What is attached; trainees see what was vouched for, of published cases open to them",
)
def list_attachments(id: Id, actor: Actor, core: InCore) -> AttachmentsAnswer:
    found = actions.list_attachments(core, actor, id)
    return AttachmentsAnswer(attachments=[AttachmentAnswer.seen_by(actor, kept) for kept in found])


@doors.get(
    "/api/consultations/{id}/attachments/{attachment}",
    roles=EVERY_ROLE,
    summary="The bytes of one attachment",
    response_class=Response,
)
def read(id: Id, attachment: Id, actor: Actor, core: InCore) -> Response:
    kept, content = actions.open_attachment(core, actor, id, attachment)
    media_type, ending = CONTENT_TYPES[kept.form]
    # Only pictures that we have painted ourselves are shown inside a page.
    how = "inline" if media_type.startswith("image/") else "attachment"
    headers = {"Content-Disposition": f'{how}; filename="{kept.id}.{ending}"'}
    return Response(content, media_type=media_type, headers=headers)


@doors.post(
    "/api/consultations/{id}/attachments/{attachment}/release",
    roles=(Role.REVIEWER,),
    summary="Vouch that an attachment shows no identity; from publication on trainees see it",
)
def release(id: Id, attachment: Id, asked: ReleaseRequest, actor: Actor, core: InCore) -> AttachmentAnswer:
    kept = actions.release_attachment(core, actor, id, attachment, asked.sha256)
    return AttachmentAnswer.seen_by(actor, kept)


@doors.post(
    "/api/consultations/{id}/attachments/{attachment}/delete",
    roles=REMOVERS,
    summary="Delete an attachment for ever",
    status_code=204,
)
def delete(id: Id, attachment: Id, actor: Actor, core: InCore) -> Response:
    actions.delete_attachment(core, actor, id, attachment)
    return Response(status_code=204)


def _time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise AttachmentRejected(why="taken-at", detail="") from error
