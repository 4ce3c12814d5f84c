from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.station.guard import ATTEMPTS, COOKIE, LOOPBACK, Guard, Pin, check_address
from config.errors import SettingsInvalid, TooManyAttempts
from config.settings import Settings

SAME = {"sec-fetch-site": "same-origin"}


def settings(pin: str = "") -> Settings:
    return Settings(capture={"station_pin": pin})  # type: ignore[arg-type]  # pydantic makes the section


def client(pin: Pin) -> TestClient:
    def done(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    app = Starlette(
        routes=[Route(path, done, methods=["GET", "POST"]) for path in ("/", "/stop", "/pin", "/state")]
    )
    app.add_middleware(Guard, pin=pin, hosts=LOOPBACK)
    return TestClient(app, base_url="http://127.0.0.1:8810", follow_redirects=False)


@pytest.fixture
def open_page() -> Iterator[TestClient]:
    with client(Pin(settings())) as page:
        yield page


def test_whoever_sits_at_the_station_may_use_it(open_page: TestClient) -> None:
    assert open_page.get("/state").status_code == 200
    assert open_page.post("/stop", headers=SAME).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8810", "", "10.0.0.7"]
)
def test_a_name_that_is_not_ours_is_refused_even_when_it_leads_here(open_page: TestClient, host: str) -> None:
    assert open_page.get("/state", headers={"host": host}).status_code == 421


def test_the_number_under_which_the_station_was_reached_is_ours_and_no_other() -> None:
    pin = Pin(settings("246810"))
    app = Guard(PlainTextResponse("done"), pin=pin, hosts=LOOPBACK)
    page = TestClient(app, base_url="http://192.168.1.5:8810", follow_redirects=False)
    assert page.get("/").headers["location"] == "/pin"
    assert page.get("/", headers={"host": "192.168.1.6:8810"}).status_code == 421
    assert TestClient(app, base_url="http://evil.example:8810").get("/").status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
def test_another_site_cannot_press_a_key(open_page: TestClient, headers: dict[str, str]) -> None:
    assert open_page.post("/stop", headers=headers).status_code == 403


def test_an_old_browser_that_only_tells_its_origin_may(open_page: TestClient) -> None:
    assert open_page.post("/stop", headers={"origin": "http://127.0.0.1:8810"}).status_code == 200


def test_beyond_this_machine_the_pin_is_needed_and_a_guesser_has_to_wait() -> None:
    pin = Pin(settings("246810"))
    with client(pin) as page:
        assert page.get("/").headers["location"] == "/pin"
        assert page.get("/state").status_code == 401
        assert page.post("/stop", headers=SAME).status_code == 401
        token = pin.exchange("246810")
        assert token
        page.cookies.set(COOKIE, token)
        assert page.get("/state").status_code == 200
        page.cookies.set(COOKIE, "made-up")
        assert page.get("/state").status_code == 401
    for _ in range(ATTEMPTS):
        assert pin.exchange("000000") is None
    with pytest.raises(TooManyAttempts):
        pin.exchange("246810")


def test_listening_beyond_this_machine_without_a_pin_is_refused() -> None:
    for host in LOOPBACK:
        check_address(settings(), host)
    check_address(settings("246810"), "0.0.0.0")
    with pytest.raises(SettingsInvalid):
        check_address(settings(), "0.0.0.0")
