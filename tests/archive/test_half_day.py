from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from api import actions
from archive.half_day import MOST_VISITS, HalfDay, day_bounds
from archive.models import Consultation, User
from archive.terms import Kind, Role
from config.errors import HalfDayFull, RequestRejected
from tests.archive.rooms import Room, open_room

# Clocks that jump at midnight, at one, at two, by half an hour, or never; both hemispheres.
ZONES = (
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
MOMENTS = st.datetimes(
    min_value=dt.datetime(1985, 1, 1), max_value=dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC)
)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return open_room(tmp_path)


def plan(
    room: Room, people: tuple[User, User], when: dt.datetime, override: actions.Override | None = None
) -> Consultation:
    technician, expert = people
    return actions.schedule_consultation(
        room.core,
        technician,
        title="t",
        kind=Kind.CONSULTATION,
        expert_id=expert.id,
        scheduled_at=when,
        override=override,
    )


def staff(room: Room) -> tuple[User, User]:
    return room.person(Role.TECHNICIAN), room.person(Role.EXPERT)


@given(when=MOMENTS, zone=st.sampled_from(ZONES))
def test_every_moment_lies_in_the_half_day_it_is_counted_in(when: dt.datetime, zone: str) -> None:
    half = HalfDay.of(when, ZoneInfo(zone))
    start, end = half.bounds()
    assert start <= when < end


@given(
    day=st.dates(min_value=dt.date(1985, 1, 1), max_value=dt.date(2040, 1, 1)), zone=st.sampled_from(ZONES)
)
def test_half_days_follow_each_other_without_a_gap(day: dt.date, zone: str) -> None:
    start, noon, end = day_bounds(day, ZoneInfo(zone))
    assert start < noon < end
    assert end == day_bounds(day + dt.timedelta(days=1), ZoneInfo(zone))[0]
    assert end - start in {dt.timedelta(hours=hours) for hours in (23, 23.5, 24, 24.5, 25)}


def test_daylight_saving_makes_a_morning_shorter_and_longer() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = HalfDay(dt.date(2026, 3, 29), "am", berlin).bounds()
    autumn = HalfDay(dt.date(2026, 10, 25), "am", berlin).bounds()
    assert (spring[1] - spring[0], autumn[1] - autumn[0]) == (dt.timedelta(hours=11), dt.timedelta(hours=13))


def test_the_eleventh_visit_of_a_half_day_is_refused_and_the_afternoon_is_free(room: Room) -> None:
    people = staff(room)
    for number in range(MOST_VISITS):
        plan(room, people, dt.datetime(2026, 3, 2, 1 + number % 2, 50, tzinfo=dt.UTC))
    with pytest.raises(HalfDayFull) as refused:
        plan(room, people, dt.datetime(2026, 3, 2, 3, 59, 59, tzinfo=dt.UTC))
    assert refused.value.data == {"day": "2026-03-02", "half_day": "am", "most": 10}
    # 12:00 in Shanghai; and midnight, where the day before ends.
    plan(room, people, dt.datetime(2026, 3, 2, 4, 0, tzinfo=dt.UTC))
    plan(room, people, dt.datetime(2026, 3, 1, 15, 59, tzinfo=dt.UTC))
    with pytest.raises(HalfDayFull):
        plan(room, people, dt.datetime(2026, 3, 1, 16, 0, tzinfo=dt.UTC))


def test_an_override_needs_a_reason_and_a_name_and_is_kept_and_logged(room: Room) -> None:
    people = staff(room)
    when = dt.datetime(2026, 3, 2, 1, 0, tzinfo=dt.UTC)
    for _ in range(MOST_VISITS):
        assert plan(room, people, when, actions.Override("x", "y")).override_reason is None, "none was needed"
    for reason, name in (("", "赵主任"), ("急诊", " "), ("x" * 1001, "赵主任"), ("急诊", "x" * 65)):
        with pytest.raises(RequestRejected):
            actions.Override(reason, name)
    kept = plan(room, people, when, actions.Override(" 急诊加号 ", "赵主任"))
    assert (kept.override_reason, kept.override_by) == ("急诊加号", "赵主任")
    from sqlalchemy import select

    from archive.models import AuditEvent

    with room.core.catalog.read() as session:
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "consultation.override"))
    assert (event.object, event.detail) == (kept.id, {"reason": "急诊加号", "allowed_by": "赵主任"})


def test_planners_at_the_same_moment_do_not_pass_the_limit(database_url: str, tmp_path: Path) -> None:
    room = open_room(tmp_path / "home", database_url)
    people = staff(room)
    when = dt.datetime(2026, 3, 2, 1, 0, tzinfo=dt.UTC)
    for _ in range(MOST_VISITS - 2):
        plan(room, people, when)
    outcomes: list[bool] = []
    gate = threading.Barrier(6)

    def try_once() -> None:
        gate.wait()
        try:
            plan(room, people, when)
            outcomes.append(True)
        except HalfDayFull:
            outcomes.append(False)

    threads = [threading.Thread(target=try_once) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 4 + [True] * 2


class Planning(RuleBasedStateMachine):
    """Against a plain count: whatever is planned, cancelled and overridden around the borders of two half-days."""

    folder: Path
    zone = ZoneInfo("Asia/Shanghai")

    def __init__(self) -> None:
        super().__init__()
        Planning.number = getattr(Planning, "number", 0) + 1
        self.room = open_room(self.folder / str(Planning.number))
        self.people = staff(self.room)
        self.planned: dict[str, HalfDay] = {}
        self.overridden: set[str] = set()

    @rule(seconds=st.sampled_from((-86_400, -1, 0, 1)), hour=st.sampled_from((0, 12)), forced=st.booleans())
    def plan(self, seconds: int, hour: int, forced: bool) -> None:
        when = dt.datetime(2026, 3, 3, hour, tzinfo=self.zone) + dt.timedelta(seconds=seconds)
        half = HalfDay.of(when, self.zone)
        full = list(self.planned.values()).count(half) >= MOST_VISITS
        override = actions.Override("急诊", "赵主任") if forced else None
        try:
            made = plan(self.room, self.people, when, override)
        except HalfDayFull:
            assert full and not forced
            return
        assert forced or not full
        assert (made.override_reason is not None) is full
        self.planned[made.id] = half

    @rule(half=st.sampled_from(("am", "pm")))
    def fill(self, half: str) -> None:
        when = dt.datetime(2026, 3, 3, 9 if half == "am" else 15, tzinfo=self.zone)
        key = HalfDay.of(when, self.zone)
        while list(self.planned.values()).count(key) < MOST_VISITS:
            self.planned[plan(self.room, self.people, when).id] = key

    @rule(pick=st.integers(0, 99), again=st.booleans())
    def cancel(self, pick: int, again: bool) -> None:
        if self.planned:
            chosen = sorted(self.planned)[pick % len(self.planned)]
            for _ in range(1 + again):
                actions.cancel_consultation(self.room.core, self.people[0], chosen)
            del self.planned[chosen]

    @invariant()
    def the_list_of_each_day_is_what_was_planned_and_not_cancelled(self) -> None:
        for day in (2, 3):
            date = dt.date(2026, 3, day)
            listed = actions.list_today(self.room.core, self.people[0], date)
            assert {visit.consultation.id: visit.half_day for visit in listed} == {
                key: half for key, half in self.planned.items() if half.day == date
            }

    def teardown(self) -> None:
        self.room.core.close()


def test_the_limit_holds_whatever_is_planned_and_cancelled(tmp_path: Path) -> None:
    class Here(Planning):
        folder = tmp_path

    Here.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
    Here.TestCase("runTest").runTest()
