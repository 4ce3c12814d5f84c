"""Who may use which route: the whole table, written out, against the application as it is."""

from __future__ import annotations

from html import unescape

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount

from api.app import create_app
from api.core import Core
from api.doors import check_doors, roles_of
from archive.terms import Role
from config.errors import SettingsInvalid
from tests.factories import People, bearer

T, R, E, L, M = Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT, Role.TRAINEE, Role.MANAGER
ANYONE: set[Role] = set()
ALL = {T, R, E, L, M}
STAFF = {T, R, E, M}

TABLE: dict[tuple[str, str], set[Role]] = {
    ("POST", "/api/login"): ANYONE,
    ("POST", "/api/logout"): ALL,
    ("GET", "/api/me"): ALL,
    ("POST", "/api/consultations"): {T, M},
    ("GET", "/api/consultations"): STAFF,
    ("GET", "/api/consultations/{id}"): STAFF,
    ("PUT", "/api/consultations/{id}/names"): {T, M},
    ("POST", "/api/consultations/{id}/consent"): {T, M},
    ("POST", "/api/consultations/{id}/cancel"): {T, M},
    ("POST", "/api/consultations/{id}/consent/withdraw"): {T, E, M},
    ("POST", "/api/consultations/{id}/consent/form"): {T, M},
    ("GET", "/api/consultations/{id}/consent/{form}/signature"): {T, M},
    ("GET", "/api/station/today"): {T},
    ("GET", "/api/station/erased"): {T},
    ("POST", "/api/consultations/{id}/station-erased"): {T},
    ("GET", "/api/withdrawn"): {M},
    ("POST", "/api/cases/{id}/keep-sealed"): {M},
    ("POST", "/api/consultations/{id}/recordings"): {T},
    ("PUT", "/api/recordings/{id}/tracks/{track}/segments/{index}"): {T},
    ("GET", "/api/recordings/{id}/segments"): {T},
    ("POST", "/api/recordings/{id}/notes"): {T},
    ("GET", "/api/recordings/{id}/notes"): STAFF,
    ("POST", "/api/recordings/{id}/complete"): {T},
    ("GET", "/api/station"): {T},
    ("GET", "/api/cases"): ALL,
    ("GET", "/api/cases/{id}"): ALL,
    ("GET", "/api/cases/{id}/progress"): STAFF,
    ("POST", "/api/cases/{id}/review"): {R, E},
    ("POST", "/api/cases/{id}/retry"): {T, R, M},
    ("POST", "/api/cases/{id}/cancel"): {T, R, M},
    ("POST", "/api/cases/{id}/erase"): {M},
    ("POST", "/api/cases/{id}/watch"): {L},
    ("GET", "/api/cases/{id}/moments"): {R, E, M},
    ("GET", "/api/cases/{id}/moments/{moment}/thumbnail"): {R, E, M},
    ("POST", "/api/cases/{id}/moments/{moment}/resolve"): {R},
    ("GET", "/api/cases/{id}/redactions"): {R, E},
    ("GET", "/api/cases/{id}/media/{path:path}"): {R, E, L, M},
    ("POST", "/api/consultations/{id}/attachments"): {T, E},
    ("GET", "/api/consultations/{id}/attachments"): ALL,
    ("GET", "/api/consultations/{id}/attachments/{attachment}"): ALL,
    ("POST", "/api/consultations/{id}/attachments/{attachment}/release"): {R},
    ("POST", "/api/consultations/{id}/attachments/{attachment}/delete"): {T, E, R, M},
    ("PUT", "/api/rooms/{room}/state"): {T},
    ("GET", "/api/rooms"): {T, M},
    ("GET", "/api/rooms/{room}/changes"): {T, M},
    ("POST", "/api/rooms/{room}/retire"): {M},
    ("GET", "/api/rooms/{room}/schedule"): {T, M},
    ("PUT", "/api/rooms/{room}/schedule/{id}"): {T, M},
    ("GET", "/api/counters"): ALL,
    ("POST", "/api/users"): {M},
    ("GET", "/api/audit"): {M},
    ("GET", "/api/health"): ANYONE,
    ("GET", "/api/openapi.json"): ALL,
    ("GET", "/login"): ANYONE,
    ("POST", "/login"): ANYONE,
    ("POST", "/logout"): ALL,
    ("POST", "/language"): ANYONE,
    ("GET", "/"): ALL,
    ("GET", "/cases/{id}"): ALL,
    ("POST", "/cases/{id}/review"): {R, E},
    ("POST", "/cases/{id}/moments/{moment}/resolve"): {R},
    ("POST", "/cases/{id}/retry"): {T, R, M},
    ("POST", "/cases/{id}/cancel"): {T, R, M},
    ("POST", "/cases/{id}/withdraw"): {T, E, M},
    ("GET", "/today"): {T, M},
    ("GET", "/consultations/{id}/consent"): {T, M},
    ("POST", "/consultations/{id}/consent/withdraw"): {T, E, M},
    ("GET", "/withdrawn"): {M},
    ("POST", "/withdrawn/{id}/erase"): {M},
    ("POST", "/withdrawn/{id}/keep"): {M},
    ("POST", "/cases/{id}/attachments"): {T, E},
    ("POST", "/cases/{id}/attachments/{attachment}/release"): {R},
    ("POST", "/cases/{id}/attachments/{attachment}/delete"): {T, E, R, M},
    ("GET", "/rooms"): {T, M},
}


@pytest.fixture
def app(core: Core) -> FastAPI:
    return create_app(core.settings, core)


def test_every_route_is_in_the_table_and_the_table_holds_nothing_else(app: FastAPI) -> None:
    found = {}
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
        else:
            for method in route.methods:  # type: ignore[attr-defined]  # every other route is an APIRoute
                found[method, route.path] = set(roles_of(route) or ())  # type: ignore[attr-defined]
    assert found == TABLE


@pytest.mark.parametrize(("method", "path"), TABLE, ids=lambda part: part)
def test_a_route_lets_in_exactly_the_roles_of_the_table(
    web: TestClient, core: Core, people: People, method: str, path: str
) -> None:
    allowed = TABLE[method, path]
    concrete = path.replace(":path", "").format(
        id="X1",
        track="room",
        index=0,
        path="video.mp4",
        moment="room-1",
        form="F1",
        attachment="A1",
        room="room1",
    )

    def ask(role: Role | None) -> tuple[int, str]:
        headers = bearer(core, people.of(role)) if role else {}
        answer = web.request(method, concrete, headers=headers, follow_redirects=False)
        where = answer.headers.get("location", "")
        return answer.status_code, "login" if where.startswith("/login?next=") else answer.text

    status, text = ask(None)
    if allowed:
        assert status == 401 or text == "login"
    else:
        assert status != 403 and text != "login"
    for role in Role:
        status, text = ask(role)
        # The guard names the route it keeps shut; a refusal from further inside speaks of the case.
        refused_by_guard = status == 403 and f"{method} {path}" in unescape(text)
        assert refused_by_guard is bool(allowed and role not in allowed), (role, status, text)


def test_an_application_with_an_undeclared_route_does_not_start(app: FastAPI) -> None:
    check_doors(app)
    app.add_api_route("/api/backdoor", lambda: "in")
    with pytest.raises(SettingsInvalid, match="/api/backdoor"), TestClient(app):
        pass


def test_no_documentation_page_loads_anything_from_elsewhere(
    web: TestClient, core: Core, people: People
) -> None:
    headers = bearer(core, people.trainee)
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert web.get(path, headers=headers).status_code == 404


def test_the_description_names_every_route_with_a_summary_and_its_security(
    web: TestClient, core: Core, people: People
) -> None:
    told = web.get("/api/openapi.json", headers=bearer(core, people.trainee)).json()
    assert set(told["components"]["securitySchemes"]) == {"cookie", "bearer"}
    described = {
        (method.upper(), path): operation
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    }
    wanted = {(method, path.replace(":path", "")) for method, path in TABLE if path.startswith("/api/")}
    assert set(described) == wanted
    for (method, path), operation in described.items():
        assert operation["summary"], path
        allowed = TABLE.get((method, path)) or TABLE.get((method, path.replace("{path}", "{path:path}")))
        assert bool(operation["security"]) is bool(allowed), path
