"""Patience that is measured only while somebody watches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capture.attention import LONGEST_LOOK_S, Attention


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_time_that_is_looked_at_often_counts_in_full() -> None:
    clock = Clock()
    attention = Attention(clock)
    for _ in range(40):
        clock.now_s += 0.05
        watched_s = attention.look()
    assert abs(watched_s - 2.0) < 1e-9


@given(st.lists(st.floats(0, 3600), max_size=50))
def test_never_more_than_has_passed_and_never_more_than_one_look_for_one_look(steps: list[float]) -> None:
    clock = Clock()
    attention = Attention(clock)
    watched_s = 0.0
    for step in steps:
        clock.now_s += step
        before_s, watched_s = watched_s, attention.look()
        assert before_s <= watched_s <= before_s + min(step, LONGEST_LOOK_S) + 1e-9


def test_what_came_begins_it_anew() -> None:
    clock = Clock()
    attention = Attention(clock)
    clock.now_s += 0.2
    attention.look()
    attention.renew()
    assert attention.look() == 0.0
