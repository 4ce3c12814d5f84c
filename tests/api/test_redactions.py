from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api import actions
from api.commands.review import read_edits
from api.core import Core
from archive.identity import PersonName, names_of
from archive.models import AuditEvent, Case
from archive.terms import Role
from config.errors import EditsRejected
from processing.results import Results
from tests.factories import People, bearer, make_reviewable_case

SPAN = {
    "id": "name-0123456789ab",
    "kind": "name",
    "role": "patient",
    "line": 0,
    "start_char": 2,
    "end_char": 5,
    "start_s": 2.4,
    "end_s": 3.0,
    "confidence": 1.0,
    "why": "exact",
    "text": "王建国",
    "hidden": True,
}


@pytest.fixture
def case(core: Core, people: People, media: Path, tmp_path: Path) -> Case:
    """A case in review, with what its redaction step took out."""
    made = make_reviewable_case(core, people, media)
    work = tmp_path / "work"
    (work / "out").mkdir(parents=True)
    (work / "out" / "spans.json").write_text(json.dumps([SPAN]))
    results = Results(core.store, core.vault, tmp_path / "worker")
    results.keep(made, "redact", work, {"redacted": {"name": 1}, "spans": [SPAN["id"]]})
    return made


def test_names_are_kept_sealed_counted_and_told_to_nobody(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    path = f"/api/consultations/{case.id}/names"
    asked = {"names": [{"text": " 王建国 "}, {"text": "李秀英", "relation": "relative"}]}
    answer = web.put(path, json=asked, headers=bearer(core, people.technician))
    assert (answer.status_code, answer.json()) == (200, {"registered": 2})
    assert names_of(core.vault, case.id) == [PersonName("王建国"), PersonName("李秀英", "relative")]
    sealed = core.store.get_bytes(f"consultations/{case.id}/names.age")
    assert "王建国".encode() not in sealed
    shown = web.get(f"/api/consultations/{case.id}", headers=bearer(core, people.manager)).text
    assert "王建国" not in shown
    with core.catalog.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "consultation.names")).all()
    assert [event.detail for event in events] == [{"names": 2}]


@pytest.mark.parametrize("names", [[{"text": "  "}], [{"text": "王" * 61}], [{"text": "王"}] * 21])
def test_what_is_no_name_is_refused(
    web: TestClient, core: Core, people: People, case: Case, names: list[dict[str, str]]
) -> None:
    path = f"/api/consultations/{case.id}/names"
    answer = web.put(path, json={"names": names}, headers=bearer(core, people.technician))
    assert answer.status_code == 422


def test_erasing_a_case_destroys_the_names(core: Core, people: People, case: Case) -> None:
    actions.register_names(core, people.technician, case.id, [PersonName("王建国")])
    actions.withdraw_consent(core, people.technician, case.id)
    actions.erase_case(core, people.manager, case.id)
    assert names_of(core.vault, case.id) == []
    assert not list(core.store.list("consultations"))


def test_those_who_review_read_what_was_taken_out_and_every_reading_is_logged(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    for role in (Role.REVIEWER, Role.EXPERT):
        answer = web.get(f"/api/cases/{case.id}/redactions", headers=bearer(core, people.of(role)))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, no-store"
        (span,) = answer.json()["redactions"]
        assert (span["id"], span["text"], span["hidden"]) == (SPAN["id"], "王建国", True)
    for role in (Role.MANAGER, Role.TECHNICIAN, Role.TRAINEE):
        answer = web.get(f"/api/cases/{case.id}/redactions", headers=bearer(core, people.of(role)))
        assert answer.status_code == 403
    with core.catalog.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "redactions.view")).all()
    assert [event.object for event in events] == [case.id] * 2


def test_the_page_shows_them_to_the_reviewer_and_a_rejection_carries_the_decisions(
    web: TestClient, core: Core, people: People, case: Case
) -> None:
    headers = bearer(core, people.reviewer)
    page = web.get(f"/cases/{case.id}", headers=headers).text
    assert "王建国" in page
    assert SPAN["id"] in page
    assert "王建国" not in web.get(f"/cases/{case.id}", headers=bearer(core, people.manager)).text
    form = {
        "decision": "reject",
        "note": "不是姓名",
        "speech:keep": SPAN["id"],
        "speech:add": "1:02.5-1:04 phone",
    }
    answer = web.post(f"/cases/{case.id}/review", data=form, headers=headers, follow_redirects=False)
    assert answer.status_code == 303
    kept = actions.show_case(core, people.reviewer, case.id).edits["speech"]
    assert kept["keep"] == [SPAN["id"]]
    assert kept["add"] == [{"start_s": 62.5, "end_s": 64.0, "kind": "phone"}]


def test_a_file_of_edits_speaks_of_cameras_and_of_speech(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    said = {"room": {"blur_tracks": [1]}, "speech": {"keep": [SPAN["id"]]}}
    path.write_text(json.dumps(said))
    assert read_edits(path) == said
    path.write_text(json.dumps({"speech": {"keep": ["nothing like it"]}}))
    with pytest.raises(EditsRejected, match="speech.keep"):
        read_edits(path)


@pytest.mark.parametrize("text", ["soon", "1:00-0:30 phone", "1-2 nothing"])
def test_a_time_that_cannot_be_read_is_refused_and_nothing_is_decided(
    web: TestClient, core: Core, people: People, case: Case, text: str
) -> None:
    form = {"decision": "reject", "note": "漏了", "speech:add": text}
    answer = web.post(f"/cases/{case.id}/review", data=form, headers=bearer(core, people.reviewer))
    assert answer.status_code == 422
    assert actions.show_case(core, people.reviewer, case.id).reviews == []
