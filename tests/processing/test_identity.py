from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import VisionSettings
from processing.identity import (
    DOUBT,
    LOOKS_TOGETHER,
    LOOKS_WHOLE,
    WHOLE_DOUBT,
    WHOLE_ONE_DOUBT,
    Identity,
    furthest_apart,
)

NEAR = VisionSettings().keep_distance
AXES = np.linalg.qr(np.random.default_rng(7).standard_normal((128, 128)))[0]


def looks_of_one_person(count: int, scatter: float, off: float, first: int = 0) -> list[np.ndarray]:
    """Encodings that lie ``scatter`` about a point ``off`` away from the template 0, each in a direction of its own.

    Whose ``first`` direction is another one is another person.
    """
    return [off * AXES[first] + scatter * AXES[first + 1 + number] for number in range(count)]


def judged(looks: list[np.ndarray | None], *, in_sight: bool = False) -> bool:
    """Whether these looks are the person whose template is 0; None: a look that is not good enough."""
    identity = Identity([np.zeros(128)], len(looks), VisionSettings(), in_sight=in_sight)
    for encoding in looks:
        if encoding is None:
            identity.pass_over()
        else:
            identity.hear(encoding)
    assert not identity.settled or not identity._heard, "encodings that nobody needs any more are kept"
    return identity.agrees


def test_what_differs_from_look_to_look_does_not_count_against_a_person() -> None:
    looks = looks_of_one_person(8, scatter=0.36, off=NEAR - 0.1)
    assert min(np.linalg.norm(look) for look in looks) > NEAR
    assert judged(looks)


def test_who_is_steadily_a_little_too_far_away_is_somebody_else() -> None:
    assert not judged(looks_of_one_person(8, scatter=0.02, off=NEAR + 0.02))


def test_one_look_that_cannot_be_the_person_blurs_the_whole_track() -> None:
    looks = looks_of_one_person(8, scatter=0.1, off=0.1)
    assert judged(looks)
    looks[3] = (NEAR + DOUBT + 0.01) * AXES[0]
    assert not judged(looks)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9), st.integers(3, 9), st.integers(0, 9))
def test_somebody_else_for_three_looks_blurs_the_whole_track(before: int, others: int, after: int) -> None:
    expert = looks_of_one_person(before + after, scatter=0.05, off=0.05)
    alike = looks_of_one_person(others, scatter=0.05, off=NEAR + 0.01, first=64)
    assert not judged([*expert[:before], *alike, *expert[before:]])


def test_too_few_good_looks_tell_nothing() -> None:
    looks = looks_of_one_person(3, scatter=0.1, off=0.1)
    assert judged([None, looks[0], None, looks[1], None, looks[2]])
    assert not judged([None, looks[0], None, looks[1], None])


def test_where_two_looks_in_a_row_tell_nothing_somebody_else_may_be() -> None:
    looks = looks_of_one_person(20, scatter=0.1, off=0.1)
    assert judged([*looks[:10], None, *looks[10:], None])
    assert not judged([*looks[:10], None, None, *looks[10:]])
    assert not judged([*looks, None, None])
    assert not judged([None, None, *looks])


def grimaces(count: int, off: float = NEAR - 0.1, further: float = 0.35) -> list[np.ndarray]:
    """Looks of one person who is steadily ``off`` from the template, and for the first six ``further`` in one more way."""
    return [off * AXES[0] + (further if number < 6 else 0.0) * AXES[1] for number in range(count)]


def test_who_was_never_out_of_sight_is_known_by_all_looks_together_however_they_laughed_for_some() -> None:
    looks = grimaces(24)
    assert np.linalg.norm(looks[0]) > NEAR
    assert judged(looks, in_sight=True)
    assert not judged(looks, in_sight=False)


def test_a_few_looks_of_somebody_in_sight_are_no_whole() -> None:
    looks = [grimaces(24)[number] for number in (3, 4, 5, *range(6, 24))]
    assert judged(looks, in_sight=True)
    assert not judged(looks[: LOOKS_WHOLE - 1], in_sight=True)


def test_who_is_steadily_too_far_away_is_somebody_else_also_in_sight() -> None:
    assert judged(grimaces(24, off=NEAR - 0.05, further=0.3), in_sight=True)
    assert not judged(grimaces(24, off=NEAR - 0.01, further=0.3), in_sight=True)


@pytest.mark.parametrize(
    ("count", "off"), [(1, NEAR + WHOLE_ONE_DOUBT + 0.01), (LOOKS_TOGETHER, NEAR + WHOLE_DOUBT + 0.01)]
)
def test_looks_that_cannot_be_the_person_blur_also_who_was_never_out_of_sight(count: int, off: float) -> None:
    looks = grimaces(24)
    looks[10 : 10 + count] = [off * AXES[0]] * count
    assert not judged(looks, in_sight=True)


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 20), st.integers(3, 20), st.integers(0, 20))
def test_somebody_alike_who_takes_the_place_of_the_expert_in_sight_blurs_the_whole_track(
    before: int, others: int, after: int
) -> None:
    expert = looks_of_one_person(before + after, scatter=0.05, off=0.05)
    alike = looks_of_one_person(others, scatter=0.05, off=NEAR + 0.01, first=64)
    assert not judged([*expert[:before], *alike, *expert[before:]], in_sight=True)


@settings(deadline=None, max_examples=20)
@given(st.integers(6, 14), st.integers(0, 2**16))
def test_the_furthest_part_is_found_as_by_trying_every_one(count: int, seed: int) -> None:
    looks = np.random.default_rng(seed).standard_normal((count, 128))
    ways = [
        np.linalg.norm(looks[a:b].mean(axis=0) - np.delete(looks, slice(a, b), axis=0).mean(axis=0))
        for a in range(count)
        for b in range(a + 3, count + 1)
        if count - (b - a) >= 3
    ]
    assert furthest_apart(list(looks)) == pytest.approx(max(ways))


def test_too_few_looks_have_no_parts() -> None:
    with pytest.raises(ValueError, match="5 looks"):
        furthest_apart([np.zeros(128)] * 5)
