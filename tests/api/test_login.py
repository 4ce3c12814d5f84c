from __future__ import annotations

import datetime as dt
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from api import auth
from api.core import Core
from archive.models import FailedLogin, Session, User
from config.errors import NotLoggedIn, RequestRejected, TooManyAttempts, YianError
from tests.factories import PASSWORD, People, bearer


def log_in(web: TestClient, username: str = "trainee", password: str = PASSWORD) -> int:
    return web.post("/api/login", json={"username": username, "password": password}).status_code


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(web: TestClient, people: People) -> None:
    answer = web.post("/api/login", json={"username": "trainee", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 200
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert web.get("/api/me").json()["username"] == "trainee"


def test_only_the_hash_of_a_token_is_kept(core: Core, web: TestClient, people: People) -> None:
    token = web.post("/api/login", json={"username": "trainee", "password": PASSWORD}).json()["token"]
    with core.catalog.read() as session:
        kept = session.scalars(select(Session.token_sha256)).all()
    assert kept == [hashlib.sha256(token.encode()).hexdigest()]


def test_a_bearer_token_works_without_the_cookie(web: TestClient, core: Core, people: People) -> None:
    assert web.get("/api/me", headers=bearer(core, people.expert)).json()["role"] == "expert"
    assert web.get("/api/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_after_logging_out_the_token_opens_nothing(web: TestClient, core: Core, people: People) -> None:
    headers = bearer(core, people.trainee)
    assert web.post("/api/logout", headers=headers).status_code == 204
    assert web.get("/api/me", headers=headers).status_code == 401


def test_a_session_ends_by_itself(core: Core, people: People) -> None:
    token = auth.open_session(core, people.trainee)
    assert auth.user_of(core, token) is not None
    with core.catalog.write() as session:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        session.execute(update(Session).values(expires_at=past))
    assert auth.user_of(core, token) is None


def test_a_closed_account_is_out_at_once(core: Core, people: People) -> None:
    token = auth.open_session(core, people.trainee)
    with core.catalog.write() as session:
        session.execute(update(User).where(User.id == people.trainee.id).values(active=False))
    assert auth.user_of(core, token) is None
    with pytest.raises(NotLoggedIn):
        auth.authenticate(core, "trainee", PASSWORD)


def test_unknown_user_and_wrong_password_get_the_same_answer(web: TestClient, people: People) -> None:
    wrong = web.post("/api/login", json={"username": "trainee", "password": "wrong"})
    unknown = web.post("/api/login", json={"username": "nobody", "password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json()) == (401, wrong.json())


def test_an_unknown_user_costs_a_hash_as_well(
    core: Core, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(auth, "_matches", lambda kept, typed: checked.append(kept) or False)
    for username in ("trainee", "nobody"):
        with pytest.raises(NotLoggedIn):
            auth.authenticate(core, username, "wrong")
    assert [kept.split("$")[1:4] for kept in checked] == [checked[0].split("$")[1:4]] * 2


def test_guessing_is_paused_and_the_right_password_waits_too(web: TestClient, people: People) -> None:
    assert [log_in(web, password="wrong") for _ in range(4)] == [401, 401, 401, 429]
    answer = web.post("/api/login", json={"username": "trainee", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert log_in(web, "expert") == 200


def test_guesses_sent_all_at_once_are_slowed_as_well(core: Core, people: People) -> None:
    def guess(_: int) -> str:
        try:
            auth.authenticate(core, "trainee", "wrong")
        except YianError as error:
            return error.code
        return "in"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(guess, range(8)))
    assert answers == ["not-logged-in"] * 3 + ["too-many-attempts"] * 5


def test_after_the_pause_one_more_try_is_possible(core: Core, people: People) -> None:
    for _ in range(3):
        with pytest.raises(NotLoggedIn):
            auth.authenticate(core, "trainee", "wrong")
    with core.catalog.write() as session:
        session.execute(update(FailedLogin).values(at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=61)))
    with pytest.raises(NotLoggedIn):
        auth.authenticate(core, "trainee", "wrong")
    with pytest.raises(TooManyAttempts):
        auth.authenticate(core, "trainee", PASSWORD)


def test_logging_in_forgets_earlier_mistakes(core: Core, people: People) -> None:
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(NotLoggedIn):
                auth.authenticate(core, "trainee", "wrong")
        assert auth.authenticate(core, "trainee", PASSWORD).id == people.trainee.id


def test_short_passwords_are_refused_and_kept_ones_are_argon2id() -> None:
    with pytest.raises(RequestRejected):
        auth.hash_password("too short")
    assert auth.hash_password("long enough!").startswith("$argon2id$")


def test_the_page_logs_in_and_leads_back_but_never_elsewhere(web: TestClient, people: People) -> None:
    assert web.get("/", follow_redirects=False).headers["location"] == "/login?next=/"
    form = {"username": "trainee", "password": PASSWORD, "next": "//evil.example/x"}
    answer = web.post("/login", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "李学员" in web.get("/").text
    assert web.post("/logout", headers={"sec-fetch-site": "same-origin"}).url.path == "/login"


def test_the_page_says_in_the_chosen_language_that_a_password_was_wrong(
    web: TestClient, people: People
) -> None:
    form = {"username": "trainee", "password": "wrong"}
    assert "用户名或密码不正确" in web.post("/login", data=form).text
    web.post("/language", data={"language": "en", "next": "/login"})
    assert "password is not right" in web.post("/login", data=form).text
