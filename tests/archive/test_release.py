from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from archive import consent, ledger, release
from archive.models import Case, Consultation, User
from archive.terms import Decision, Level, Purpose, Role, State
from config.errors import (
    AlreadyDecided,
    ConsentWithdrawn,
    GrantMissing,
    IllegalTransition,
    ProducerMayNotApprove,
    SamePerson,
    YianError,
)
from tests.archive.rooms import Room, open_room

APPROVE, REJECT = Decision.APPROVE, Decision.REJECT


@dataclass(frozen=True)
class Desk:
    room: Room
    technician: User
    reviewer: User
    expert: User
    case: Case

    def decide(self, user: User, decision: Decision, edits: dict[str, object] | None = None) -> Case:
        with self.room.core.catalog.write() as session:
            return release.decide(session, self.case.id, user, decision, edits=edits)

    def back_in_review(self) -> None:
        """As when a rejected case has been processed again."""
        with self.room.core.catalog.write() as session:
            case = self.room.load(session, self.case)
            case.state = State.IN_REVIEW

    def state(self) -> State:
        with self.room.core.catalog.read() as session:
            return self.room.load(session, self.case).state


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Desk:
    room = open_room(tmp_path / "home", database_url)
    technician, reviewer, expert = (
        room.person(role) for role in (Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT)
    )
    case = room.case(State.IN_REVIEW, technician, expert)
    with room.core.catalog.write() as session:
        consultation = session.get_one(Consultation, case.id)
        consent.sign(session, room.core.vault, consultation, room.form(), technician.id, 1096)
    return Desk(room, technician, reviewer, expert, case)


def test_two_different_people_publish_and_count_a_case(desk: Desk) -> None:
    assert desk.decide(desk.reviewer, APPROVE).state is State.EXPERT_REVIEW
    assert desk.decide(desk.expert, APPROVE).state is State.PUBLISHED
    with desk.room.core.catalog.read() as session:
        assert ledger.counters(session, desk.room.core.settings.zone)[0].cases == 1


def test_one_person_cannot_sign_both_sides(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    with pytest.raises(SamePerson):
        desk.decide(desk.reviewer, APPROVE)
    assert desk.state() is State.EXPERT_REVIEW


def test_who_recorded_a_case_cannot_approve_it(desk: Desk) -> None:
    with pytest.raises(ProducerMayNotApprove):
        desk.decide(desk.technician, APPROVE)


def test_whose_edits_are_in_a_case_cannot_approve_it(desk: Desk) -> None:
    desk.decide(desk.reviewer, REJECT, {"room": {"blur_tracks": [1]}})
    desk.back_in_review()
    with pytest.raises(ProducerMayNotApprove):
        desk.decide(desk.reviewer, APPROVE)
    assert desk.decide(desk.room.person(Role.REVIEWER), APPROVE).state is State.EXPERT_REVIEW


def test_after_a_rejection_both_have_to_sign_again(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    assert desk.decide(desk.expert, REJECT).state is State.REJECTED
    desk.back_in_review()
    assert desk.decide(desk.reviewer, APPROVE).state is State.EXPERT_REVIEW


def test_a_case_that_is_not_in_review_cannot_be_signed(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    desk.decide(desk.expert, APPROVE)
    with pytest.raises(IllegalTransition):
        desk.decide(desk.room.person(Role.EXPERT), APPROVE)


def test_a_case_whose_consent_was_withdrawn_is_not_published(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    with desk.room.core.catalog.write() as session:
        for signed in session.get_one(Consultation, desk.case.id).consents:
            signed.withdrawn_at = signed.signed_at
    with pytest.raises(ConsentWithdrawn):
        desk.decide(desk.expert, APPROVE)
    assert desk.state() is State.EXPERT_REVIEW


def test_many_reviewers_at_once_leave_one_signature_a_side(desk: Desk) -> None:
    people = [desk.room.person(Role.REVIEWER) for _ in range(20)]

    def sign(user: User) -> str:
        try:
            return str(desk.decide(user, APPROVE).state)
        except YianError as error:
            return error.code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(sign, people))
    # The first two of them are the two different people; the state machine knows no roles.
    assert answers.count("expert_review") == 1 and answers.count("published") == 1
    assert set(answers) <= {"expert_review", "published", IllegalTransition.code, AlreadyDecided.code}


def test_a_signature_names_the_bytes_that_were_signed(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    with desk.room.core.catalog.read() as session:
        (review,) = desk.room.load(session, desk.case).reviews
        assert review.package_seal == desk.case.package_seal
        assert review.level is Level.COMPANY


def test_a_published_case_plays_for_its_own_base_and_no_other(desk: Desk) -> None:
    desk.decide(desk.reviewer, APPROVE)
    desk.decide(desk.expert, APPROVE)
    with desk.room.core.catalog.read() as session:
        case = desk.room.load(session, desk.case)
        release.require_grant(session, case, desk.room.person(Role.TRAINEE))
        stranger = User(base_code="BJ99", role=Role.TRAINEE)
        with pytest.raises(GrantMissing):
            release.require_grant(session, case, stranger)


def test_an_unpublished_case_plays_for_no_trainee(desk: Desk) -> None:
    with desk.room.core.catalog.read() as session, pytest.raises(GrantMissing):
        release.require_grant(session, desk.room.load(session, desk.case), desk.room.person(Role.TRAINEE))


def test_a_case_recorded_without_permission_to_archive_is_not_published(desk: Desk) -> None:
    with desk.room.core.catalog.write() as session:
        consultation = session.get_one(Consultation, desk.case.id)
        form = desk.room.form(Purpose.RECORD, Purpose.THIRD_PARTY_PRODUCTION)
        consent.sign(session, desk.room.core.vault, consultation, form, desk.technician.id, 1096)
    desk.decide(desk.reviewer, APPROVE)
    with pytest.raises(YianError, match="purpose-not-granted"):
        desk.decide(desk.expert, APPROVE)
