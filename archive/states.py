"""The states a case moves through, and the only edges it may take."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive import audit
from archive.models import Case, Transition
from archive.terms import State
from config.errors import IllegalTransition, NotFound

EDGES: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.CONSENTED, State.WITHDRAWN}),
    State.CONSENTED: frozenset({State.RECORDING, State.WITHDRAWN}),
    State.RECORDING: frozenset({State.UPLOADED, State.WITHDRAWN}),
    State.UPLOADED: frozenset({State.PROCESSING, State.FAILED, State.WITHDRAWN}),
    State.PROCESSING: frozenset({State.IN_REVIEW, State.FAILED, State.WITHDRAWN}),
    State.IN_REVIEW: frozenset({State.EXPERT_REVIEW, State.REJECTED, State.WITHDRAWN}),
    State.EXPERT_REVIEW: frozenset({State.PUBLISHED, State.REJECTED, State.WITHDRAWN}),
    State.PUBLISHED: frozenset({State.WITHDRAWN}),
    State.REJECTED: frozenset({State.PROCESSING, State.FAILED, State.WITHDRAWN}),
    State.FAILED: frozenset({State.PROCESSING, State.WITHDRAWN}),
    State.WITHDRAWN: frozenset(),
}


def lock_case(session: Session, case_id: str) -> Case:
    """The case, locked until the transaction ends. Raises NotFound."""
    case = session.scalar(select(Case).where(Case.id == case_id).with_for_update())
    if case is None:
        raise NotFound(what="case", id=case_id)
    return case


def move(
    session: Session,
    case: Case,
    new: State,
    actor: str,
    *,
    note: str = "",
    reason: dict[str, Any] | None = None,
) -> None:
    """Take one edge. ``reason`` is an error as data, kept while the case is failed.

    Raises IllegalTransition when there is no such edge.
    """
    if new not in EDGES[case.state]:
        raise IllegalTransition(case=case.id, state=str(case.state), wanted=str(new))
    session.add(Transition(case_id=case.id, old=case.state, new=new, actor=actor, note=note))
    audit.record(session, actor, "case.move", case.id, str(new), old=str(case.state))
    case.state = new
    case.reason = reason
