from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from archive import alarms, release
from archive.models import AuditEvent, Case, Recording, Resolution, User
from archive.terms import Decision, Finding, Role, State
from config.errors import (
    AlreadyResolved,
    IllegalTransition,
    PoisonCase,
    ProducerMayNotApprove,
    VerificationFailed,
    YianError,
)
from tests.archive.rooms import Room, open_room

RAISED = ("room-1", "room-2")
REASON = "灯罩的反光"


@dataclass(frozen=True)
class Alarmed:
    """A case whose verification failed with two alarms."""

    room: Room
    reviewer: User
    case: Case

    def resolve(self, user: User, moment: str, finding: Finding = Finding.NO_FACE) -> Resolution:
        with self.room.core.catalog.write() as session:
            case = self.room.load(session, self.case)
            return alarms.resolve(session, case, user, moment, finding, REASON)

    def change(self, **columns: object) -> None:
        with self.room.core.catalog.write() as session:
            case = self.room.load(session, self.case)
            for name, value in columns.items():
                setattr(case, name, value)

    def require(self, raised: tuple[str, ...] = RAISED) -> None:
        with self.room.core.catalog.read() as session:
            alarms.require_resolved(session, self.room.load(session, self.case), raised)


@pytest.fixture
def alarmed(tmp_path: Path, database_url: str) -> Alarmed:
    room = open_room(tmp_path / "home", database_url)
    technician, reviewer, expert = (
        room.person(role) for role in (Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT)
    )
    found = Alarmed(room, reviewer, room.case(State.FAILED, technician, expert))
    found.change(reason=VerificationFailed(case=found.case.id, moments=2).to_dict())
    return found


def test_a_verification_is_accepted_when_each_of_its_alarms_is_answered_by_name(alarmed: Alarmed) -> None:
    with pytest.raises(VerificationFailed) as nothing_yet:
        alarmed.require()
    assert nothing_yet.value.data["moments"] == 2
    answer = alarmed.resolve(alarmed.reviewer, "room-1")
    assert (answer.user_id, answer.reason, answer.finding) == (alarmed.reviewer.id, REASON, Finding.NO_FACE)
    with pytest.raises(VerificationFailed) as one_left:
        alarmed.require()
    assert one_left.value.data["moments"] == 1
    alarmed.resolve(alarmed.room.person(Role.REVIEWER), "room-2")
    alarmed.require()


def test_a_failed_verification_that_names_nothing_cannot_be_talked_away(alarmed: Alarmed) -> None:
    with pytest.raises(VerificationFailed):
        alarmed.require(())


def test_answers_to_another_edit_never_count(alarmed: Alarmed) -> None:
    for moment in RAISED:
        alarmed.resolve(alarmed.reviewer, moment)
    alarmed.change(edit=1)
    with pytest.raises(VerificationFailed) as anew:
        alarmed.require()
    assert anew.value.data["moments"] == 2
    alarmed.resolve(alarmed.reviewer, "room-1")


def test_who_had_a_part_in_making_a_case_cannot_answer_for_it(alarmed: Alarmed) -> None:
    with alarmed.room.core.catalog.write() as session:
        recorded = session.scalars(
            select(Recording).where(Recording.consultation_id == alarmed.case.id)
        ).one()
        recorded.recorded_by = alarmed.reviewer.id
    with pytest.raises(ProducerMayNotApprove):
        alarmed.resolve(alarmed.reviewer, "room-1")
    editor = alarmed.room.person(Role.REVIEWER)
    with alarmed.room.core.catalog.write() as session:
        case = alarmed.room.load(session, alarmed.case)
        release.apply_edits(session, case, editor, {"room": {"blur_tracks": [1]}})
    with pytest.raises(ProducerMayNotApprove):
        alarmed.resolve(editor, "room-1")
    alarmed.resolve(alarmed.room.person(Role.REVIEWER), "room-1")


def test_who_let_a_face_be_seen_answers_on_but_does_not_approve_the_case(alarmed: Alarmed) -> None:
    for moment in RAISED:
        alarmed.resolve(alarmed.reviewer, moment, Finding.EXPERT)
    alarmed.change(state=State.IN_REVIEW, summary={"verification": {"verdict": "resolved"}})
    with alarmed.room.core.catalog.write() as session, pytest.raises(ProducerMayNotApprove):
        release.decide(session, alarmed.case.id, alarmed.reviewer, Decision.APPROVE)
    other = alarmed.room.person(Role.REVIEWER)
    with alarmed.room.core.catalog.write() as session:
        assert release.decide(session, alarmed.case.id, other, Decision.APPROVE).state is State.EXPERT_REVIEW


def test_a_case_whose_alarms_are_not_all_answered_is_never_approved(alarmed: Alarmed) -> None:
    alarmed.change(state=State.IN_REVIEW, summary={"verification": {"verdict": "fail", "moments": 2}})
    with alarmed.room.core.catalog.write() as session, pytest.raises(VerificationFailed):
        release.decide(session, alarmed.case.id, alarmed.reviewer, Decision.APPROVE)


def test_alarms_are_answered_only_while_the_case_has_failed(alarmed: Alarmed) -> None:
    for state in set(State) - {State.FAILED}:
        alarmed.change(state=state)
        with pytest.raises(IllegalTransition):
            alarmed.resolve(alarmed.reviewer, "room-1")


def test_alarms_of_a_case_that_failed_for_another_reason_are_not_answered(alarmed: Alarmed) -> None:
    alarmed.change(reason=PoisonCase(case=alarmed.case.id, takeovers=4).to_dict())
    with pytest.raises(IllegalTransition):
        alarmed.resolve(alarmed.reviewer, "room-1")


def test_of_many_answers_at_once_the_first_one_stands(alarmed: Alarmed) -> None:
    people = [alarmed.room.person(Role.REVIEWER) for _ in range(8)]

    def answer(user: User) -> str:
        try:
            return alarmed.resolve(user, "room-1").user_id
        except YianError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(answer, people))
    assert said.count(AlreadyResolved.code) == 7
    with alarmed.room.core.catalog.read() as session:
        (row,) = session.scalars(select(Resolution)).all()
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "moment.resolve")).all()
    assert row.user_id in said
    assert (event.actor, event.object, event.outcome) == (row.user_id, alarmed.case.id, "no-face")
    assert event.detail == {"moment": "room-1", "edit": 0}


def test_the_database_itself_refuses_to_change_or_forget_an_answer(alarmed: Alarmed) -> None:
    alarmed.resolve(alarmed.reviewer, "room-1")
    for statement in (update(Resolution).values(reason="x"), delete(Resolution)):
        with pytest.raises(DBAPIError, match="append-only"), alarmed.room.core.catalog.write() as session:
            session.execute(statement)
