"""People: logins, and experts who consented to stay visible."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from sqlalchemy import delete, select

from api.actions.desk import require_role
from api.auth import hash_password
from api.core import Core
from archive import audit
from archive.models import (
    FaceTemplate,
    User,
    new_id,
)
from archive.terms import Role
from config.errors import (
    AlreadyExists,
    ConsentFormRejected,
    Forbidden,
    NotFound,
    RequestRejected,
)
from processing.child import run_alone

# A few words of consent at least, a scan at most.
FORM_BYTES = (20, 20 << 20)
USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")


def create_user(core: Core, actor: User, *, username: str, name: str, role: Role, password: str) -> User:
    """Add a person of the actor's base. Raises AlreadyExists, or RequestRejected for a weak password."""
    require_role(actor, Role.MANAGER)
    if not USERNAME.fullmatch(username) or not name.strip():
        raise RequestRejected(
            problem="a login name is 2 to 64 of a-z, 0-9, '.', '_', '-'; the name is not empty"
        )
    user = User(
        username=username,
        name=name.strip(),
        role=role,
        base_code=actor.base_code,
        password_hash=hash_password(password),
    )
    with core.catalog.write() as session:
        if session.scalar(select(User).where(User.username == username)) is not None:
            raise AlreadyExists(what=f"user {username}")
        session.add(user)
        session.flush()
        audit.record(session, actor.id, "user.create", user.id, str(role))
        return user


def enrol_expert(core: Core, actor: User, expert_id: str, photo: Path, consent: bytes) -> FaceTemplate:
    """Keep an expert's face template, sealed, so that the expert stays visible; it never leaves the premises.

    ``consent`` is the form the expert signed for exactly this, as text or as a scan; it is kept too, sealed with a
    key of its own, so that it can still be shown when the template is long destroyed. Raises
    ConsentFormRejected, NotFound, and what :func:`processing.recognise.make_template` raises.
    """
    require_role(actor, Role.MANAGER)
    if not FORM_BYTES[0] <= len(consent.strip()) <= FORM_BYTES[1]:
        raise ConsentFormRejected(problem="the expert's signed form is empty or larger than 20 MB")
    with core.catalog.read() as session:
        expert = session.get(User, expert_id)
        if expert is None or expert.role is not Role.EXPERT or expert.base_code != actor.base_code:
            raise NotFound(what="expert", id=expert_id)
    template_id = new_id()
    key = f"templates/{expert_id}/{template_id}.age"
    with tempfile.TemporaryDirectory(prefix="yian-") as folder:
        run_alone("make-template", {"photo": str(photo.resolve())}, core.settings, results=Path(folder))
        core.vault.seal_file(expert_id, Path(folder) / "template", key)
    core.vault.seal_bytes(forms_owner(expert_id), consent, f"templates/{expert_id}/{template_id}.form.age")
    with core.catalog.write() as session:
        template = FaceTemplate(
            id=template_id,
            expert_id=expert_id,
            key=key,
            consent_sha256=hashlib.sha256(consent).hexdigest(),
            enrolled_by=actor.id,
        )
        session.add(template)
        audit.record(session, actor.id, "expert.enrol", expert_id)
        return template


def forms_owner(expert_id: str) -> str:
    """Whose key an expert's signed forms are sealed with: another one than the templates', which may be destroyed."""
    return f"forms-{expert_id}"


def forget_expert(core: Core, actor: User, expert_id: str) -> None:
    """Destroy every face template of an expert; published cases and the signed forms stay as they are."""
    require_role(actor, Role.MANAGER, Role.EXPERT)
    if actor.role is Role.EXPERT and actor.id != expert_id:
        raise Forbidden(action="forget another expert")
    with core.catalog.write() as session:
        mine = FaceTemplate.expert_id == expert_id
        keys = list(session.scalars(select(FaceTemplate.key).where(mine)))
        session.execute(delete(FaceTemplate).where(mine))
        audit.record(session, actor.id, "expert.forget", expert_id)
    core.vault.shred(expert_id)
    for key in keys:
        core.store.delete(key)
