from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from structlog.testing import capture_logs

from api import actions
from api.core import Core
from archive.models import AuditEvent
from tests.factories import CONSENT_TEXT, PASSWORD, PNG, People, bearer, make_case


def test_neither_log_holds_a_password_a_token_a_search_or_a_consent(
    web: TestClient, core: Core, people: People
) -> None:
    with capture_logs() as events:
        token = web.post("/api/login", json={"username": "technician", "password": PASSWORD}).json()["token"]
        web.post("/api/login", json={"username": "wr0ng-field-passw0rd", "password": "also-wr0ng-one"})
        headers = {"Authorization": f"Bearer {token}"}
        web.get("/api/cases", params={"q": "患者张三"}, headers=headers)
        case = make_case(core, people, "失眠")
        form = {"purposes": "record", "text": CONSENT_TEXT, "signed_at": "2026-03-01T08:50:00+08:00"}
        path = f"/api/consultations/{case.id}/consent"
        assert web.post(path, data=form, files={"signature": PNG}, headers=headers).status_code == 201
        web.get("/no/such/张三", headers=headers)
    with core.catalog.read() as session:
        audited = [
            [event.actor, event.action, event.object, event.outcome, event.detail]
            for event in session.scalars(select(AuditEvent))
        ]
    written = json.dumps([events, audited], ensure_ascii=False)
    for secret in (PASSWORD, token, "wr0ng", "张三", CONSENT_TEXT):
        assert secret not in written


def test_every_request_leaves_a_line_with_who_what_and_the_answer(
    web: TestClient, core: Core, people: People
) -> None:
    case = make_case(core, people)
    with capture_logs() as events:
        web.get(f"/api/cases/{case.id}", headers=bearer(core, people.expert))
        web.get("/api/cases/X1")
        web.get("/api/health")
    lines = [event for event in events if event["event"] == "request"]
    assert [(line["user"], line["method"], line["route"], line["status"]) for line in lines] == [
        (people.expert.id, "GET", "/api/cases/{id}", 200),
        (None, "GET", "/api/cases/{id}", 401),
    ]
    assert all(line["ms"] > 0 for line in lines)


def test_an_unplanned_error_is_logged_once_with_the_reference_the_user_got(
    web: TestClient, core: Core, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_args: object, **_more: object) -> None:
        raise RuntimeError("inner state")

    monkeypatch.setattr(actions, "list_cases", explode)
    with capture_logs() as events:
        answer = web.get("/api/cases", headers=bearer(core, people.trainee))
    errors = [event for event in events if event["event"] == "internal_error"]
    assert [event["reference"] for event in errors] == [answer.json()["data"]["reference"]]
