"""The access log: who did what to what, when. Append-only; the database itself refuses to change a row."""

from __future__ import annotations

from sqlalchemy.orm import Session

from archive.models import AuditEvent


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str,
    outcome: str = "ok",
    **detail: str | float | bool | None,
) -> None:
    """Add one event in the caller's transaction, so that an act and its trace are kept together or not at all."""
    session.add(AuditEvent(actor=actor, action=action, object=subject, outcome=outcome, detail=detail))
