"""What the station is told about today, and that the list never promises what a recording is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import actions
from api.core import Core
from archive.consent import SignedForm
from archive.models import Consultation, utc_now
from archive.terms import Kind, Role, State
from tests.factories import CONSENT_TEXT, PNG, People, bearer, make_user


def plan(core: Core, people: People, kind: Kind = Kind.CONSULTATION, **more: Any) -> Consultation:
    told: dict[str, Any] = {"title": "失眠一例", "scheduled_at": utc_now(), "expert_id": people.expert.id}
    return actions.schedule_consultation(core, people.technician, kind=kind, **{**told, **more})


def sign(core: Core, people: People, visit: Consultation, *purposes: str, age_days: float = 0) -> None:
    when = utc_now() - dt.timedelta(days=age_days)
    actions.sign_consent(core, people.technician, visit.id, SignedForm(purposes, CONSENT_TEXT, PNG, when))


def ask(web: TestClient, core: Core, people: People, **headers: str) -> list[dict[str, Any]]:
    answer = web.get("/api/station/today", headers={**bearer(core, people.technician), **headers})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["visits"]
    return found


def open_recording(web: TestClient, core: Core, people: People, visit_id: str) -> Any:
    asked = {"rig": {}, "light": None, "started_at": utc_now().isoformat()}
    return web.post(
        f"/api/consultations/{visit_id}/recordings", json=asked, headers=bearer(core, people.technician)
    )


def test_the_station_is_told_time_half_day_people_and_consent(
    web: TestClient, core: Core, people: People
) -> None:
    noon = dt.datetime.now(core.settings.zone).replace(hour=12, minute=0, second=0, microsecond=0)
    later = plan(core, people, Kind.DISCUSSION, scheduled_at=noon, title="病例讨论")
    early = plan(core, people, scheduled_at=noon - dt.timedelta(minutes=1))
    sign(core, people, early, "record", "archive")
    plan(core, people, scheduled_at=noon - dt.timedelta(days=1))
    plan(core, people, scheduled_at=noon + dt.timedelta(days=1))
    first, second = ask(web, core, people)
    assert [row["id"] for row in (first, second)] == [early.id, later.id]
    assert (first["half_day"], second["half_day"]) == ("am", "pm")
    assert (first["kind"], first["title"], first["expert"]) == ("consultation", "失眠一例", "王大夫")
    assert first["patient"] == early.patient_pseudonym
    assert (first["consent"], first["may_record"], first["purposes"]) == (
        "signed",
        True,
        ["record", "archive"],
    )
    assert first["consent_text"].startswith("同意录制，有效期至")
    assert dt.datetime.fromisoformat(first["until"]) > utc_now() + dt.timedelta(days=1000)
    assert (second["consent"], second["may_record"], second["since"]) == ("missing", False, None)
    english = ask(web, core, people, **{"Accept-Language": "en"})
    assert english[1]["consent_text"] == "Not signed: may not be recorded"


def test_the_list_is_of_ones_own_base_and_without_cancelled_visits(
    web: TestClient, core: Core, people: People
) -> None:
    gone, stays = plan(core, people), plan(core, people)
    headers = bearer(core, people.technician)
    for _ in range(2):
        assert web.post(f"/api/consultations/{gone.id}/cancel", headers=headers).status_code == 200
    assert [row["id"] for row in ask(web, core, people)] == [stays.id]
    from archive.models import Base

    with core.catalog.write() as session:
        session.add(Base(code="BJ02", name="二", case_target=1, session_target=1))
    stranger = make_user(core, Role.TECHNICIAN, "stranger", base="BJ02")
    assert ask(web, core, replace(people, technician=stranger)) == []
    refused = web.post(f"/api/consultations/{stays.id}/cancel", headers=bearer(core, stranger))
    assert refused.status_code == 404


def test_the_eleventh_visit_needs_a_reason_and_a_name_and_the_list_shows_them(
    web: TestClient, core: Core, people: People
) -> None:
    headers = bearer(core, people.technician)
    asked = {
        "title": "头痛一例",
        "kind": "consultation",
        "expert_id": people.expert.id,
        "scheduled_at": utc_now().isoformat(),
    }
    for _ in range(10):
        assert web.post("/api/consultations", json=asked, headers=headers).status_code == 201
    full = web.post("/api/consultations", json=asked, headers=headers)
    assert (full.status_code, full.json()["code"]) == (409, "half-day-full")
    assert "已安排 10 个诊次" in full.json()["detail"] and "批准人" in full.json()["next"]
    half = web.post("/api/consultations", json={**asked, "override_reason": "急诊"}, headers=headers)
    assert half.status_code == 422
    forced = {**asked, "override_reason": "急诊", "override_by": "赵主任"}
    assert web.post("/api/consultations", json=forced, headers=headers).status_code == 201
    rows = ask(web, core, people)
    assert len(rows) == 11
    assert [(r["override_reason"], r["override_by"]) for r in rows if r["override_by"]] == [
        ("急诊", "赵主任")
    ]
    page = web.get("/today", headers=headers).text
    assert "超出每半天限额安排。批准人：赵主任。理由：急诊" in page


@pytest.mark.parametrize("kind", Kind)
def test_the_gate_is_the_same_for_every_kind_and_the_list_says_what_a_recording_is_answered(
    web: TestClient, core: Core, people: People, kind: Kind
) -> None:
    missing, other, old, gone, signed = (plan(core, people, kind) for _ in range(5))
    sign(core, people, other, "archive", "live_remote", "research", "teach_on_site", "third_party_production")
    sign(core, people, old, "record", age_days=1097)
    sign(core, people, gone, "record", "archive")
    actions.withdraw_consent(core, people.technician, gone.id)
    sign(core, people, signed, "record")
    wanted = {
        missing.id: ("missing", "consent-missing"),
        other.id: ("not_granted", "purpose-not-granted"),
        old.id: ("expired", "consent-expired"),
        gone.id: ("withdrawn", "consent-withdrawn"),
    }
    rows = {row["id"]: row for row in ask(web, core, people)}
    for visit, (consent, code) in wanted.items():
        assert (rows[visit]["consent"], rows[visit]["may_record"]) == (consent, False)
        refused = open_recording(web, core, people, visit)
        assert (refused.status_code, refused.json()["code"]) == (403, code)
        assert actions.show_case(core, people.technician, visit).state is not State.RECORDING
    assert rows[signed.id]["may_record"] is True
    assert open_recording(web, core, people, signed.id).status_code == 201


def test_a_cancelled_visit_cannot_be_signed_for_or_recorded_and_a_recorded_one_not_cancelled(
    web: TestClient, core: Core, people: People
) -> None:
    headers = bearer(core, people.technician)
    cancelled, recorded = plan(core, people), plan(core, people)
    for visit in (cancelled, recorded):
        sign(core, people, visit, "record")
    actions.cancel_consultation(core, people.technician, cancelled.id)
    refused = open_recording(web, core, people, cancelled.id)
    assert (refused.status_code, refused.json()["code"]) == (403, "visit-cancelled")
    assert "已于" in web.get(f"/consultations/{cancelled.id}/consent", headers=headers).text
    assert open_recording(web, core, people, recorded.id).status_code == 201
    kept = web.post(f"/api/consultations/{recorded.id}/cancel", headers=headers)
    assert (kept.status_code, kept.json()["code"]) == (409, "illegal-transition")
