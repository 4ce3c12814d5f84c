"""Withdrawn cases: sealed until a manager decides whether they are erased or, where a law demands it, kept sealed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, selectinload

from archive import audit
from archive.models import AuditEvent, Case, Consultation, HoldDecision, Recording, Withdrawal
from archive.terms import HoldVerdict, State
from config.errors import IllegalTransition, KeptByLaw, RequestRejected

LONGEST_YEARS = 30
AT_A_STATION = "station.erase"


@dataclass(frozen=True)
class HeldCase:
    """A withdrawn case with who took it back when and why, and what was decided about it so far."""

    case: Case
    withdrawal: Withdrawal | None
    decision: HoldDecision | None
    footage: bool
    """Whether anything of it was ever recorded."""
    stations: tuple[AuditEvent, ...] = ()
    """Stations that told since that they have erased what they held of it: ``room`` and ``sessions`` in the detail."""

    def waits(self, today: dt.date) -> bool:
        """Whether a manager has to decide now: never decided, or kept until a day that has come."""
        if self.decision is None:
            return True
        until = self.decision.decide_again_on
        return self.decision.verdict is HoldVerdict.KEEP and until is not None and until <= today


def held_cases(session: Session, base_code: str) -> list[HeldCase]:
    """Every withdrawn case of a base, the newest withdrawal first."""
    wanted = (
        select(Case)
        .where(Case.base_code == base_code, Case.state == State.WITHDRAWN)
        .options(selectinload(Case.consultation).selectinload(Consultation.expert))
        .order_by(Case.updated_at.desc(), Case.id)
    )
    cases = list(session.scalars(wanted))
    ids = [case.id for case in cases]
    rows = session.scalars(select(Withdrawal).where(Withdrawal.consultation_id.in_(ids), Withdrawal.held))
    withdrawals = {row.consultation_id: row for row in rows}
    ordered = select(HoldDecision).where(HoldDecision.case_id.in_(ids)).order_by(HoldDecision.id)
    decisions = {row.case_id: row for row in session.scalars(ordered)}
    recorded = set(
        session.scalars(select(Recording.consultation_id).where(Recording.consultation_id.in_(ids)))
    )
    stations: dict[str, list[AuditEvent]] = {}
    for event in session.scalars(_erased_at_stations(ids)):
        stations.setdefault(event.object, []).append(event)
    return [
        HeldCase(
            case,
            withdrawals.get(case.id),
            decisions.get(case.id),
            case.id in recorded,
            tuple(stations.get(case.id, ())),
        )
        for case in cases
    ]


def keep_sealed(
    session: Session, case: Case, actor_id: str, reason: str, until: dt.date, today: dt.date
) -> HoldDecision:
    """A law obliges to keep it: it stays sealed until the day ``until``, on which a manager decides again.

    A later decision replaces this one. Raises IllegalTransition, RequestRejected.
    """
    _require_held(session, case)
    if not reason.strip():
        raise RequestRejected(problem="the reason to keep it is empty")
    if not today < until <= today + dt.timedelta(days=366 * LONGEST_YEARS):
        raise RequestRejected(problem=f"the day to decide again lies in the next {LONGEST_YEARS} years")
    return _decide(session, case, actor_id, HoldVerdict.KEEP, reason.strip(), until)


def begin_erasing(session: Session, case: Case, actor_id: str, today: dt.date) -> None:
    """Permit a manager to erase a withdrawn case, and log that it begins. Repeating it is harmless.

    Raises IllegalTransition for a case that was not withdrawn, KeptByLaw before the day that an earlier decision names.
    """
    newest = _newest(session, case)
    if case.state is not State.WITHDRAWN:
        raise IllegalTransition(case=case.id, state=str(case.state), wanted="erased")
    if newest is not None and newest.decide_again_on is not None and newest.decide_again_on > today:
        raise KeptByLaw(case=case.id, until=newest.decide_again_on.isoformat())
    audit.record(session, actor_id, "case.erase", case.id, "begun")


def note_erased(session: Session, case: Case, actor_id: str, reason: str = "") -> None:
    """Keep that nothing is left of it, once nothing is."""
    newest = _newest(session, case)
    if newest is None or newest.verdict is not HoldVerdict.ERASE:
        _decide(session, case, actor_id, HoldVerdict.ERASE, reason.strip(), None)


def erased_among(session: Session, base_code: str, ids: Collection[str]) -> list[str]:
    """Those of ``ids`` that a manager of the base has decided to erase and of which nothing is left here, sorted."""
    wanted = (
        select(Case.id)
        .join(HoldDecision, HoldDecision.case_id == Case.id)
        .where(Case.id.in_(ids), Case.base_code == base_code, Case.state == State.WITHDRAWN)
        .where(HoldDecision.verdict == HoldVerdict.ERASE)
    )
    return sorted(set(session.scalars(wanted)))


def note_station_erased(
    session: Session, case: Case, actor_id: str, *, room: str, sessions: int, at: str
) -> None:
    """Log that a station has erased so many sessions it still held. The same word again adds nothing.

    Raises IllegalTransition for a case that nobody has decided to erase.
    """
    newest = _newest(session, case)
    if newest is None or newest.verdict is not HoldVerdict.ERASE:
        raise IllegalTransition(case=case.id, state=str(case.state), wanted="erased")
    told = {"room": room, "sessions": sessions, "at": at}
    if all(event.detail != told for event in session.scalars(_erased_at_stations([case.id]))):
        audit.record(session, actor_id, AT_A_STATION, case.id, room=room, sessions=sessions, at=at)


def _erased_at_stations(ids: Collection[str]) -> Select[AuditEvent]:
    wanted = select(AuditEvent).where(AuditEvent.action == AT_A_STATION, AuditEvent.object.in_(ids))
    return wanted.order_by(AuditEvent.id)


def _require_held(session: Session, case: Case) -> None:
    newest = _newest(session, case)
    erased = newest is not None and newest.verdict is HoldVerdict.ERASE
    if case.state is not State.WITHDRAWN or erased:
        raise IllegalTransition(case=case.id, state=str(case.state), wanted="erased")


def _newest(session: Session, case: Case) -> HoldDecision | None:
    wanted = select(HoldDecision).where(HoldDecision.case_id == case.id).order_by(HoldDecision.id.desc())
    return session.scalars(wanted.limit(1)).first()


def _decide(
    session: Session, case: Case, actor_id: str, verdict: HoldVerdict, reason: str, until: dt.date | None
) -> HoldDecision:
    decision = HoldDecision(
        case_id=case.id, verdict=verdict, reason=reason, decide_again_on=until, by=actor_id
    )
    session.add(decision)
    audit.record(
        session,
        actor_id,
        f"case.{verdict}",
        case.id,
        reason=reason,
        decide_again_on=until.isoformat() if until else None,
    )
    return decision
