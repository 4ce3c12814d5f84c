"""Attachments of a consultation: pictures of tongue and pulse, examination reports. Sealed, held, then released.

Nobody but the case's staff sees one before a reviewer has looked at it and vouched that it shows no identity.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Collection

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from archive import audit
from archive.models import Attachment, utc_now
from archive.vault import Vault
from config.errors import AttachmentRejected, NotFound, PackageChanged

PREFIX = "attachments"
SECRET_BYTES = 32
OLDEST_YEAR = 1970


def uid_secret(vault: Vault, consultation_id: str) -> bytes:
    """The case's secret for new UIDs, made at its first use: files of one study stay together, sealed like them.

    Call it with the case locked, or two secrets may be made.
    """
    key = f"{PREFIX}/{consultation_id}/uids.age"
    try:
        return vault.open_bytes(consultation_id, key)
    except NotFound:
        secret = secrets.token_bytes(SECRET_BYTES)
        vault.seal_bytes(consultation_id, secret, key)
        return secret


def key_of(consultation_id: str, attachment_id: str) -> str:
    return f"{PREFIX}/{consultation_id}/{attachment_id}.age"


def check_room_for_one(
    session: Session, consultation_id: str, most: int, leaving: Collection[str] = ()
) -> None:
    """Raises AttachmentRejected when the consultation has ``most`` attachments beside those that leave."""
    count = session.scalar(
        select(func.count())
        .select_from(Attachment)
        .where(
            Attachment.consultation_id == consultation_id,
            Attachment.deleted_at.is_(None),
            Attachment.id.not_in(leaving),
        )
    )
    if (count or 0) >= most:
        raise AttachmentRejected(why="too-many", detail=str(most))


def list_of(session: Session, consultation_id: str, *, released_only: bool = False) -> list[Attachment]:
    """Those that are there, in the order they were taken."""
    wanted = select(Attachment).where(
        Attachment.consultation_id == consultation_id, Attachment.deleted_at.is_(None)
    )
    if released_only:
        wanted = wanted.where(Attachment.released_at.is_not(None))
    return list(session.scalars(wanted.order_by(Attachment.taken_at, Attachment.added_at, Attachment.id)))


def find(session: Session, consultation_id: str, attachment_id: str) -> Attachment:
    """Raises NotFound, also for one that was deleted."""
    found = session.get(Attachment, attachment_id)
    if found is None or found.consultation_id != consultation_id or found.deleted_at is not None:
        raise NotFound(what="attachment", id=attachment_id)
    return found


def release(session: Session, attachment: Attachment, actor_id: str, sha256: str) -> None:
    """``actor_id`` vouches that exactly the bytes of ``sha256`` show no identity. Repeating it changes nothing.

    Raises PackageChanged when those are not the bytes that were looked at.
    """
    if attachment.sha256 != sha256.lower():
        raise PackageChanged(case=attachment.consultation_id)
    if attachment.released_at is None:
        attachment.released_at, attachment.released_by = utc_now(), actor_id
        audit.record(
            session,
            actor_id,
            "attachment.release",
            attachment.consultation_id,
            attachment=attachment.id,
            sha256=attachment.sha256,
            concerns=",".join(attachment.concerns),
        )


def mark_deleted(
    session: Session, attachment: Attachment, actor_id: str, replaced_by: str | None = None
) -> None:
    """Take an attachment away, with its note, which may name somebody. The caller deletes the object afterwards."""
    attachment.deleted_at, attachment.deleted_by, attachment.note = utc_now(), actor_id, ""
    audit.record(
        session,
        actor_id,
        "attachment.replace" if replaced_by else "attachment.delete",
        attachment.consultation_id,
        attachment=attachment.id,
        by=replaced_by,
    )


def forget_notes(session: Session, consultation_id: str) -> None:
    """For a case that is erased: what people wrote beside its attachments goes as well."""
    session.execute(update(Attachment).where(Attachment.consultation_id == consultation_id).values(note=""))


def check_taken_at(taken_at: dt.datetime) -> None:
    """Raises AttachmentRejected for a time without a zone, in the future or before anything was digital."""
    if (
        taken_at.tzinfo is None
        or taken_at.year < OLDEST_YEAR
        or taken_at > utc_now() + dt.timedelta(minutes=5)
    ):
        raise AttachmentRejected(why="taken-at", detail="")
