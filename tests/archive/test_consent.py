from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from archive import consent
from archive.consent import SignedForm
from archive.models import Case, Consultation, Withdrawal, utc_now
from archive.standing import standing
from archive.terms import Purpose, Role, State
from config.errors import (
    ConsentExpired,
    ConsentFormChanged,
    ConsentFormRejected,
    ConsentMissing,
    ConsentWithdrawn,
    PurposeNotGranted,
    RequestRejected,
    VisitCancelled,
)
from tests.archive.rooms import Room, open_room
from tests.factories import CONSENT_TEXT, PNG


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return open_room(tmp_path)


@pytest.fixture
def case(room: Room) -> Case:
    return room.case(State.SCHEDULED, room.person(Role.TECHNICIAN), room.person(Role.EXPERT))


def sign(room: Room, case: Case, form: SignedForm) -> consent.Consent:
    with room.core.catalog.write() as session:
        consultation = session.get_one(Consultation, case.id)
        return consent.sign(session, room.core.vault, consultation, form, consultation.created_by, 1096)


def require(room: Room, case: Case, purpose: Purpose) -> consent.Consent:
    with room.core.catalog.read() as session:
        return consent.require(session, case.id, purpose)


def test_nothing_is_permitted_before_a_form_is_signed(room: Room, case: Case) -> None:
    for purpose in Purpose:
        with pytest.raises(ConsentMissing):
            require(room, case, purpose)


def test_a_signed_form_permits_exactly_its_purposes(room: Room, case: Case) -> None:
    sign(room, case, room.form(Purpose.RECORD, Purpose.ARCHIVE))
    for purpose in Purpose:
        if purpose in (Purpose.RECORD, Purpose.ARCHIVE):
            require(room, case, purpose)
        else:
            with pytest.raises(PurposeNotGranted):
                require(room, case, purpose)


def test_signing_makes_a_scheduled_case_consented(room: Room, case: Case) -> None:
    sign(room, case, room.form(Purpose.RECORD))
    with room.core.catalog.read() as session:
        assert room.load(session, case).state is State.CONSENTED


def test_the_exact_text_and_the_signature_are_kept_and_the_signature_is_sealed(
    room: Room, case: Case
) -> None:
    kept = sign(room, case, room.form())
    assert kept.text == CONSENT_TEXT
    assert kept.text_sha256 == hashlib.sha256(CONSENT_TEXT.encode()).hexdigest()
    assert room.core.vault.open_bytes(case.id, kept.signature_key) == PNG
    assert PNG[:8] not in room.core.store.get_bytes(kept.signature_key)


def test_withdrawing_ends_every_permission_and_the_case_at_once(room: Room, case: Case) -> None:
    sign(room, case, room.form())
    witness = room.person(Role.EXPERT)
    with room.core.catalog.write() as session:
        consent.withdraw(session, case.id, witness.id)
    for purpose in Purpose:
        with pytest.raises(ConsentWithdrawn):
            require(room, case, purpose)
    with room.core.catalog.read() as session:
        assert room.load(session, case).state is State.WITHDRAWN


def test_a_newer_form_that_allows_less_replaces_an_older_one(room: Room, case: Case) -> None:
    sign(room, case, room.form(signed_at=utc_now() - dt.timedelta(hours=1)))
    sign(room, case, room.form(Purpose.RECORD))
    with pytest.raises(PurposeNotGranted):
        require(room, case, Purpose.ARCHIVE)


def test_an_expired_form_permits_nothing(room: Room, case: Case) -> None:
    sign(room, case, room.form(signed_at=utc_now() - dt.timedelta(days=1097)))
    with pytest.raises(ConsentExpired):
        require(room, case, Purpose.RECORD)


def withdraw(room: Room, case: Case, *purposes: Purpose, reason: str = "") -> bool:
    with room.core.catalog.write() as session:
        asked = session.get_one(Consultation, case.id)
        return consent.withdraw(session, case.id, asked.created_by, purposes=purposes or None, reason=reason)


def stands(room: Room, case: Case) -> tuple[str, bool, tuple[str, ...]]:
    with room.core.catalog.read() as session:
        told = standing(session, session.get_one(Consultation, case.id))
        return told.code, told.may_record, told.purposes


def withdrawals(room: Room, case: Case) -> list[Withdrawal]:
    with room.core.catalog.read() as session:
        return [row for row in session.query(Withdrawal).all() if row.consultation_id == case.id]


def test_taking_back_research_leaves_the_other_permissions(room: Room, case: Case) -> None:
    sign(room, case, room.form())
    assert withdraw(room, case, Purpose.RESEARCH, reason=" 不想参加研究 ") is False
    with pytest.raises(ConsentWithdrawn):
        require(room, case, Purpose.RESEARCH)
    require(room, case, Purpose.RECORD)
    assert stands(room, case)[:2] == ("signed", True)
    assert "research" not in stands(room, case)[2]
    [told] = withdrawals(room, case)
    assert (told.purposes, told.reason, told.held) == (["research"], "不想参加研究", False)
    assert told.by == case.consultation.created_by


@pytest.mark.parametrize("purpose", Purpose)
def test_what_seals_a_case_is_recording_taken_back_and_after_it_production_or_archive(
    room: Room, purpose: Purpose
) -> None:
    technician, expert = room.person(Role.TECHNICIAN), room.person(Role.EXPERT)
    for state in set(State) - {State.WITHDRAWN}:
        case = room.case(state, technician, expert)
        sign(room, case, room.form())
        footage = state not in (State.SCHEDULED, State.CONSENTED, State.RECORDING)
        needed = purpose in (Purpose.ARCHIVE, Purpose.THIRD_PARTY_PRODUCTION)
        held = withdraw(room, case, purpose)
        assert held is (purpose is Purpose.RECORD or (footage and needed)), state
        with room.core.catalog.read() as session:
            assert (room.load(session, case).state is State.WITHDRAWN) is held
        for other in Purpose:
            if held or other is purpose:
                with pytest.raises(ConsentWithdrawn):
                    require(room, case, other)
            else:
                require(room, case, other)


def test_taking_back_one_purpose_after_the_other_ends_like_taking_back_all(room: Room, case: Case) -> None:
    sign(room, case, room.form(Purpose.RESEARCH, Purpose.TEACH_ON_SITE))
    assert withdraw(room, case, Purpose.RESEARCH) is False
    assert withdraw(room, case, Purpose.TEACH_ON_SITE) is True
    with room.core.catalog.read() as session:
        assert room.load(session, case).state is State.WITHDRAWN


def test_withdrawing_again_or_what_was_never_given_changes_nothing(room: Room, case: Case) -> None:
    sign(room, case, room.form(Purpose.RECORD))
    assert withdraw(room, case, Purpose.RESEARCH) is False
    assert withdrawals(room, case) == []
    for _ in range(3):
        assert withdraw(room, case) is True
    assert len(withdrawals(room, case)) == 1
    with pytest.raises(RequestRejected), room.core.catalog.write() as session:
        consent.withdraw(session, case.id, "", purposes=())


def test_a_form_signed_after_a_purpose_was_taken_back_gives_it_again(room: Room, case: Case) -> None:
    sign(room, case, room.form())
    withdraw(room, case, Purpose.RESEARCH)
    sign(room, case, room.form())
    require(room, case, Purpose.RESEARCH)


def test_no_form_revives_a_withdrawn_or_a_cancelled_visit(room: Room, case: Case) -> None:
    sign(room, case, room.form())
    withdraw(room, case)
    with pytest.raises(ConsentWithdrawn):
        sign(room, case, room.form())
    other = room.case(State.SCHEDULED, room.person(Role.TECHNICIAN), room.person(Role.EXPERT))
    with room.core.catalog.write() as session:
        session.get_one(Consultation, other.id).cancelled_at = utc_now()
    with pytest.raises(VisitCancelled):
        sign(room, other, room.form())
    with pytest.raises(VisitCancelled):
        require(room, other, Purpose.RECORD)
    assert stands(room, other)[:2] == ("cancelled", False)


def test_the_same_submission_is_kept_once_and_other_content_is_refused(room: Room, case: Case) -> None:
    form = replace(room.form(), submission="one-page-one-signing", after="")
    first, again = sign(room, case, form), sign(room, case, form)
    assert first.id == again.id
    for change in ({"text": CONSENT_TEXT + "。"}, {"signature": PNG + b"1"}):
        with pytest.raises(ConsentFormChanged) as refused:
            sign(room, case, replace(form, **change))  # type: ignore[arg-type]
        assert refused.value.data["change"] == "sent"
    other = room.case(State.SCHEDULED, room.person(Role.TECHNICIAN), room.person(Role.EXPERT))
    with pytest.raises(ConsentFormChanged):
        sign(room, other, form)


def test_of_two_pages_opened_at_once_the_second_form_is_refused(room: Room, case: Case) -> None:
    first = sign(room, case, replace(room.form(), submission="first-page", after=""))
    second = replace(room.form(), submission="second-page", after="")
    with pytest.raises(ConsentFormChanged) as refused:
        sign(room, case, second)
    assert refused.value.data["change"] == "signed"
    assert sign(room, case, replace(second, after=first.id)).id != first.id


def test_where_a_visit_stands_is_told_in_one_code(room: Room, case: Case) -> None:
    assert stands(room, case) == ("missing", False, ())
    sign(room, case, room.form(Purpose.ARCHIVE))
    assert stands(room, case) == ("not_granted", False, ("archive",))
    sign(room, case, room.form(signed_at=utc_now() - dt.timedelta(days=1097)))
    assert stands(room, case) == ("expired", False, ())
    sign(room, case, room.form(Purpose.RECORD))
    assert stands(room, case) == ("signed", True, ("record",))
    withdraw(room, case)
    assert stands(room, case) == ("withdrawn", False, ())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"purposes": ()}, "no purpose"),
        ({"purposes": ("record", "sell")}, "unknown purpose"),
        ({"purposes": ("record", "record")}, "twice"),
        ({"text": "  "}, "text"),
        ({"text": "同意" * 10_001}, "longer"),
        ({"signature": b""}, "PNG"),
        ({"signature": b"GIF89a" + bytes(100)}, "PNG"),
        ({"signature": PNG + bytes(10 * 1024 * 1024)}, "larger"),
        ({"signed_at": dt.datetime(2026, 1, 1)}, "zone"),
        ({"signed_at": utc_now() + dt.timedelta(days=1)}, "future"),
    ],
)
def test_a_malformed_form_is_refused_with_its_problem(change: dict[str, object], problem: str) -> None:
    good = {"purposes": ("record",), "text": CONSENT_TEXT, "signature": PNG, "signed_at": utc_now()}
    with pytest.raises(ConsentFormRejected) as refused:
        SignedForm(**{**good, **change})  # type: ignore[arg-type]
    assert problem in str(refused.value)
