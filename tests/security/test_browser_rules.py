"""What other sites cannot make a logged-in browser do, and what our answers tell every browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.core import Core
from api.pages.login import local_path
from tests.factories import PASSWORD, People, bearer, make_case, make_core, make_users

API = Path(__file__).parents[2] / "api"


@pytest.fixture
def logged_in(web: TestClient, people: People) -> TestClient:
    assert web.post("/api/login", json={"username": "manager", "password": PASSWORD}).status_code == 200
    return web


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://testserver.evil.example"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_with_a_cookie_only_our_own_pages_may_change_anything(
    logged_in: TestClient, headers: dict[str, str], passes: bool
) -> None:
    answer = logged_in.post("/api/logout", headers=headers)
    assert answer.status_code == (204 if passes else 403)
    assert (logged_in.get("/api/me").status_code == 401) is passes


def test_another_site_cannot_log_somebody_in(web: TestClient, people: People) -> None:
    form = {"username": "manager", "password": PASSWORD}
    for path in ("/login", "/api/login"):
        answer = web.post(path, data=form, json=form, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_token_that_a_program_carries_needs_no_origin(web: TestClient, core: Core, people: People) -> None:
    assert web.post("/api/logout", headers=bearer(core, people.manager)).status_code == 204


@pytest.mark.parametrize("path", ["/login", "/", "/nothing", "/api/me", "/api/health", "/static/yian.css"])
def test_every_answer_carries_the_protecting_headers(web: TestClient, path: str) -> None:
    headers = web.get(path, follow_redirects=False).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    expected = "no-cache" if path.startswith("/static") else "no-store"
    assert expected in headers["cache-control"]


def test_behind_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    core = make_core(tmp_path / "home", https=True)
    make_users(core)
    with TestClient(create_app(core.settings, core), base_url="https://testserver") as web:
        answer = web.post("/api/login", json={"username": "trainee", "password": PASSWORD})
        assert "; secure" in answer.headers["set-cookie"].lower()
        assert "max-age" in answer.headers["strict-transport-security"]
    core.close()


def test_pages_hold_no_inline_script_or_style_and_nothing_from_elsewhere() -> None:
    for path in [*(API / "templates").glob("*.html"), *(API / "static").iterdir()]:
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style|javascript:", text), path
        addresses = [a for a in re.findall(r"https?://[^\s\"')]+", text) if "www.w3.org" not in a]
        assert not addresses, path
        assert "innerHTML" not in text and "|safe" not in text, path


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/cases/X1?a=b", "/cases/X1?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ],
)
def test_a_login_never_leads_to_another_site(path: str, local: str) -> None:
    assert local_path(path) == local


def test_a_title_is_text_and_never_markup(web: TestClient, core: Core, people: People) -> None:
    case = make_case(core, people, "<script>alert(1)</script>")
    headers = bearer(core, people.technician)
    for path in ("/", f"/cases/{case.id}", "/?q=<script>alert(1)</script>"):
        assert "<script>alert" not in web.get(path, headers=headers).text
