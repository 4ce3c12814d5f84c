from __future__ import annotations

import datetime as dt
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from archive import ledger
from archive.models import AuditEvent, Case, LedgerEntry, User, utc_now
from archive.terms import Role, State
from tests.archive.rooms import Room, open_room

WRITERS = 50
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def room(tmp_path: Path, database_url: str) -> Room:
    return open_room(tmp_path / "home", database_url)


def published(room: Room, count: int) -> list[Case]:
    technician, expert = room.person(Role.TECHNICIAN), room.person(Role.EXPERT)
    return [room.case(State.PUBLISHED, technician, expert) for _ in range(count)]


def totals(room: Room) -> tuple[int, int]:
    with room.core.catalog.read() as session:
        (found,) = ledger.counters(session, ZONE, room.core.settings.base.code)
    return found.cases, found.sessions


def watch(
    room: Room, user: User, case: Case, spans: list[list[float]], now: dt.datetime
) -> tuple[float, bool]:
    with room.core.catalog.write() as session:
        return ledger.report_watch(
            session, user, room.load(session, case), spans, duration_s=600, threshold_s=300, now=now
        )


def test_fifty_writers_who_publish_the_same_cases_count_each_once(room: Room) -> None:
    cases = published(room, 5)

    def publish(writer: int) -> bool:
        with room.core.catalog.write() as session:
            return ledger.count_case(session, room.load(session, cases[writer % len(cases)]))

    with ThreadPoolExecutor(WRITERS) as pool:
        counted = list(pool.map(publish, range(WRITERS)))
    assert counted.count(True) == len(cases)
    assert totals(room) == (len(cases), 0)


def test_fifty_players_of_five_trainees_count_five_sessions(room: Room) -> None:
    (case,) = published(room, 1)
    trainees = [room.person(Role.TRAINEE) for _ in range(5)]
    begun = utc_now() - dt.timedelta(minutes=10)
    for trainee in trainees:
        watch(room, trainee, case, [[0, 10]], begun)

    def play(writer: int) -> bool:
        return watch(room, trainees[writer % 5], case, [[0, 600]], utc_now())[1]

    with ThreadPoolExecutor(WRITERS) as pool:
        assert all(pool.map(play, range(WRITERS)))
    assert totals(room) == (0, 5)


def test_a_player_that_repeats_itself_is_believed_once(room: Room) -> None:
    (case,) = published(room, 1)
    trainee, now = room.person(Role.TRAINEE), utc_now()
    for minute in range(1, 60):
        seen_s, counted = watch(room, trainee, case, [[0, 60]], now + dt.timedelta(minutes=minute))
        assert seen_s <= 60 and not counted
    assert totals(room) == (0, 0)


def test_nobody_can_claim_more_than_could_have_played(room: Room) -> None:
    (case,) = published(room, 1)
    trainee, now = room.person(Role.TRAINEE), utc_now()
    seen_s, counted = watch(room, trainee, case, [[0, 600]], now)
    assert seen_s <= ledger.REPORT_SLACK_S and not counted
    for second in range(10, 110, 10):
        seen_s, counted = watch(room, trainee, case, [[0, 600]], now + dt.timedelta(seconds=second))
        assert seen_s <= ledger.REPORT_SLACK_S + second * ledger.MAX_PLAYBACK_RATE and not counted


def test_what_was_not_believed_still_counts_when_it_is_really_watched(room: Room) -> None:
    (case,) = published(room, 1)
    trainee, now = room.person(Role.TRAINEE), utc_now()
    watch(room, trainee, case, [[0, 300]], now)
    answers = [
        watch(room, trainee, case, [[t, t + 10.0]], now + dt.timedelta(seconds=t + 10))[1]
        for t in range(0, 310, 10)
    ]
    assert answers[-1]


def test_an_honest_viewer_is_counted_when_the_threshold_is_passed(room: Room) -> None:
    (case,) = published(room, 1)
    trainee, now = room.person(Role.TRAINEE), utc_now()
    answers = [
        watch(room, trainee, case, [[t, t + 10.0]], now + dt.timedelta(seconds=t + 10))[1]
        for t in range(0, 310, 10)
    ]
    assert answers.index(True) == 29
    assert totals(room) == (0, 1)


def test_a_withdrawn_case_leaves_the_count_once(room: Room) -> None:
    first, second = published(room, 2)
    with room.core.catalog.write() as session:
        ledger.count_case(session, room.load(session, first))
        assert not ledger.uncount_case(session, room.load(session, second))
    for expected in (True, False):
        with room.core.catalog.write() as session:
            assert ledger.uncount_case(session, room.load(session, first)) is expected
    assert totals(room) == (0, 0)


def test_sessions_fall_into_the_calendar_year_of_the_base(room: Room) -> None:
    (case,) = published(room, 1)
    trainee = room.person(Role.TRAINEE)
    midnight = dt.datetime(2026, 12, 31, 16, 0, tzinfo=dt.UTC)  # 2027-01-01 00:00 in Beijing
    watch(room, trainee, case, [[0, 10]], midnight - dt.timedelta(minutes=20))
    watch(room, trainee, case, [[0, 600]], midnight)
    with room.core.catalog.read() as session:
        (found,) = ledger.counters(session, ZONE, room.core.settings.base.code)
    assert found.sessions_by_year == {2027: 1}


@pytest.mark.parametrize("table", [LedgerEntry, AuditEvent])
def test_the_database_itself_refuses_to_change_or_delete_what_was_counted_or_logged(
    room: Room, table: type[LedgerEntry | AuditEvent]
) -> None:
    (case,) = published(room, 1)
    with room.core.catalog.write() as session:
        ledger.count_case(session, room.load(session, case))
        session.add(AuditEvent(actor="a", action="b", object="c", outcome="ok"))
    for statement in (delete(table), update(table).values(id=99)):
        with pytest.raises(DBAPIError, match="append-only"), room.core.catalog.write() as session:
            session.execute(statement)


spans = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000)).map(lambda pair: list(pair)), max_size=20)


@given(spans, spans, st.floats(0, 2000))
def test_no_more_is_believed_than_is_possible_and_nothing_that_was_not_claimed(
    known: list[list[float]], claimed: list[list[float]], possible_s: float
) -> None:
    before = ledger.merge_spans([list(span) for span in known])
    after = ledger.believed(before, ledger.merge_spans([list(span) for span in claimed]), possible_s)
    everything = ledger.merge_spans([list(span) for span in (*known, *claimed)])
    assert length_s(before) - 1e-6 <= length_s(after) <= length_s(before) + possible_s + 1e-6
    assert length_s(after) <= length_s(everything) + 1e-6
    assert length_s(ledger.merge_spans([*map(list, after), *map(list, everything)])) == pytest.approx(
        length_s(everything)
    )


def length_s(found: list[list[float]]) -> float:
    return sum(end - start for start, end in found)


@given(spans)
def test_merged_spans_cover_the_same_seconds_and_are_disjoint(given_spans: list[list[float]]) -> None:
    merged = ledger.merge_spans([list(span) for span in given_spans])
    for before, after in itertools.pairwise(merged):
        assert before[1] < after[0]
    for probe in {edge for span in given_spans for edge in span}:
        inside = any(start <= probe < end for start, end in given_spans if end > start)
        assert inside == any(start <= probe < end for start, end in merged)
