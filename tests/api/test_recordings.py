from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from api import actions
from api.app import create_app
from api.core import Core
from archive.models import utc_now
from archive.terms import State
from tests.factories import CountingJobs, People, bearer, make_case

STARTED = utc_now().isoformat()


@pytest.fixture
def agent(core: Core, people: People) -> dict[str, str]:
    return bearer(core, people.technician)


def open_one(web: TestClient, agent: dict[str, str], case_id: str, key: str = "k-1") -> Any:
    headers = {**agent, "Idempotency-Key": key}
    asked = {"rig": {"inputs": []}, "light": None, "started_at": STARTED}
    return web.post(f"/api/consultations/{case_id}/recordings", json=asked, headers=headers)


def put(web: TestClient, agent: dict[str, str], recording: str, body: bytes, **changed: str) -> Any:
    told = {
        "X-Content-SHA256": hashlib.sha256(body).hexdigest(),
        "X-Start-S": "0",
        "X-Duration-S": "4",
        **agent,
        **changed,
    }
    return web.put(f"/api/recordings/{recording}/tracks/room/segments/0", content=body, headers=told)


def test_a_recording_is_opened_once_for_one_idempotency_key(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    first, again = open_one(web, agent, case.id), open_one(web, agent, case.id)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()


def test_without_a_consent_that_permits_it_nothing_is_recorded(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people, purposes=("archive",))
    answer = open_one(web, agent, case.id)
    assert (answer.status_code, answer.json()["code"]) == (403, "purpose-not-granted")


def test_a_segment_is_created_then_known_then_in_conflict(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    assert put(web, agent, recording, b"first").status_code == 201
    assert put(web, agent, recording, b"first").status_code == 200
    conflict = put(web, agent, recording, b"other")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "already-exists")
    listed = web.get(f"/api/recordings/{recording}/segments", headers=agent).json()
    assert listed == {
        "segments": [{"track": "room", "index": 0, "sha256": hashlib.sha256(b"first").hexdigest(), "size": 5}]
    }


def test_a_body_that_does_not_match_its_checksum_is_refused(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    answer = put(web, agent, recording, b"first", **{"X-Content-SHA256": "0" * 64})
    assert answer.status_code == 422
    assert web.get(f"/api/recordings/{recording}/segments", headers=agent).json() == {"segments": []}


def test_withdrawing_in_mid_recording_stops_the_next_segment(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    assert put(web, agent, recording, b"first").status_code == 201
    actions.withdraw_consent(core, people.technician, case.id)
    answer = put(web, agent, recording, b"second")
    assert (answer.status_code, answer.json()["code"]) == (403, "consent-withdrawn")


@pytest.mark.parametrize("declared", [True, False], ids=["declared length", "chunked"])
def test_an_upload_over_the_limit_is_cut_off_and_leaves_nothing(
    web: TestClient, core: Core, people: People, agent: dict[str, str], declared: bool
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    body = bytes(2**20 + 1)
    headers = {"X-Content-SHA256": "0" * 64, "X-Start-S": "0", "X-Duration-S": "4", **agent}
    content: Any = body if declared else (body[i : i + 65536] for i in range(0, len(body), 65536))
    path = f"/api/recordings/{recording}/tracks/room/segments/0"
    answer = web.put(path, content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert list((core.settings.home / "incoming").iterdir()) == []


@pytest.mark.parametrize("track", ["Room", "..", "a b", "x" * 33, "%2e%2e%2fetc"])
def test_a_track_name_is_never_a_path(
    web: TestClient, core: Core, people: People, agent: dict[str, str], track: str
) -> None:
    headers = {"X-Content-SHA256": "0" * 64, "X-Start-S": "0", "X-Duration-S": "4", **agent}
    answer = web.put(f"/api/recordings/R1/tracks/{track}/segments/0", content=b"", headers=headers)
    assert answer.status_code in (404, 405, 422)


def test_a_complete_recording_starts_its_processing_once(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    asked = {"tracks": {"room": {"kind": "video", "role": "room", "segments": 1}}, "seconds": 4.0}
    missing = web.post(f"/api/recordings/{recording}/complete", json=asked, headers=agent)
    assert missing.status_code in (409, 422) and "room/0" in missing.json()["detail"]
    put(web, agent, recording, b"first")
    for _ in range(2):
        done = web.post(f"/api/recordings/{recording}/complete", json=asked, headers=agent)
        assert done.json() == {"case": case.id, "state": str(State.PROCESSING)}
    assert isinstance(core.jobs, CountingJobs)
    assert set(core.jobs.started) == {(case.id, 1)}


@pytest.mark.parametrize("segments", [-1, 10**9, "many", None])
def test_an_absurd_number_of_segments_is_refused(
    web: TestClient, agent: dict[str, str], segments: object
) -> None:
    asked = {"tracks": {"room": {"kind": "video", "role": "room", "segments": segments}}, "seconds": 4.0}
    assert web.post("/api/recordings/R1/complete", json=asked, headers=agent).status_code == 422


def test_uploads_are_sealed_and_their_temporary_file_is_gone(
    web: TestClient, core: Core, people: People, agent: dict[str, str], tmp_path: Path
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    put(web, agent, recording, b"the patient's face")
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"the patient's face" in content for content in kept)


def test_an_upload_whose_server_was_killed_is_removed_at_the_next_start(core: Core) -> None:
    folder = core.settings.home / "incoming"
    folder.mkdir()
    for name, age_s in {"old": 2 * 3600, "fresh": 60}.items():
        (folder / name).write_bytes(b"a face")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    with TestClient(create_app(core.settings, core)):
        assert [path.name for path in folder.iterdir()] == ["fresh"]


def test_a_station_that_hangs_up_in_mid_upload_leaves_nothing(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    headers = {"x-content-sha256": "0" * 64, "x-start-s": "0", "x-duration-s": "4", **agent}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": f"/api/recordings/{recording}/tracks/room/segments/0",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[Any] = []
    coming = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    with capture_logs() as events:
        asyncio.run(create_app(core.settings, core)(scope, receive, send))
    assert sent == []
    assert [(event["event"], event["status"]) for event in events] == [("request", 499)]
    assert list((core.settings.home / "incoming").iterdir()) == []
