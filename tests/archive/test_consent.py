from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from archive import consent
from archive.consent import SignedForm
from archive.models import Case, Consultation, utc_now
from archive.terms import Purpose, Role, State
from config.errors import (
    ConsentExpired,
    ConsentFormRejected,
    ConsentMissing,
    ConsentWithdrawn,
    PurposeNotGranted,
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
