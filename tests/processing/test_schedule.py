from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from processing.chains import Seen
from processing.geometry import Box, area_of
from processing.schedule import REST_GROWTH, REST_S, Schedule
from processing.tracks import Knot, Track

FPS = 25.0


def track(knots: list[tuple[int, Box]], number: int = 0) -> Track:
    areas = tuple(Knot(frame, box) for frame, box in knots)
    return Track(number, areas[0].frame, areas[-1].frame, (Seen(areas[0].frame, areas[0].box, 0.9),), areas)


@st.composite
def moving(draw: st.DrawFn) -> Track:
    knots, frame = [], draw(st.integers(0, 5))
    for _ in range(draw(st.integers(1, 8))):
        x, y = draw(st.floats(-50, 600)), draw(st.floats(-50, 300))
        knots.append((frame, (x, y, x + draw(st.floats(8, 300)), y + draw(st.floats(8, 300)))))
        frame += draw(st.integers(1, 12))
    return track(knots)


def contains(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


@given(st.lists(moving(), max_size=4))
def test_whatever_a_face_does_its_area_is_covered_in_every_frame_and_little_more(moves: list[Track]) -> None:
    tracks = [replace(each, id=number) for number, each in enumerate(moves)]
    schedule = Schedule(tracks, FPS)
    for frame in range(max((each.last_frame for each in tracks), default=0) + 2):
        wanted = [area for each in tracks if (area := each.area_at(frame)) is not None]
        covered = schedule.areas(frame)
        assert len(covered) == len(wanted)
        for area in wanted:
            assert any(contains(cover, area) for cover in covered)


@given(moving())
def test_an_area_rests_only_for_a_moment_and_grows_only_a_little_for_it(one: Track) -> None:
    schedule = Schedule([one], FPS)
    since, resting = one.first_frame, None
    for frame in range(one.last_frame + 1):
        covers = schedule.areas(frame)
        if covers and covers[0] != resting:
            since, resting = frame, covers[0]
            first = one.area_at(frame)
            assert first is not None
            assert area_of(resting) <= REST_GROWTH * area_of(first) * (1 + 1e-9)
    still = track([(0, (10.0, 10.0, 60.0, 60.0)), (99, (10.0, 10.0, 60.0, 60.0))])
    assert Schedule([still], FPS).areas(0) == [(10.0, 10.0, 60.0, 60.0)]
    assert since <= one.last_frame


def test_a_slow_face_is_covered_by_one_area_for_a_quarter_of_a_second() -> None:
    slow = track([(0, (100.0, 100.0, 200.0, 200.0)), (100, (150.0, 100.0, 250.0, 200.0))])
    schedule = Schedule([slow], FPS)
    areas = [schedule.areas(frame)[0] for frame in range(100)]
    assert len(set(areas)) <= -(-100 // round(REST_S * FPS)) + 1


def test_a_kept_face_is_not_covered() -> None:
    kept = replace(track([(0, (1.0, 1.0, 9.0, 9.0)), (9, (1.0, 1.0, 9.0, 9.0))]), decision="keep")
    assert Schedule([kept], FPS).areas(3) == []


def test_where_covers_meet_the_one_over_a_face_that_is_there_is_drawn_last() -> None:
    there, held = (100.0, 100.0, 150.0, 150.0), (130.0, 100.0, 180.0, 150.0)
    lost = replace(track([(0, held), (20, held)], 1), looks=(Seen(0, held, 0.9), Seen(5, held, 0.9)))
    seen = replace(track([(0, there), (20, there)], 0), looks=(Seen(0, there, 0.9), Seen(20, there, 0.9)))
    schedule = Schedule([lost, seen], FPS)
    assert [schedule.areas(frame)[-1] for frame in range(21)] == [held] * 6 + [there] * 15
