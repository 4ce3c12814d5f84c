from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api import actions
from api.core import Core
from archive.models import AuditEvent, Base, Case, Consultation, Recording, utc_now
from archive.terms import Role, State
from processing.thumbnails import MOST
from tests.factories import CountingJobs, People, bearer, make_alarmed_case, make_user

REASON = "灯罩的反光，不是人脸"


@pytest.fixture
def video(media: Path) -> Path:
    return media.with_name("source.mp4")


@pytest.fixture
def case(core: Core, people: People, video: Path) -> Case:
    return make_alarmed_case(core, people, video)


def moments_of(web: TestClient, core: Core, people: People, case: Case) -> dict[str, Any]:
    answer = web.get(f"/api/cases/{case.id}/moments", headers=bearer(core, people.reviewer))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def resolve(
    web: TestClient, headers: dict[str, str], case: Case, moment: str, **more: Any
) -> tuple[int, dict[str, Any]]:
    asked = {"finding": "no-face", "reason": REASON, **more}
    answer = web.post(f"/api/cases/{case.id}/moments/{moment}/resolve", json=asked, headers=headers)
    return answer.status_code, answer.json()


def test_what_was_found_is_listed_and_each_has_its_picture(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    found = moments_of(web, core, people, case)
    assert (found["edit"], found["left"]) == (0, 2)
    first, second = found["moments"]
    assert (first["id"], first["camera"], first["kinds"]) == ("room-1", "room", ["visible-face"])
    assert (first["first_s"], first["last_s"], first["count"]) == (0.0, 0.16, 3)
    assert first["resolution"] is None and second["id"] == "room-2"
    for role in (Role.REVIEWER, Role.EXPERT, Role.MANAGER):
        answer = web.get(first["thumbnail"], headers=bearer(core, people.of(role)))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.content.startswith(b"\xff\xd8")
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_when_every_moment_is_answered_by_name_the_case_goes_on(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    reviewer, technician = bearer(core, people.reviewer), bearer(core, people.technician)
    retry = f"/api/cases/{case.id}/retry"
    assert resolve(web, reviewer, case, "room-1")[0] == 201
    early = web.post(retry, headers=technician).json()
    assert (early["status"], early["code"], early["data"]["moments"]) == (409, "verification-failed", 1)
    status, answer = resolve(web, reviewer, case, "room-2", finding="expert", edit=0)
    assert (status, answer["by"], answer["reason"]) == (201, people.reviewer.id, REASON)
    assert moments_of(web, core, people, case)["left"] == 0
    assert web.post(retry, headers=technician).json()["state"] == "processing"
    assert isinstance(core.jobs, CountingJobs) and core.jobs.started == [(case.id, 2)]


def test_only_a_reviewer_who_had_no_part_in_it_answers(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    for role in set(Role) - {Role.REVIEWER}:
        assert resolve(web, bearer(core, people.of(role)), case, "room-1")[0] == 403
    with core.catalog.write() as session:
        session.add(
            Recording(consultation_id=case.id, rig={}, recorded_by=people.reviewer.id, started_at=utc_now())
        )
    status, problem = resolve(web, bearer(core, people.reviewer), case, "room-1")
    assert (status, problem["code"]) == (409, "producer-may-not-approve")
    page = web.get(f"/cases/{case.id}", headers=bearer(core, people.reviewer)).text
    assert "/moments/room-1/resolve" not in page
    other = bearer(core, make_user(core, Role.REVIEWER, "reviewer-2"))
    assert resolve(web, other, case, "room-1")[0] == 201


def test_another_bases_people_find_nothing(web: TestClient, core: Core, people: People, case: Case) -> None:
    with core.catalog.write() as session:
        session.add(Base(code="BJ02", name="另一基地", case_target=300, session_target=12_000))
    for role in (Role.REVIEWER, Role.EXPERT, Role.MANAGER):
        stranger = bearer(core, make_user(core, role, f"far-{role}", base="BJ02"))
        for path in ("moments", "moments/room-1/thumbnail"):
            assert web.get(f"/api/cases/{case.id}/{path}", headers=stranger).status_code == 404
    far = bearer(core, make_user(core, Role.REVIEWER, "far-2", base="BJ02"))
    assert resolve(web, far, case, "room-1")[0] == 404


def test_a_second_answer_an_unknown_moment_and_a_missing_reason_are_refused(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    headers = bearer(core, people.reviewer)
    assert resolve(web, headers, case, "room-1")[0] == 201
    status, problem = resolve(web, headers, case, "room-1")
    assert (status, problem["code"]) == (409, "already-resolved")
    assert resolve(web, headers, case, "room-9")[0] == 404
    for moment in ("desk-1", "room-1%2F..", "..-1", "ROOM-1"):
        assert resolve(web, headers, case, moment)[0] in (404, 422)
    for reason in ("", "   ", "x" * 1001, "a\x00b"):
        assert resolve(web, headers, case, "room-2", reason=reason)[0] == 422
    assert resolve(web, headers, case, "room-2", finding="whatever")[0] == 422
    assert moments_of(web, core, people, case)["left"] == 1


def test_an_answer_to_what_was_seen_before_new_edits_is_not_taken(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    headers = bearer(core, people.reviewer)
    assert resolve(web, headers, case, "room-1")[0] == 201
    asked = {"edits": {"room": {"blur_tracks": [1]}}}
    assert web.post(f"/api/cases/{case.id}/retry", json=asked, headers=headers).status_code == 200
    shown = actions.show_case(core, people.reviewer, case.id)
    assert (shown.state, shown.edit) == (State.PROCESSING, 1)
    status, problem = resolve(web, headers, case, "room-2", edit=0)
    assert (status, problem["code"]) == (409, "verification-changed")
    assert moments_of(web, core, people, case)["moments"] == []
    assert web.get(f"/api/cases/{case.id}/moments/room-1/thumbnail", headers=headers).status_code == 404


def test_a_real_leak_is_repaired_from_the_page(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    headers = bearer(core, people.reviewer)
    assert 'name="face:room:2"' in web.get(f"/cases/{case.id}", headers=headers).text
    assert 'name="face:room:2"' not in web.get(f"/cases/{case.id}", headers=bearer(core, people.expert)).text
    unchanged = {"face:room:1": "", "face:room:2": ""}
    assert web.post(f"/cases/{case.id}/retry", data=unchanged, headers=headers).status_code == 409
    answer = web.post(
        f"/cases/{case.id}/retry",
        data={**unchanged, "face:room:1": "blur"},
        headers=headers,
        follow_redirects=False,
    )
    assert answer.status_code == 303
    shown = actions.show_case(core, people.reviewer, case.id)
    assert (shown.state, shown.edit, shown.edits["room"]["blur_tracks"]) == (State.PROCESSING, 1, [1])


def test_edits_on_a_failed_case_are_a_reviewers_alone(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    asked = {"edits": {"room": {"blur_tracks": [1]}}}
    for role in (Role.TECHNICIAN, Role.MANAGER):
        answer = web.post(f"/api/cases/{case.id}/retry", json=asked, headers=bearer(core, people.of(role)))
        assert answer.status_code == 403
    assert actions.show_case(core, people.manager, case.id).edit == 0


def test_what_nobody_could_see_nobody_can_answer_for(
    web: TestClient, core: Core, people: People, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.thumbnails.MOST", 1)
    assert MOST > 1
    case = make_alarmed_case(core, people, video)
    first, second = moments_of(web, core, people, case)["moments"]
    assert first["thumbnail"] and second["thumbnail"] is None
    status, problem = resolve(web, bearer(core, people.reviewer), case, "room-2")
    assert (status, problem["code"]) == (409, "moment-unseen")
    page = web.get(f"/cases/{case.id}", headers=bearer(core, people.reviewer)).text
    assert "/moments/room-1/resolve" in page and "/moments/room-2/resolve" not in page


def test_once_the_patient_has_withdrawn_nothing_is_shown_any_more(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    with core.catalog.write() as session:
        for signed in session.get_one(Consultation, case.id).consents:
            signed.withdrawn_at = signed.signed_at
    headers = bearer(core, people.reviewer)
    for path in ("moments", "moments/room-1/thumbnail"):
        assert web.get(f"/api/cases/{case.id}/{path}", headers=headers).status_code == 403
    assert resolve(web, headers, case, "room-1")[0] == 403
    assert "thumbnail" not in web.get(f"/cases/{case.id}", headers=headers).text


def test_looking_and_answering_are_in_the_access_log(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    moments_of(web, core, people, case)
    resolve(web, bearer(core, people.reviewer), case, "room-1")
    with core.catalog.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.object == case.id)).all()
    told = {event.action: event for event in events}
    assert told["moments.view"].actor == told["moment.resolve"].actor == people.reviewer.id
    assert REASON not in str(told["moment.resolve"].detail)


def test_a_reviewer_answers_on_the_page_and_continues_without_a_script(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    headers = bearer(core, people.reviewer)

    def page(as_whom: dict[str, str] = headers) -> str:
        return web.get(f"/cases/{case.id}", headers=as_whom).text

    def forms(text: str) -> list[str]:
        return re.findall(rf'action="/cases/{case.id}/([\w/-]+)"', text)

    shown = page()
    assert forms(shown) == ["moments/room-1/resolve", "moments/room-2/resolve", "retry"]
    assert 'class="repair"' in shown and "继续处理</button>" not in shown
    assert shown.count("/thumbnail") == 4 and "还有 2 处没有确认" in shown and "发现未遮挡的人脸" in shown
    for role in (Role.TECHNICIAN, Role.EXPERT, Role.MANAGER):
        seen = page(bearer(core, people.of(role)))
        assert "resolve" not in seen
        assert ("/thumbnail" in seen) is (role is not Role.TECHNICIAN)
    for number in (1, 2):
        answer = web.post(
            f"/cases/{case.id}/moments/room-{number}/resolve",
            data={"finding": "no-face", "reason": f"<b>{REASON}</b>", "edit": "0"},
            headers=headers,
            follow_redirects=False,
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/cases/{case.id}#room-{number}"
        left = page()
        assert f"&lt;b&gt;{REASON}" in left and people.reviewer.name in left
    assert forms(left) == ["retry", "retry"] and "继续处理</button>" in left
    assert "每一处都已有人确认" in left and "处没有人确认，不能进入审核" not in left
    web.post(f"/cases/{case.id}/retry", headers=headers)
    assert actions.show_case(core, people.reviewer, case.id).state is State.PROCESSING


def test_the_page_is_in_english_for_who_reads_english(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    web.cookies.set("yian_language", "en")
    shown = web.get(f"/cases/{case.id}", headers=bearer(core, people.reviewer)).text
    assert "2 of 2 moments are not answered for yet." in shown and "a visible face was found" in shown


def test_both_signers_see_what_was_answered_before_they_sign(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    for number in (1, 2):
        resolve(web, bearer(core, people.reviewer), case, f"room-{number}")
    with core.catalog.write() as session:
        row = session.get_one(Case, case.id)
        row.state, row.reason = State.IN_REVIEW, None
        row.summary = {"verification": {"verdict": "resolved", "moments": 6, "examined_frames": 150}}
    for role in (Role.REVIEWER, Role.EXPERT):
        shown = web.get(f"/cases/{case.id}", headers=bearer(core, people.of(role))).text
        assert shown.count(REASON) == 2 and "已逐处确认" in shown
        assert "moments/room-1/resolve" not in shown
