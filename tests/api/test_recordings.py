from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pyrage
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyrage import x25519
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


def sealed(core: Core, plain: bytes) -> bytes:
    return bytes(pyrage.encrypt(plain, [x25519.Recipient.from_str(core.vault.recipient)]))


def put_sealed(
    web: TestClient,
    agent: dict[str, str],
    recording: str,
    body: bytes,
    plain: bytes,
    index: int = 0,
    **changed: str,
) -> Any:
    told = {
        "X-Sealed-SHA256": hashlib.sha256(body).hexdigest(),
        "X-Content-SHA256": hashlib.sha256(plain).hexdigest(),
        "X-Start-S": "0",
        "X-Duration-S": "4",
        **agent,
        **changed,
    }
    return web.put(f"/api/recordings/{recording}/tracks/room/segments/{index}", content=body, headers=told)


def put(
    web: TestClient, core: Core, agent: dict[str, str], recording: str, plain: bytes, **changed: str
) -> Any:
    return put_sealed(web, agent, recording, sealed(core, plain), plain, **changed)


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
    assert put(web, core, agent, recording, b"first").status_code == 201
    assert put(web, core, agent, recording, b"first").status_code == 200
    conflict = put(web, core, agent, recording, b"other")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "already-exists")
    listed = web.get(f"/api/recordings/{recording}/segments", headers=agent).json()
    assert listed == {
        "segments": [{"track": "room", "index": 0, "sha256": hashlib.sha256(b"first").hexdigest(), "size": 5}]
    }


def test_a_plain_segment_is_refused_before_any_of_it_is_taken_in(
    web: TestClient, core: Core, people: People, agent: dict[str, str], tmp_path: Path
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    plain = b"the patient's face"
    digest = hashlib.sha256(plain).hexdigest()
    told = {"X-Content-SHA256": digest, "X-Start-S": "0", "X-Duration-S": "4", **agent}
    path = f"/api/recordings/{recording}/tracks/room/segments/0"
    for headers in (told, told | {"X-Sealed-SHA256": ""}):
        answer = web.put(path, content=plain, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "request-rejected")
        assert "sealed" in answer.text.lower()
        assert not (core.settings.home / "incoming").exists()
    answer = put_sealed(web, agent, recording, plain, plain)
    assert answer.status_code in (409, 422), "nor when it is only called sealed"
    assert web.get(f"/api/recordings/{recording}/segments", headers=agent).json() == {"segments": []}
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(plain in content for content in kept)


def test_withdrawing_in_mid_recording_stops_the_next_segment(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    assert put(web, core, agent, recording, b"first").status_code == 201
    actions.withdraw_consent(core, people.technician, case.id)
    answer = put(web, core, agent, recording, b"second")
    assert (answer.status_code, answer.json()["code"]) == (403, "consent-withdrawn")


@pytest.mark.parametrize("declared", [True, False], ids=["declared length", "chunked"])
def test_an_upload_over_the_limit_is_cut_off_and_leaves_nothing(
    web: TestClient, core: Core, people: People, agent: dict[str, str], declared: bool
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    body = bytes(2**20 + 1)
    headers = {
        "X-Sealed-SHA256": "0" * 64,
        "X-Content-SHA256": "0" * 64,
        "X-Start-S": "0",
        "X-Duration-S": "4",
        **agent,
    }
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
    headers = {
        "X-Sealed-SHA256": "0" * 64,
        "X-Content-SHA256": "0" * 64,
        "X-Start-S": "0",
        "X-Duration-S": "4",
        **agent,
    }
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
    put(web, core, agent, recording, b"first")
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
    put(web, core, agent, recording, b"the patient's face")
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
    headers = {
        "x-sealed-sha256": "0" * 64,
        "x-content-sha256": "0" * 64,
        "x-start-s": "0",
        "x-duration-s": "4",
        **agent,
    }
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


def test_a_station_learns_whom_it_serves_and_a_key_that_only_seals(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    told = web.get("/api/station", headers=agent).json()
    assert told == {
        "base": core.settings.base.code,
        "name": core.settings.base.name,
        "zone": "Asia/Shanghai",
        "recipient": core.vault.recipient,
        "user": people.technician.username,
    }
    assert told["recipient"].startswith("age1")
    assert "SECRET" not in str(told)


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_001])
def test_a_sealed_segment_is_opened_checked_and_sealed_to_its_case(
    web: TestClient, core: Core, people: People, agent: dict[str, str], tmp_path: Path, size: int
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    plain = os.urandom(size)
    body = sealed(core, plain)
    answers = [put_sealed(web, agent, recording, body, plain) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 200]
    assert answers[0].json()["sha256"] == hashlib.sha256(plain).hexdigest()
    (kept,) = actions.list_segments(core, people.technician, recording)
    assert (kept.sha256, kept.size) == (hashlib.sha256(plain).hexdigest(), size)
    assert core.vault.open_bytes(case.id, kept.key) == plain
    assert list((core.settings.home / "incoming").iterdir()) == []


def test_a_sealed_segment_that_was_damaged_on_its_way_is_refused_before_it_is_opened(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    body = sealed(core, b"plain")
    answer = put_sealed(web, agent, recording, body, b"plain", **{"X-Sealed-SHA256": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (422, "request-rejected")
    assert web.get(f"/api/recordings/{recording}/segments", headers=agent).json() == {"segments": []}


def test_what_was_sealed_for_another_base_or_is_other_than_told_is_not_kept(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    foreign = bytes(pyrage.encrypt(b"plain", [x25519.Identity.generate().to_public()]))
    good = sealed(core, b"plain" * 50_000)
    for body in (foreign, b"not sealed at all", good[:-20], good[:60]):
        answer = put_sealed(web, agent, recording, body, b"plain" * 50_000)
        assert (answer.status_code, answer.json()["code"]) == (409, "checksum-mismatch")
    answer = put_sealed(web, agent, recording, sealed(core, b"another"), b"plain")
    assert (answer.status_code, answer.json()["code"]) == (409, "checksum-mismatch")
    assert web.get(f"/api/recordings/{recording}/segments", headers=agent).json() == {"segments": []}
    assert list(core.store.list(f"recordings/{case.id}")) == []


def test_after_a_withdrawal_nothing_is_taken_in_and_nothing_opened_again(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id).json()["recording"]
    actions.withdraw_consent(core, people.technician, case.id)

    answer = put(web, core, agent, recording, b"face", **{"X-Content-SHA256": "0" * 64})
    # Judged before the body: nobody has noticed that its checksum is wrong.
    assert (answer.status_code, answer.json()["code"]) == (403, "consent-withdrawn")
    again = open_one(web, agent, case.id)
    assert (again.status_code, again.json()["code"]) == (403, "consent-withdrawn")


def note(web: TestClient, agent: dict[str, str], recording: str, **changed: Any) -> Any:
    told = {"id": "note-0001", "kind": "gap", "at_s": 4.5, "data": {"track": "room", "reason": "pause"}}
    return web.post(f"/api/recordings/{recording}/notes", json={**told, **changed}, headers=agent)


def test_a_note_is_kept_once_with_its_recording_and_read_by_staff(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    answers = [note(web, agent, recording) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 200]
    note(web, agent, recording, id="note-0002", kind="chapter", at_s=1.0, data={"chapter": "look"})
    for reader in (agent, bearer(core, people.reviewer)):
        listed = web.get(f"/api/recordings/{recording}/notes", headers=reader).json()["notes"]
        assert [(each["kind"], each["at_s"]) for each in listed] == [("chapter", 1.0), ("gap", 4.5)]
    assert (
        web.get(f"/api/recordings/{recording}/notes", headers=bearer(core, people.trainee)).status_code == 403
    )
    other = open_one(web, agent, make_case(core, people).id, "k-2").json()["recording"]
    taken = note(web, agent, other)
    assert (taken.status_code, taken.json()["code"]) == (409, "already-exists")


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "a/b/c/d/e"},
        {"kind": "Gap!"},
        {"at_s": -1},
        {"at_s": 1e300},
        {"data": {"x": "y" * 70_000}},
        {"data": {"x": "\x00"}},
        {"data": []},
        {"more": 1},
    ],
)
def test_a_note_that_makes_no_sense_is_refused(
    web: TestClient, core: Core, people: People, agent: dict[str, str], changed: dict[str, Any]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    assert note(web, agent, recording, **changed).status_code == 422


def test_a_recording_is_complete_only_with_all_its_notes(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    recording = open_one(web, agent, make_case(core, people).id).json()["recording"]
    put(web, core, agent, recording, b"first")
    tracks = {"room": {"kind": "video", "role": "room", "segments": 1}}
    asked = {"tracks": tracks, "seconds": 4.0, "notes": 1}
    missing = web.post(f"/api/recordings/{recording}/complete", json=asked, headers=agent)
    assert (missing.status_code, missing.json()["code"]) == (409, "segments-missing")
    note(web, agent, recording)
    assert web.post(f"/api/recordings/{recording}/complete", json=asked, headers=agent).status_code == 200


def test_a_session_made_offline_may_come_home_after_the_visit_s_other_one_was_closed(
    web: TestClient, core: Core, people: People, agent: dict[str, str]
) -> None:
    case = make_case(core, people)
    first = open_one(web, agent, case.id).json()["recording"]
    put(web, core, agent, first, b"first")
    asked = {"tracks": {"room": {"kind": "video", "role": "room", "segments": 1}}, "seconds": 4.0}
    assert web.post(f"/api/recordings/{first}/complete", json=asked, headers=agent).status_code == 200
    late = open_one(web, agent, case.id, "k-late")
    assert late.status_code == 201
    assert put(web, core, agent, late.json()["recording"], b"late").status_code == 201
    headers = {**agent, "Idempotency-Key": "k-new"}
    fresh = {"rig": {}, "light": None, "started_at": utc_now().isoformat()}
    answer = web.post(f"/api/consultations/{case.id}/recordings", json=fresh, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal-transition")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), bit=st.integers(0, 7))
def test_sealed_bytes_changed_anywhere_are_never_kept(
    web: TestClient, core: Core, people: People, agent: dict[str, str], share: float, bit: int
) -> None:
    case = make_case(core, people)
    recording = open_one(web, agent, case.id, case.id).json()["recording"]
    plain = b"the patient" * 7000
    body = bytearray(sealed(core, plain))
    body[round(share * (len(body) - 1))] ^= 1 << bit
    answer = put_sealed(web, agent, recording, bytes(body), plain)
    # One bit of the header's text may mean the same; then what comes out is the same, checked by its checksum.
    assert answer.status_code in (201, 409)
    for kept in actions.list_segments(core, people.technician, recording):
        assert core.vault.open_bytes(case.id, kept.key) == plain
