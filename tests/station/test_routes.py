"""Every address of the station's page, asked for without the PIN and by another site."""

from __future__ import annotations

from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.station.app import create_station_app
from api.station.guard import COOKIE, LOOPBACK
from capture.station import Station
from tests.station.conftest import Room

OPEN = {("GET", "/pin"), ("POST", "/pin"), ("POST", "/language")}


def test_no_address_answers_without_the_pin_and_no_key_can_be_pressed_by_another_site(room: Room) -> None:
    capture = room.settings.capture.model_copy(update={"station_pin": SecretStr("246810")})
    settings = room.settings.model_copy(update={"capture": capture})
    app = create_station_app(settings, Station(room.rig, settings), LOOPBACK)
    asked = set()
    with TestClient(app, base_url="http://127.0.0.1:8810", follow_redirects=False) as page:
        token = app.state.pin.exchange("246810")
        for route in app.routes:
            if not isinstance(route, APIRoute):
                continue
            path = route.path.format(camera="desk", local="x")
            for method in route.methods:
                asked.add((method, route.path))
                page.cookies.clear()
                answer = page.request(method, path, headers={"sec-fetch-site": "same-origin"})
                if (method, route.path) not in OPEN:
                    assert answer.status_code in (303, 401), (method, path)
                if method != "GET":
                    page.cookies.set(COOKIE, token)
                    stolen = page.request(method, path, headers={"sec-fetch-site": "cross-site"}, json={})
                    assert stolen.status_code == 403, (method, path)
    assert OPEN <= asked and len(asked) >= 19
    app.state.station._inputs.close()
