from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from api import actions
from api.core import Core
from config.errors import DatabaseUnavailable, DiskFull
from tests.factories import People, bearer


def test_a_problem_is_told_in_the_language_asked_for(web: TestClient) -> None:
    chinese = web.get("/api/me", headers={"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.5"})
    english = web.get("/api/me", headers={"Accept-Language": "de, en;q=0.8, zh;q=0.2"})
    assert chinese.headers["content-type"] == english.headers["content-type"] == "application/problem+json"
    assert chinese.json()["title"] == "需要登录" and english.json()["title"] == "Please log in"
    for answer in (chinese, english):
        assert set(answer.json()) == {"type", "title", "status", "detail", "code", "data", "next"}
        assert answer.json()["status"] == answer.status_code == 401
    assert web.get("/api/me", headers={"Accept-Language": "fr;q=banana"}).json()["title"] == "需要登录"


def test_what_was_sent_is_not_sent_back(web: TestClient) -> None:
    answer = web.post("/api/login", json={"username": "x", "password": ["my secret"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "request-rejected")
    assert "my secret" not in answer.text


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"null", b'{"username": "\\u0000"}'])
def test_garbage_is_a_rejected_request(web: TestClient, content: bytes) -> None:
    answer = web.post("/api/login", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request-rejected")


def test_an_unknown_address_and_method_are_problems_too(web: TestClient) -> None:
    assert web.get("/api/nothing").json()["code"] == "not-found"
    assert web.delete("/api/login").json()["code"] == "method-not-allowed"
    page = web.get("/nothing")
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")


def test_a_large_json_body_is_refused(web: TestClient) -> None:
    answer = web.post("/api/login", content=b" " * (2**20 + 1), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_an_unplanned_error_gives_a_reference_and_no_trace(
    web: TestClient,
    core: Core,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def explode(*_args: object, **_more: object) -> None:
        raise RuntimeError("s3cret inner state")

    monkeypatch.setattr(actions, "list_cases", explode)
    headers = bearer(core, people.trainee)
    for path in ("/api/cases", "/"):
        with capture_logs():
            answer = web.get(path, headers=headers)
        assert answer.status_code == 500
        assert "s3cret" not in answer.text and "Traceback" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DatabaseUnavailable(detail="host=10.1.2.3 failed"), 503),
        (DiskFull(path="/srv/x", needed_mb=1, free_mb=0), 507),
    ],
)
def test_a_servers_trouble_does_not_tell_where_things_lie(
    web: TestClient,
    core: Core,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise error

    monkeypatch.setattr(actions, "list_cases", fail)
    answer = web.get("/api/cases", headers=bearer(core, people.trainee))
    assert answer.status_code == status and set(answer.json()["data"]) == {"reference"}
    assert "10.1.2.3" not in answer.text and "/srv" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)


def test_health_says_only_whether_it_is_well(web: TestClient) -> None:
    assert web.get("/api/health").json() == {"ok": True}
