from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import actions
from api.core import Core
from api.pages.cases import edits_of
from archive.models import Base, Case, StepRun, utc_now
from archive.states import lock_case
from archive.terms import Decision, Role, State
from config.errors import ChildCrashed
from tests.factories import (
    CONSENT_TEXT,
    PNG,
    CountingJobs,
    People,
    bearer,
    make_case,
    make_failed_case,
    make_processing_case,
    make_published_case,
    make_reviewable_case,
    make_user,
)


def test_two_different_people_publish_and_the_base_is_counted_once(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    review = f"/api/cases/{case.id}/review"
    reviewer, expert = bearer(core, people.reviewer), bearer(core, people.expert)
    assert web.post(review, json={"decision": "approve"}, headers=expert).status_code == 403
    assert web.post(review, json={"decision": "approve"}, headers=reviewer).json()["state"] == "expert_review"
    assert web.post(review, json={"decision": "approve"}, headers=reviewer).status_code == 403
    assert web.post(review, json={"decision": "approve"}, headers=expert).json()["state"] == "published"
    assert web.post(review, json={"decision": "approve"}, headers=expert).status_code == 409
    base = web.get("/api/counters", headers=expert).json()["bases"][0]
    assert (base["cases"], base["case_target"]) == (1, 300)


def test_a_rejection_takes_the_edits_back_to_processing(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    asked = {"decision": "reject", "note": "患者可辨认", "edits": {"room": {"blur_tracks": [1]}}}
    answer = web.post(f"/api/cases/{case.id}/review", json=asked, headers=bearer(core, people.reviewer))
    assert answer.json()["state"] == "processing"
    shown = actions.show_case(core, people.reviewer, case.id)
    [(camera, said)] = shown.edits.items()
    assert (camera, said["blur_tracks"], said["keep_tracks"]) == ("room", [1], [])
    assert isinstance(core.jobs, CountingJobs) and core.jobs.started == [(case.id, 2)]


def test_regions_and_deletions_are_kept_with_the_case_and_slips_are_refused_at_the_desk(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)

    def reject(**said: Any) -> int:
        asked = {"decision": "reject", "note": "n", "edits": {"room": said}}
        headers = bearer(core, people.reviewer)
        return web.post(f"/api/cases/{case.id}/review", json=asked, headers=headers).status_code

    paper = {"id": "p", "kind": "paper", "keyframes": [{"time_s": 1.5, "polygon": [[0, 0], [9, 0], [9, 9]]}]}
    assert reject(delete_tracks=[7]) == 422
    assert reject(regions=[paper, paper]) == 422
    assert reject(regions=[paper], colour="red") == 422
    assert reject(remove_regions=["p"]) == 422
    assert actions.show_case(core, people.reviewer, case.id).state is State.IN_REVIEW
    assert reject(delete_tracks=[2], regions=[paper]) == 200
    kept = actions.show_case(core, people.reviewer, case.id)
    assert kept.edits["room"]["regions"] == [paper]
    assert kept.edits["room"]["delete_tracks"] == [2]
    assert kept.reviews[-1].edits == {"room": {"delete_tracks": [2], "regions": [paper]}}
    assert kept.reviews[-1].user_id == people.reviewer.id


def test_the_page_shows_what_was_decided_by_hand(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    headers = bearer(core, people.reviewer)
    assert "人工处理" not in web.get(f"/cases/{case.id}", headers=headers).text
    with core.catalog.write() as session:
        row = lock_case(session, case.id)
        track = {
            "id": 1,
            "first_frame": 0,
            "last_frame": 9,
            "decision": "delete",
            "reason": "deleted-by-reviewer",
        }
        regions = [{"id": "p", "kind": "paper", "frames": 9}]
        told = {"kept": 0, "blurred": 0, "deleted": 1, "tracks": [track], "regions": regions}
        row.summary = {**row.summary, "faces": {"room": told}}
    shown = web.get(f"/cases/{case.id}", headers=headers).text
    assert "人工处理：1 条轨迹不是人脸，另遮挡 1 个区域。" in shown
    assert "<td>已删除（不是人脸）</td>" in shown and '<option value="delete">' in shown


def test_a_trainee_sees_published_cases_and_no_word_of_their_review(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    make_case(core, people, "尚未录制")
    published = make_published_case(core, people, media)
    trainee = bearer(core, people.trainee)
    listed = web.get("/api/cases", headers=trainee).json()["cases"]
    assert [row["id"] for row in listed] == [published.id]
    shown = web.get(f"/api/cases/{published.id}", headers=trainee).json()
    assert (shown["history"], shown["reviews"], shown["summary"]) == ([], [], {})
    page = web.get(f"/cases/{published.id}", headers=trainee).text
    assert "画面无误" not in page and "/static/watch.js" in page


def test_another_bases_people_find_nothing(web: TestClient, core: Core, people: People, media: Path) -> None:
    case = make_published_case(core, people, media)
    with core.catalog.write() as session:
        session.add(Base(code="BJ02", name="另一基地", case_target=300, session_target=12_000))
    for role in Role:
        stranger = bearer(core, make_user(core, role, f"far-{role}", base="BJ02"))
        assert web.get("/api/cases", headers=stranger).json() == {"cases": []}
        for path in (f"/api/cases/{case.id}", f"/cases/{case.id}", f"/api/cases/{case.id}/media/master.m3u8"):
            assert web.get(path, headers=stranger).status_code in (403, 404), (role, path)


def test_search_and_state_narrow_the_list(web: TestClient, core: Core, people: People) -> None:
    wanted = make_case(core, people, "头痛一例")
    make_case(core, people, "失眠 100%")
    headers = bearer(core, people.technician)
    found = web.get("/api/cases", params={"q": "头痛"}, headers=headers).json()["cases"]
    assert [row["id"] for row in found] == [wanted.id]
    assert len(web.get("/api/cases", params={"q": "%"}, headers=headers).json()["cases"]) == 1
    assert web.get("/api/cases", params={"state": "published"}, headers=headers).json() == {"cases": []}
    assert "没有符合条件" in web.get("/", params={"q": "无此病"}, headers=headers).text


def test_a_failed_case_says_why_and_can_be_retried_from_its_page(
    web: TestClient, core: Core, people: People
) -> None:
    case = make_failed_case(core, people, ChildCrashed(step="faces", detail="exit 1").to_dict())
    headers = bearer(core, people.technician)
    page = web.get(f"/cases/{case.id}", headers=headers).text
    assert "步骤“检测人脸”意外中断" in page and "会从这一步继续" in page
    answer = web.post(f"/cases/{case.id}/retry", headers=headers, follow_redirects=False)
    assert answer.status_code == 303
    assert actions.show_case(core, people.technician, case.id).state is State.PROCESSING


def test_processing_can_be_stopped_and_its_progress_followed(
    web: TestClient, core: Core, people: People
) -> None:
    case = make_processing_case(core, people)
    headers = bearer(core, people.technician)
    with core.catalog.write() as session:
        session.add(StepRun(case_id=case.id, scope="base", step="ingest", worker="w", ended_at=utc_now()))
        session.add(StepRun(case_id=case.id, scope="base", step="probe", worker="w", progress=0.5))
        session.add(StepRun(case_id=case.id, scope="edit-7", step="blur", worker="w", ended_at=utc_now()))
    told = web.get(f"/api/cases/{case.id}/progress", headers=headers).json()
    steps = {step["step"]: step for step in told["steps"]}
    assert steps["ingest"]["done"] and steps["probe"]["progress"] == 0.5 and not steps["blur"]["done"]
    assert 0 < told["share"] < 0.2
    assert web.post(f"/api/cases/{case.id}/cancel", headers=headers).json()["state"] == "failed"
    assert isinstance(core.jobs, CountingJobs) and core.jobs.cancelled == [(case.id, 1)]


def test_a_case_of_two_cameras_can_be_watched_from_either(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    with core.catalog.write() as session:
        row = session.get_one(Case, case.id)
        row.summary = {**row.summary, "cameras": ["room", "desk"], "main_camera": "room"}
    headers = bearer(core, people.reviewer)
    for camera, folder in {"": "", "room": "", "desk": "desk/", "../x": "", "cellar": ""}.items():
        page = web.get(f"/cases/{case.id}", params={"camera": camera}, headers=headers).text
        assert f'src="/api/cases/{case.id}/media/{folder}master.m3u8"' in page


def test_consent_is_signed_over_http_and_a_malformed_form_is_named(
    web: TestClient, core: Core, people: People
) -> None:
    headers = bearer(core, people.technician)
    asked = {
        "title": "失眠",
        "kind": "consultation",
        "expert_id": people.expert.id,
        "scheduled_at": "2026-03-01T09:00:00+08:00",
    }
    planned = web.post("/api/consultations", json=asked, headers=headers).json()["id"]
    form = {"purposes": ["record", "archive"], "text": CONSENT_TEXT, "signed_at": "2026-03-01T08:50:00+08:00"}
    path = f"/api/consultations/{planned}/consent"
    bad = web.post(path, data=form, files={"signature": ("../../x.png", b"<html>")}, headers=headers)
    assert (bad.status_code, bad.json()["code"]) == (422, "consent-form-rejected")
    naive = {**form, "signed_at": "yesterday"}
    assert web.post(path, data=naive, files={"signature": PNG}, headers=headers).status_code == 422
    good = web.post(path, data=form, files={"signature": ("../../x.png", PNG)}, headers=headers)
    assert (good.status_code, good.json()["purposes"]) == (201, ["record", "archive"])
    shown = web.get(f"/api/consultations/{planned}", headers=headers).json()
    assert shown["state"] == "consented" and len(shown["consents"]) == 1


def test_the_pages_show_each_role_what_it_may_do(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)

    def forms(role: Role) -> set[str]:
        page = web.get(f"/cases/{case.id}", headers=bearer(core, people.of(role))).text
        return set(re.findall(rf'action="/cases/{case.id}/(\w+)"', page))

    assert forms(Role.REVIEWER) == {"review"}
    assert forms(Role.EXPERT) == {"attachments", "withdraw"}
    actions.decide(core, people.reviewer, case.id, Decision.APPROVE)
    assert forms(Role.REVIEWER) == set()
    assert forms(Role.EXPERT) == {"attachments", "review", "withdraw"}


@pytest.mark.parametrize(
    ("fields", "edits"),
    [
        ([("face:room:3", "blur")], {"room": {"blur_tracks": [3]}}),
        ([("face:room:3", "keep"), ("face:room:4", "")], {"room": {"keep_tracks": [3]}}),
        ([("face:room:3", "delete"), ("face:room:4", "delete")], {"room": {"delete_tracks": [3, 4]}}),
        ([("note", "x"), ("face:room:x", "blur"), ("face::1", "blur"), ("face:room:1", "drop")], {}),
    ],
)
def test_the_review_form_becomes_edits(fields: list[tuple[str, str]], edits: dict[str, object]) -> None:
    assert edits_of(fields) == edits


def test_a_manager_reads_the_access_log_page_by_page(web: TestClient, core: Core, people: People) -> None:
    make_case(core, people)
    headers = bearer(core, people.manager)
    first = web.get("/api/audit", params={"limit": 2}, headers=headers).json()
    rest = web.get("/api/audit", params={"before": first["next_before"]}, headers=headers).json()
    ids = [event["id"] for event in first["events"] + rest["events"]]
    assert len(first["events"]) == 2 and ids == sorted(set(ids), reverse=True) and rest["next_before"] is None
    assert "consent.sign" in {event["action"] for event in first["events"] + rest["events"]}


def test_a_manager_adds_people_and_a_weak_password_is_refused(
    web: TestClient, core: Core, people: People
) -> None:
    headers = bearer(core, people.manager)
    asked = {"username": "new-one", "name": "新同事", "role": "trainee", "password": "long enough!"}
    assert web.post("/api/users", json={**asked, "password": "short"}, headers=headers).status_code == 422
    assert web.post("/api/users", json=asked, headers=headers).status_code == 201
    assert web.post("/api/users", json=asked, headers=headers).status_code == 409
    assert web.post("/api/login", json={"username": "new-one", "password": "long enough!"}).status_code == 200
