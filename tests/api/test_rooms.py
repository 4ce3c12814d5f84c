"""Rooms: what stations report, what managers see of it, and what is planned."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import actions
from api.core import Core
from archive.models import Base, Room, utc_now
from archive.rooms import MAX_CHANGES, MAX_ROOMS, AgentState, changes_of, hear
from archive.terms import Kind, Role
from config.errors import ConsentMissing, ConsentWithdrawn, PlanOverlaps, RequestRejected
from tests.factories import People, bearer, make_case, make_user


def report(state: str = "ready", **more: Any) -> dict[str, Any]:
    now = utc_now()
    return {
        "state": state,
        "since": (now - dt.timedelta(minutes=12)).isoformat(),
        "clock": now.isoformat(),
        "name": "第一诊室",
        "space_left_s": 7.5 * 3600,
        "queue": {"count": 3, "bytes": 41_000_000},
        "light": "pass",
        "sound": "indeterminate",
        "agent": "0.1.0",
        **more,
    }


def heard_ago(core: Core, code: str, seconds: float) -> None:
    with core.catalog.write() as session:
        room = session.get_one(Room, (core.settings.base.code, code))
        room.heard_at = utc_now() - dt.timedelta(seconds=seconds)


@pytest.fixture
def station(core: Core, people: People) -> dict[str, str]:
    return bearer(core, people.technician)


@pytest.fixture
def manager(core: Core, people: People) -> dict[str, str]:
    return bearer(core, people.manager)


def test_what_a_station_reports_is_what_a_manager_sees(
    web: TestClient, core: Core, people: People, station: dict[str, str], manager: dict[str, str]
) -> None:
    case = make_case(core, people)
    told = report("recording", consultation=case.id, problems=["microphone-silent", "new-kind"])
    answer = web.put("/api/rooms/room1/state", json=told, headers=station)
    assert answer.status_code == 200 and abs(answer.json()["clock_skew_s"]) < 5
    (room,) = web.get("/api/rooms", headers=manager).json()["rooms"]
    assert room["room"] == "room1" and room["state"] == "recording" and room["warnings"] == []
    assert room["queue"]["count"] == 3 and room["light"] == "pass" and room["silent_s"] < 5
    page = web.get("/rooms", headers=manager).text
    for words in ("第一诊室", "录制中", "麦克风没有声音", "new-kind", "12 分钟", "7 小时", "3 段，41 MB"):
        assert words in page, words
    assert f'href="/cases/{case.id}"' in page


def test_a_room_that_has_gone_silent_is_a_warning_and_its_last_state_is_called_that(
    web: TestClient, core: Core, station: dict[str, str], manager: dict[str, str]
) -> None:
    web.put("/api/rooms/room1/state", json=report(), headers=station)
    heard_ago(core, "room1", 179)
    assert "没有消息，" not in web.get("/rooms", headers=manager).text
    heard_ago(core, "room1", 185)
    page = web.get("/rooms", headers=manager).text
    assert "已 3 分钟 没有消息" in page and "最后状态：就绪" in page
    assert web.get("/api/rooms", headers=manager).json()["rooms"][0]["warnings"] == ["silent"]
    web.put("/api/rooms/room1/state", json=report(), headers=station)
    assert web.get("/api/rooms", headers=manager).json()["rooms"][0]["warnings"] == []


@pytest.mark.parametrize(("minutes", "words"), [(7.5, "快了 7 分钟"), (-7.5, "慢了 7 分钟")])
def test_a_wrong_clock_is_seen_and_does_not_spoil_how_long_a_state_has_lasted(
    web: TestClient, station: dict[str, str], manager: dict[str, str], minutes: float, words: str
) -> None:
    wrong = utc_now() + dt.timedelta(minutes=minutes)
    told = report(clock=wrong.isoformat(), since=(wrong - dt.timedelta(minutes=12)).isoformat())
    web.put("/api/rooms/room1/state", json=told, headers=station)
    page = web.get("/rooms", headers=manager).text
    assert words in page and "12 分钟" in page


def test_changes_are_remembered_and_heartbeats_are_not(
    web: TestClient, station: dict[str, str], manager: dict[str, str]
) -> None:
    for state in ("ready", "ready", "recording", "paused", "paused", "recording", "uploading"):
        web.put("/api/rooms/room1/state", json=report(state), headers=station)
    web.put("/api/rooms/room1/state", json=report("uploading", problems=["disk-low"]), headers=station)
    changes = web.get("/api/rooms/room1/changes", headers=manager).json()
    assert [change["state"] for change in changes] == [
        "uploading",
        "uploading",
        "recording",
        "paused",
        "recording",
        "ready",
    ]
    assert changes[0]["problems"] == ["disk-low"]
    assert web.get("/api/rooms/room2/changes", headers=manager).status_code == 404


def test_the_history_of_a_room_and_the_number_of_rooms_are_bounded(core: Core) -> None:
    told = {"since": utc_now(), "clock": utc_now(), "problems": []}
    base = core.settings.base.code
    with core.catalog.write() as session:
        for number in range(MAX_CHANGES + 20):
            state = AgentState.READY if number % 2 else AgentState.IDLE
            hear(session, base, "busy", state, told)
        hear(session, base, "other", AgentState.IDLE, told)
        assert len(changes_of(session, base, "busy", 10_000)) == MAX_CHANGES
        assert len(changes_of(session, base, "other")) == 1
        for number in range(MAX_ROOMS - 2):
            hear(session, base, f"r{number}", AgentState.IDLE, told)
        with pytest.raises(RequestRejected):
            hear(session, base, "one-too-many", AgentState.IDLE, told)


def test_rooms_of_another_base_are_neither_seen_nor_touched(
    web: TestClient, core: Core, station: dict[str, str], manager: dict[str, str]
) -> None:
    with core.catalog.write() as session:
        session.add(Base(code="SH01", name="上海", case_target=1, session_target=1))
    there = bearer(core, make_user(core, Role.TECHNICIAN, "there", base="SH01"))
    boss = bearer(core, make_user(core, Role.MANAGER, "boss", base="SH01"))
    web.put("/api/rooms/room1/state", json=report("error"), headers=there)
    assert web.get("/api/rooms", headers=manager).json()["rooms"] == []
    web.put("/api/rooms/room1/state", json=report("ready"), headers=station)
    assert [r["state"] for r in web.get("/api/rooms", headers=boss).json()["rooms"]] == ["error"]
    assert [r["state"] for r in web.get("/api/rooms", headers=manager).json()["rooms"]] == ["ready"]


def test_a_retired_room_is_hidden_until_it_reports_again(
    web: TestClient, station: dict[str, str], manager: dict[str, str]
) -> None:
    web.put("/api/rooms/room1/state", json=report(), headers=station)
    assert web.post("/api/rooms/room1/retire", headers=manager).status_code == 204
    assert web.post("/api/rooms/room1/retire", headers=manager).status_code == 404
    assert web.get("/api/rooms", headers=manager).json()["rooms"] == []
    web.put("/api/rooms/room1/state", json=report(), headers=station)
    assert len(web.get("/api/rooms", headers=manager).json()["rooms"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "sleeping"},
        {"since": "2026-03-01T08:00:00"},
        {"clock": "now"},
        {"clock": "9999-12-31T23:59:59-12:00"},
        {"space_left_s": -1},
        {"space_left_s": "NaN"},
        {"queue": {"count": -1, "bytes": 0}},
        {"queue": {"count": 2**60, "bytes": 0}},
        {"problems": ["<script>"]},
        {"problems": ["x"] * 21},
        {"light": "great"},
        {"name": "a\x00b"},
        {"consultation": "../../etc"},
        {"patient": "张三"},
    ],
)
def test_a_report_that_is_not_one_is_refused(
    web: TestClient, station: dict[str, str], wrong: dict[str, Any]
) -> None:
    assert web.put("/api/rooms/room1/state", json=report(**wrong), headers=station).status_code == 422


def test_a_name_of_a_room_is_a_short_code_and_a_report_is_small(
    web: TestClient, station: dict[str, str]
) -> None:
    for code in ("Room1", "a" * 33, "%2e%2e", "诊室"):
        assert web.put(f"/api/rooms/{code}/state", json=report(), headers=station).status_code in (404, 422)
    large = report(name="x" * 64, agent="y" * 20_000)
    assert web.put("/api/rooms/room1/state", json=large, headers=station).status_code == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["state", "since", "clock", "consultation", "space_left_s", "queue", "problems", "light", "agent"]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), JSON, max_size=4))
def test_whatever_a_station_sends_is_kept_or_refused_and_the_page_still_opens(
    web: TestClient, station: dict[str, str], changes: dict[str, Any]
) -> None:
    import json

    body = json.dumps({**report(), **changes}).encode("utf-8", "surrogatepass")
    headers = {**station, "Content-Type": "application/json"}
    answer = web.put("/api/rooms/room1/state", content=body, headers=headers)
    assert answer.status_code in (200, 400, 422), answer.text
    assert web.get("/rooms", headers=station).status_code == 200


# --- plans ------------------------------------------------------------------------------------------------------


def visit(core: Core, people: People, title: str, at: dt.datetime, kind: Kind = Kind.CONSULTATION) -> str:
    return actions.schedule_consultation(
        core, people.technician, title=title, kind=kind, expert_id=people.expert.id, scheduled_at=at
    ).id


def today(core: Core, hour: int, minute: int = 0) -> dt.datetime:
    local = utc_now().astimezone(core.settings.zone)
    return local.replace(hour=hour, minute=minute, second=0, microsecond=0)


def test_the_only_room_gets_every_visit_of_the_day_and_none_starts_by_itself(
    web: TestClient, core: Core, people: People, station: dict[str, str]
) -> None:
    late = visit(core, people, "午后", today(core, 15), Kind.DISCUSSION)
    early = visit(core, people, "晨诊", today(core, 8, 30))
    visit(core, people, "明日", today(core, 9) + dt.timedelta(days=1))
    for code in ("room1", "room1"):
        web.put(f"/api/rooms/{code}/state", json=report(), headers=station)
    told = web.get("/api/rooms/room1/schedule", headers=station).json()
    assert told["timezone"] == "Asia/Shanghai" and told["made_at"]
    assert [(one["consultation"], one["half"]) for one in told["planned"]] == [
        (early, "morning"),
        (late, "afternoon"),
    ]
    assert {one["length_s"] for one in told["planned"]} == {1200.0}
    assert not any(one["automatic"] for one in told["planned"])
    assert {one["start_refused"] for one in told["planned"]} == {"consent-missing"}
    web.put("/api/rooms/room2/state", json=report(), headers=station)
    assert web.get("/api/rooms/room1/schedule", headers=station).json()["planned"] == []


def test_a_plan_gives_a_visit_its_room_time_and_length(
    web: TestClient, core: Core, people: People, station: dict[str, str]
) -> None:
    for code in ("room1", "room2"):
        web.put(f"/api/rooms/{code}/state", json=report(), headers=station)
    case = make_case(core, people)
    path = f"/api/rooms/room2/schedule/{case.id}"
    when = today(core, 10, 30)
    body = {"starts_at": when.isoformat(), "length_s": 900, "automatic": True}
    assert web.put(path, json=body, headers=station).json()["automatic"]
    (planned,) = web.get("/api/rooms/room2/schedule", headers=station).json()["planned"]
    assert planned["automatic"] and planned["length_s"] == 900 and planned["start_refused"] is None
    assert dt.datetime.fromisoformat(planned["starts_at"]) == when
    assert web.get("/api/rooms/room1/schedule", headers=station).json()["planned"] == []
    day = (when + dt.timedelta(days=1)).date()
    assert web.get(f"/api/rooms/room2/schedule?day={day}", headers=station).json()["planned"] == []
    page = web.get("/rooms", headers=station).text
    assert "今日安排 1 个诊次" in page and "15 分钟" in page


def test_no_automatic_start_without_a_consent_to_record(core: Core, people: People) -> None:
    planned = visit(core, people, "头痛", today(core, 9))
    with pytest.raises(ConsentMissing):
        actions.plan_room(core, people.technician, "room1", planned, automatic=True)
    actions.plan_room(core, people.technician, "room1", planned)
    case = make_case(core, people)
    actions.plan_room(core, people.technician, "room1", case.id, starts_at=today(core, 9), automatic=True)
    assert [one.automatic for one in actions.room_schedule(core, people.technician, "room1")].count(True) == 1
    actions.withdraw_consent(core, people.technician, case.id)
    told = {one.consultation.id: one for one in actions.room_schedule(core, people.technician, "room1")}
    assert not told[case.id].automatic and told[case.id].start_refused == "consent-withdrawn"
    with pytest.raises(ConsentWithdrawn):
        actions.plan_room(core, people.technician, "room1", case.id)
    with pytest.raises(ConsentWithdrawn):
        actions.open_recording(core, people.technician, case.id, rig={}, light=None, started_at=utc_now())


def test_what_has_been_recorded_does_not_start_again_by_itself(core: Core, people: People) -> None:
    case = make_case(core, people)
    actions.plan_room(core, people.technician, "room1", case.id, starts_at=today(core, 9), automatic=True)
    actions.open_recording(core, people.technician, case.id, rig={}, light=None, started_at=utc_now())
    (planned,) = actions.room_schedule(core, people.technician, "room1")
    assert not planned.automatic and planned.start_refused is None


def test_two_recordings_do_not_start_by_themselves_in_one_room_at_once(core: Core, people: People) -> None:
    first, second = make_case(core, people).id, make_case(core, people, "头痛").id

    def plan(room: str, case: str, hour: int, minute: int, automatic: bool = True) -> None:
        when = today(core, hour, minute)
        actions.plan_room(core, people.manager, room, case, starts_at=when, automatic=automatic)

    plan("room1", first, 9, 0)
    for minute in (0, 19):
        with pytest.raises(PlanOverlaps):
            plan("room1", second, 9, minute)
    with pytest.raises(PlanOverlaps):
        plan("room1", second, 8, 41)
    plan("room1", second, 9, 10, automatic=False)
    plan("room2", second, 9, 10)
    plan("room1", second, 9, 20)
    plan("room1", second, 8, 40)
    plan("room1", first, 9, 0)


def test_plans_of_another_base_or_beyond_reason_are_refused(
    web: TestClient, core: Core, people: People, station: dict[str, str]
) -> None:
    case = make_case(core, people)
    with core.catalog.write() as session:
        session.add(Base(code="SH01", name="上海", case_target=1, session_target=1))
    there = bearer(core, make_user(core, Role.TECHNICIAN, "there", base="SH01"))
    path = f"/api/rooms/room1/schedule/{case.id}"
    assert web.put(path, json={}, headers=there).status_code == 404
    for body in (
        {"length_s": 1},
        {"length_s": 1e9},
        {"starts_at": "2026-03-01T09:00"},
        {"starts_at": "2199-03-01T09:00:00+08:00"},
        {"automatic": "perhaps"},
    ):
        assert web.put(path, json=body, headers=station).status_code == 422, body
    for day in ("9999-12-31", "0001-01-01", "today"):
        assert web.get(f"/api/rooms/room1/schedule?day={day}", headers=station).status_code == 422
