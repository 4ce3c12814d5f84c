from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from api import actions
from api.core import Core
from api.routes.media import byte_range
from archive.terms import Role
from tests.factories import People, bearer, make_published_case, make_reviewable_case


def test_a_player_gets_every_file_with_its_type_and_no_cache(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media)
    headers = bearer(core, people.trainee)
    types = {
        "master.m3u8": "application/vnd.apple.mpegurl",
        "video.mp4": "video/mp4",
        "180p/index.m3u8": "application/vnd.apple.mpegurl",
        "180p/init.mp4": "video/mp4",
        "180p/00000.m4s": "video/iso.segment",
        "captions.vtt": "text/vtt; charset=utf-8",
        "poster.jpg": "image/jpeg",
    }
    for name, kind in types.items():
        answer = web.get(f"/api/cases/{case.id}/media/{name}", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == (media / name).read_bytes()
        assert answer.headers["cache-control"] == "private, no-store"


def test_ranges_are_answered_as_a_seeking_player_needs(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media)
    whole = (media / "video.mp4").read_bytes()
    headers = bearer(core, people.trainee)

    def ask(wanted: str) -> tuple[int, bytes, str | None]:
        answer = web.get(f"/api/cases/{case.id}/media/video.mp4", headers={**headers, "Range": wanted})
        return answer.status_code, answer.content, answer.headers.get("content-range")

    size = len(whole)
    assert ask("bytes=0-9") == (206, whole[:10], f"bytes 0-9/{size}")
    assert ask("bytes=100-") == (206, whole[100:], f"bytes 100-{size - 1}/{size}")
    assert ask("bytes=-7") == (206, whole[-7:], f"bytes {size - 7}-{size - 1}/{size}")
    assert ask(f"bytes=5-{size * 2}") == (206, whole[5:], f"bytes 5-{size - 1}/{size}")
    assert ask(f"bytes={size}-") == (416, b"", f"bytes */{size}")
    assert ask("bytes=0-1,5-6")[:2] == (200, whole)
    assert ask("lines=1-2")[:2] == (200, whole)


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,6}-\d{0,6}", fullmatch=True), st.integers(0, 5000))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    wanted = byte_range(header, size)
    if wanted is not None:
        start, length = wanted
        assert start >= 0 and length >= 0 and (length == 0 or start + length <= size)


@pytest.mark.parametrize(
    "path",
    [
        "../reports/verification.json",
        "..%2freports%2fverification.json",
        "%2e%2e/%2e%2e/bagit.txt",
        "/etc/passwd.mp4",
        "..%2f..%2f..%2f..%2fcatalog.db",
        "....//x.mp4",
        "a%00.mp4",
        ".hidden.mp4",
        "180p%5c..%5cx.mp4",
        "reports/verification.json",
        "x" * 600 + ".mp4",
    ],
)
def test_nothing_but_the_media_folder_can_be_reached(
    web: TestClient, core: Core, people: People, media: Path, path: str
) -> None:
    case = make_published_case(core, people, media)
    answer = web.get(f"/api/cases/{case.id}/media/{path}", headers=bearer(core, people.trainee))
    assert answer.status_code in (404, 422)


def test_before_publication_reviewers_see_it_and_trainees_do_not(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_reviewable_case(core, people, media)
    expected = {
        Role.REVIEWER: 200,
        Role.EXPERT: 200,
        Role.MANAGER: 200,
        Role.TRAINEE: 403,
        Role.TECHNICIAN: 403,
    }
    for role, status in expected.items():
        headers = bearer(core, people.of(role))
        assert web.get(f"/api/cases/{case.id}/media/poster.jpg", headers=headers).status_code == status, role


def test_withdrawal_stops_playing_at_the_next_request(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media)
    headers = bearer(core, people.trainee)
    segment = f"/api/cases/{case.id}/media/180p/00001.m4s"
    assert web.get(segment, headers=headers).status_code == 200
    technician = bearer(core, people.technician)
    answer = web.post(f"/api/consultations/{case.id}/consent/withdraw", headers=technician)
    assert answer.json() == {"case": case.id, "state": "withdrawn"}
    refused = web.get(segment, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "consent-withdrawn")
    assert web.get(f"/api/cases/{case.id}", headers=headers).status_code == 404
    for role in (Role.REVIEWER, Role.EXPERT, Role.MANAGER):
        assert web.get(segment, headers=bearer(core, people.of(role))).status_code in (403, 404)
    assert web.get("/api/counters", headers=headers).json()["bases"][0]["cases"] == 0


def test_an_erased_case_has_no_media_left(web: TestClient, core: Core, people: People, media: Path) -> None:
    case = make_published_case(core, people, media)
    manager = bearer(core, people.manager)
    assert web.post(f"/api/cases/{case.id}/erase", headers=manager).status_code == 409
    actions.withdraw_consent(core, people.expert, case.id)
    assert web.post(f"/api/cases/{case.id}/erase", headers=manager).status_code == 200
    assert list(core.store.list(f"packages/{case.id}")) == []


def test_watching_counts_once_however_often_it_is_reported(
    web: TestClient, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media)
    headers = bearer(core, people.trainee)
    path = f"/api/cases/{case.id}/watch"
    assert web.post(path, json={"spans": [[0, 2]]}, headers=headers).json()["counted"] is False
    for _ in range(3):
        web.post(path, json={"spans": [[0, 12], [3, 9]]}, headers=headers)
    sessions = web.get("/api/counters", headers=headers).json()["bases"][0]["sessions"]
    assert sessions in (0, 1)
    for bad in ([[0, 1, 2]], [["a", 1]], [[0, -5]], [[0, 1]] * 501, None):
        assert web.post(path, json={"spans": bad}, headers=headers).status_code == 422
    infinite = web.post(path, content='{"spans": [[0, Infinity]]}', headers=headers)
    assert infinite.status_code == 422
