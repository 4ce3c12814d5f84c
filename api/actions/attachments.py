"""Attachments: adding, looking at, vouching for and deleting them."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

from sqlalchemy.orm import Session

from api.actions.desk import case_of, consultation_of, refuse_withdrawn, require_role
from api.core import Core
from archive import attachments, audit, consent, release
from archive.cleaning import Cleaned, clean_file, form_of
from archive.models import Attachment, Case, User, new_id
from archive.store import disk_full_is_named, sha256_of
from archive.terms import Purpose, Role, Topic
from config.errors import AttachmentRejected, NotFound, YianError

KEEPERS = (Role.TECHNICIAN, Role.EXPERT)
REMOVERS = (Role.TECHNICIAN, Role.EXPERT, Role.REVIEWER, Role.MANAGER)


def attach(
    core: Core,
    actor: User,
    consultation_id: str,
    source: Path,
    *,
    topic: Topic,
    taken_at: dt.datetime,
    note: str = "",
    replaces: str | None = None,
) -> Attachment:
    """Clean ``source``, seal it to the case and keep it, held until a reviewer vouches for it.

    Only the cleaned copy is kept. Raises AttachmentRejected, a ConsentRefused without a valid consent to record,
    NotFound for what it would replace. Whatever is raised, nothing changes.
    """
    require_role(actor, *KEEPERS)
    attachments.check_taken_at(taken_at)
    limits = core.settings.archive
    if source.stat().st_size > limits.attachment_max_mb << 20:
        raise AttachmentRejected(why="too-large", detail=f"{limits.attachment_max_mb} MB")
    form = form_of(source)
    leaving = {replaces} if replaces else set()
    with core.catalog.write() as session:
        _may_add(core, session, actor, consultation_id, leaving)
        # Only DICOM names its things by UIDs.
        secret = attachments.uid_secret(core.vault, consultation_id) if form == "dicom" else b""
    attachment = Attachment(
        id=new_id(),
        consultation_id=consultation_id,
        topic=str(topic),
        taken_at=taken_at.astimezone(dt.UTC),
        note=note.strip(),
        added_by=actor.id,
    )
    cleaned = _seal_cleaned(core, attachment, source, secret)
    attachment.form, attachment.concerns = cleaned.form, list(cleaned.concerns)
    try:
        with core.catalog.write() as session:
            _may_add(core, session, actor, consultation_id, leaving)
            session.add(attachment)
            audit.record(
                session,
                actor.id,
                "attachment.add",
                consultation_id,
                attachment=attachment.id,
                topic=attachment.topic,
                form=attachment.form,
                sha256=attachment.sha256,
            )
            old = attachments.find(session, consultation_id, replaces) if replaces else None
            if old is not None:
                attachments.mark_deleted(session, old, actor.id, attachment.id)
    except YianError:
        core.store.delete(attachment.key)
        raise
    if old is not None:
        core.store.delete(old.key)
    return attachment


def _may_add(core: Core, session: Session, actor: User, consultation_id: str, leaving: set[str]) -> None:
    refuse_withdrawn(case_of(session, actor, consultation_id))
    consent.require(session, consultation_id, Purpose.RECORD)
    for attachment_id in leaving:
        attachments.find(session, consultation_id, attachment_id)
    most = core.settings.archive.attachment_max_count
    attachments.check_room_for_one(session, consultation_id, most, leaving)


def _seal_cleaned(core: Core, attachment: Attachment, source: Path, secret: bytes) -> Cleaned:
    """Clean, seal and measure; ``attachment`` learns where it lies and what its bytes are."""
    folder = core.settings.home.resolve() / "incoming"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with disk_full_is_named(folder), tempfile.NamedTemporaryFile(dir=folder) as file:
        target = Path(file.name)
        cleaned = clean_file(source, target, secret, core.settings.archive)
        attachment.sha256 = sha256_of(target)
        attachment.size = target.stat().st_size
        attachment.key = attachments.key_of(attachment.consultation_id, attachment.id)
        core.vault.seal_file(attachment.consultation_id, target, attachment.key)
    return cleaned


def list_attachments(core: Core, actor: User, consultation_id: str) -> list[Attachment]:
    """What the actor may see: a trainee the released ones of a published case, staff all of their base's.

    Raises NotFound for a trainee without a grant, a ConsentRefused for staff once the consent is gone.
    """
    with core.catalog.read() as session:
        _check_readable(session, actor, consultation_id)
        return attachments.list_of(session, consultation_id, released_only=actor.role is Role.TRAINEE)


def open_attachment(
    core: Core, actor: User, consultation_id: str, attachment_id: str
) -> tuple[Attachment, bytes]:
    """One attachment with its plain bytes; each look is written down. Raises as :func:`list_attachments`."""
    with core.catalog.write() as session:
        _check_readable(session, actor, consultation_id)
        found = attachments.find(session, consultation_id, attachment_id)
        if actor.role is Role.TRAINEE and found.released_at is None:
            raise NotFound(what="attachment", id=attachment_id)
        audit.record(session, actor.id, "attachment.read", consultation_id, attachment=found.id)
    return found, core.vault.open_bytes(consultation_id, found.key)


def _check_readable(session: Session, actor: User, consultation_id: str) -> None:
    """Consent is asked at every look: it can have been withdrawn since the file was taken in."""
    if actor.role is Role.TRAINEE:
        case = session.get(Case, consultation_id)
        if case is None:
            raise NotFound(what="case", id=consultation_id)
        try:
            release.require_grant(session, case, actor)
        except YianError as error:
            raise NotFound(what="case", id=consultation_id) from error
        return
    consultation_of(session, actor, consultation_id)
    # The reviewer is the third party; everybody else belongs to the clinic that took the file in.
    reviewer = actor.role is Role.REVIEWER
    consent.require(session, consultation_id, Purpose.THIRD_PARTY_PRODUCTION if reviewer else Purpose.RECORD)


def release_attachment(
    core: Core, actor: User, consultation_id: str, attachment_id: str, sha256: str
) -> Attachment:
    """A reviewer vouches that the bytes of ``sha256`` show no identity: from publication on trainees see them.

    Raises PackageChanged when the attachment is not those bytes, a ConsentRefused, NotFound.
    """
    require_role(actor, Role.REVIEWER)
    with core.catalog.write() as session:
        refuse_withdrawn(case_of(session, actor, consultation_id))
        _check_readable(session, actor, consultation_id)
        found = attachments.find(session, consultation_id, attachment_id)
        attachments.release(session, found, actor.id, sha256)
        return found


def delete_attachment(core: Core, actor: User, consultation_id: str, attachment_id: str) -> Attachment:
    """Delete for ever; the row stays and says who did it. Raises NotFound."""
    require_role(actor, *REMOVERS)
    with core.catalog.write() as session:
        case_of(session, actor, consultation_id)
        found = attachments.find(session, consultation_id, attachment_id)
        attachments.mark_deleted(session, found, actor.id)
    core.store.delete(found.key)
    return found
