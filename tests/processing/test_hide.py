from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from processing import hide
from processing.hide import REMEMBERED_BYTES

SHAPE = (200, 320)
PLACES = st.tuples(st.floats(-300, 500), st.floats(-300, 500))
SIZES = st.tuples(st.integers(4, 900), st.integers(4, 900))


@settings(deadline=None)
@given(PLACES, SIZES, st.sampled_from([1, 2]))
def test_what_is_taken_for_the_solid_part_of_a_cover_is_drawn_as_if_it_were_blended(
    middle: tuple[float, float], size: tuple[int, int], scale: int
) -> None:
    cover = hide._rounded(middle, size, scale, SHAPE)
    if cover is None:
        return
    plane = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)
    blended = plane.copy()
    region = blended[cover.rows, cover.columns]
    hidden = hide._obscure(region, cover.cells, "mosaic")
    cv2.blendLinear(hidden, region, cover.alpha, cover.clear, dst=region)
    hide._draw(plane, cover, "mosaic")
    assert (cover.alpha[cover.solid] == 1).all()
    assert np.array_equal(plane, blended)


def test_most_of_a_large_cover_is_solid() -> None:
    cover = hide._rounded((640.0, 360.0), (400, 500), 1, (720, 1280))
    assert cover is not None
    assert cover.alpha[cover.solid].size > 0.55 * cover.alpha.size


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(2, 60), st.integers(2, 60)), max_size=40))
def test_covers_are_remembered_as_far_as_there_is_room_and_are_always_right(
    sizes: list[tuple[int, int]],
) -> None:
    most_bytes = 40_000
    remembered = hide._Remembered(most_bytes)
    for size in sizes:
        assert all(
            np.array_equal(ours, made)
            for ours, made in zip(remembered.opaque(*size), hide._opaque(*size), strict=True)
        )
        held = [hide._bytes(cover) for cover in remembered._covers.values()]
        assert sum(held) == most_bytes - remembered._left_bytes <= most_bytes


def test_two_faces_that_fill_a_full_hd_picture_are_remembered() -> None:
    remembered = hide._Remembered(REMEMBERED_BYTES)
    sizes = [(960, 1080), (480, 540), (928, 1088), (464, 544)]
    first = [remembered.opaque(*size)[0] for size in sizes]
    assert all(remembered.opaque(*size)[0] is cover for size, cover in zip(sizes, first, strict=True))
