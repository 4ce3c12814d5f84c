"""What becomes of withdrawn cases: a manager erases them or, where a law demands it, keeps them sealed."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from api.actions.desk import case_of, require_role
from api.core import Core
from archive import attachments, holding, identity
from archive.holding import HeldCase
from archive.models import Case, HoldDecision, User
from archive.terms import Role

EVERYTHING = ("recordings", "work", "packages", "consents", identity.PREFIX, attachments.PREFIX)


def list_held(core: Core, actor: User) -> tuple[list[HeldCase], dict[str, str]]:
    """Every withdrawn case of the base, those that wait for a decision first, and people's names by id."""
    require_role(actor, Role.MANAGER)
    with core.catalog.read() as session:
        found = holding.held_cases(session, actor.base_code)
        people = session.execute(select(User.id, User.name).where(User.base_code == actor.base_code))
        names = {row.id: row.name for row in people}
    return sorted(found, key=lambda held: not held.waits(today(core))), names


def keep_case(core: Core, actor: User, case_id: str, reason: str, until: dt.date) -> HoldDecision:
    """Keep a withdrawn case sealed because a law obliges to, until a manager decides again on the day ``until``."""
    require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        return holding.keep_sealed(session, case, actor.id, reason, until, today(core))


def erase_case(core: Core, actor: User, case_id: str, reason: str = "") -> Case:
    """Delete everything of a withdrawn case (PIPL art. 47): its key first, so that every copy is unreadable.

    Repeating it is safe. Raises IllegalTransition, KeptByLaw.
    """
    require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        holding.begin_erasing(session, case, actor.id, today(core))
        attachments.forget_notes(session, case.id)
    core.vault.shred(case_id)
    for prefix in EVERYTHING:
        core.store.delete_prefix(f"{prefix}/{case_id}")
    with core.catalog.write() as session:
        holding.note_erased(session, case, actor.id, reason)
    return case


def erased_among(core: Core, actor: User, ids: list[str]) -> list[str]:
    """Those of ``ids`` that are erased: a station asks for what it still holds."""
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.read() as session:
        return holding.erased_among(session, actor.base_code, ids)


def confirm_erased(core: Core, actor: User, case_id: str, *, room: str, sessions: int, at: str) -> Case:
    """A station has erased what it held of an erased case. Repeating it is safe. Raises IllegalTransition, NotFound."""
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        holding.note_station_erased(session, case, actor.id, room=room, sessions=sessions, at=at)
        return case


def today(core: Core) -> dt.date:
    return dt.datetime.now(core.settings.zone).date()
