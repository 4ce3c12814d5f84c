from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from capture.timetable import LATE, Timetable, Wish
from capture.today import Visit

NINE = dt.datetime(2026, 11, 24, 1, 0, tzinfo=dt.UTC)


def visit(number: int = 0, *, minutes: float = 20, may_record: bool = True, automatic: bool = True) -> Visit:
    return Visit(
        id=f"c{number}",
        scheduled_at=NINE + dt.timedelta(minutes=30 * number),
        half_day="am",
        kind="consultation",
        title=f"{number}",
        expert="E",
        patient="P",
        may_record=may_record,
        consent="signed" if may_record else "missing",
        planned_minutes=minutes,
        automatic=automatic,
    )


def after(minutes: float) -> dt.datetime:
    return NINE + dt.timedelta(minutes=minutes)


def test_an_automatic_visit_is_begun_at_its_time_and_ended_at_its_end() -> None:
    table, day = Timetable(20), [visit()]
    assert table.wish(day, after(-0.1), None) is None
    assert table.wish(day, after(0), None) == Wish("start", "c0")
    assert table.wish(day, after(19.9), "c0", begun={"c0"}) is None
    assert table.wish(day, after(20), "c0", is_over=True, begun={"c0"}) == Wish("stop", "c0")


def test_what_could_not_begin_is_wished_for_again_but_not_for_ever() -> None:
    table, day = Timetable(20), [visit()]
    assert table.wish(day, after(1), None) == table.wish(day, after(2), None) == Wish("start", "c0")
    assert table.wish(day, NINE + LATE, None) is None


def test_a_person_who_stops_early_or_goes_on_longer_is_obeyed() -> None:
    table, day = Timetable(20), [visit()]
    assert table.wish(day, after(6), None, begun={"c0"}) is None, "stopped by hand: not begun again"
    assert table.wish(day, after(20), "c0", is_over=True) == Wish("stop", "c0")
    assert table.wish(day, after(21), "c0", is_over=True) is None, "somebody let it go on"


def test_who_is_recorded_late_by_hand_is_not_cut_off_at_the_end_that_was_planned() -> None:
    assert Timetable(20).wish([visit()], after(25), "c0") is None


def test_without_consent_or_without_being_asked_nothing_begins_by_itself() -> None:
    assert Timetable(20).wish([visit(may_record=False)], after(1), None) is None
    assert Timetable(20).wish([visit(automatic=False)], after(1), None) is None
    assert Timetable(20).wish([visit(automatic=False)], after(30), "c0") is None


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans()), max_size=60))
def test_nothing_is_ever_begun_while_something_runs(steps: list[tuple[float, bool]]) -> None:
    table, day = Timetable(20), [visit(0), visit(1, may_record=False), visit(2)]
    running: str | None = None
    begun: set[str] = set()
    for minute, works in sorted(steps):
        wish = table.wish(day, after(minute), running, is_over=works, begun=begun)
        if wish is not None:
            assert wish.consultation != "c1"
            assert (wish.action == "start") == (running is None)
            assert wish.action == "stop" or wish.consultation not in begun
            if wish.action == "start" and works:
                running = wish.consultation
                begun.add(running)
            elif wish.action == "stop":
                assert running == wish.consultation
                running = None
