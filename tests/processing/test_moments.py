from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.detectors import CenterFaceDetector
from processing.geometry import Box
from processing.moments import APART_S, LONGEST_S, Alarm, gather, thumbnail_of
from processing.suspects import Moment, structure
from processing.thumbnails import LONGEST_PX, MOST, write_thumbnails
from tests.processing import clips

FACE = (100.0, 100.0, 160.0, 180.0)
NOWHERE = (0.0, 0.0, 0.0, 0.0)
FRAMES = 30


def moment(
    time_s: float, box: Box = FACE, kind: str = "visible-face", score: float = 0.5, frame: int | None = None
) -> Moment:
    index = round(time_s * clips.FPS) if frame is None else frame
    return Moment(index, time_s, box, kind, score)  # type: ignore[arg-type]  # kinds that are yet to come


def spans(alarms: list[Alarm]) -> list[tuple[float, float, int]]:
    return [(alarm.first_s, alarm.last_s, alarm.count) for alarm in alarms]


def test_a_face_seen_again_and_again_in_one_place_is_asked_about_once() -> None:
    seen = [moment(n * 0.08, (100.0 + n, 100.0, 160.0 + n, 180.0), score=0.5 + n / 100) for n in range(20)]
    (alarm,) = gather("room", seen)
    assert (alarm.id, alarm.camera, alarm.kinds, alarm.count) == ("room-1", "room", ("visible-face",), 20)
    assert (alarm.first_s, alarm.last_s) == (0.0, seen[-1].time_s)
    assert (alarm.score, alarm.frame, alarm.box) == (seen[-1].score, seen[-1].frame, seen[-1].box)


@pytest.mark.parametrize(
    "other",
    [
        moment(APART_S + 0.04),
        moment(0.0, (170.0, 100.0, 230.0, 180.0)),
        moment(0.0, (145.0, 100.0, 205.0, 180.0)),
        moment(0.0, NOWHERE),
    ],
    ids=["later", "beside", "touching", "the whole picture"],
)
def test_what_may_be_somebody_else_is_asked_about_separately(other: Moment) -> None:
    assert len(gather("room", [moment(0.0), other])) == 2


def test_what_is_about_the_whole_picture_is_asked_about_once() -> None:
    assert spans(gather("room", [moment(1.0, NOWHERE), moment(1.5, NOWHERE)])) == [(1.0, 1.5, 2)]


def test_one_place_is_asked_about_once_whatever_was_found_there() -> None:
    (alarm,) = gather("room", [moment(0.0), moment(0.04, kind="gap")])
    assert alarm.kinds == ("gap", "visible-face")


def test_nobody_vouches_for_more_than_a_minute_at_once() -> None:
    alarms = gather("room", [moment(n * 0.5) for n in range(300)])
    assert [alarm.id for alarm in alarms] == ["room-1", "room-2", "room-3"]
    assert all(alarm.last_s - alarm.first_s <= LONGEST_S for alarm in alarms)


BOXES = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    *[st.integers(0, 120).map(float), st.integers(0, 120).map(float)],
    *[st.integers(0, 80).map(float), st.integers(0, 80).map(float)],
)
MOMENTS = st.lists(
    st.builds(
        moment,
        st.integers(0, 200).map(lambda n: n / 25),
        BOXES,
        st.sampled_from(["visible-face", "frames-missing", "kept-stranger"]),
        st.integers(0, 100).map(lambda n: n / 100),
    ),
    max_size=60,
)


@given(MOMENTS, st.randoms(use_true_random=False))
def test_every_moment_is_in_exactly_one_alarm_in_whatever_order_they_come(
    found: list[Moment], shuffler: random.Random
) -> None:
    alarms = gather("room", found)
    assert sum(alarm.count for alarm in alarms) == len(found)
    assert len({alarm.id for alarm in alarms}) == len(alarms)
    for each in found:
        assert any(each.kind in a.kinds and a.first_s <= each.time_s <= a.last_s for a in alarms)
    shuffler.shuffle(found)
    assert gather("room", found) == alarms


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the worst output there could be: two faces that nobody hid."""
    return clips.consultation_clip(tmp_path_factory.mktemp("moments") / "leak.mp4", FRAMES)


@pytest.fixture(scope="module")
def scenes() -> list[clips.Scene]:
    return list(clips.consultation(FRAMES))


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def faces_in(picture: np.ndarray) -> int:
    return len(CenterFaceDetector(0.3).detect(np.ascontiguousarray(picture[..., ::-1])))


def test_the_clip_itself_shows_two_faces(scenes: list[clips.Scene]) -> None:
    assert faces_in(np.ascontiguousarray(scenes[12].pixels[..., ::-1])) == 2


def test_a_thumbnail_shows_where_but_never_the_face_that_was_found(
    clip: Path, scenes: list[clips.Scene], tmp_path: Path
) -> None:
    truth = cv2.cvtColor(scenes[12].pixels, cv2.COLOR_RGB2GRAY)
    x0, y0, x1, y1 = scenes[12].patient
    found = [moment(0.48, (x0, y0, x1, y1)), moment(0.48, scenes[12].expert)]
    alarms = gather("room", found)
    write_thumbnails(clip, alarms, found, tmp_path)
    for alarm in alarms:
        picture = read(tmp_path / thumbnail_of(alarm.id))
        assert max(picture.shape) <= LONGEST_PX
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        assert structure(grey, (x0, y0, x1, y1)) < 0.05 * structure(truth, (x0, y0, x1, y1))
        assert faces_in(picture) == 0
        # What surrounds it is there, so that one sees what it was.
        corner = (slice(0, 60), slice(0, 60))
        assert np.abs(grey[corner].astype(int) - truth[corner]).mean() < 8


def assert_no_face_in_any_thumbnail(clip: Path, found: list[Moment], folder: Path) -> None:
    alarms = gather("room", found)
    write_thumbnails(clip, alarms, found, folder)
    for alarm in alarms:
        assert faces_in(read(folder / thumbnail_of(alarm.id))) == 0


@pytest.mark.parametrize("half", ["upper", "lower", "left"])
def test_a_box_that_caught_half_a_face_hides_all_of_it(
    clip: Path, scenes: list[clips.Scene], tmp_path: Path, half: str
) -> None:
    x0, y0, x1, y1 = scenes[12].patient
    across, down = (x0 + x1) / 2, (y0 + y1) / 2
    box = {"upper": (x0, y0, x1, down), "lower": (x0, down, x1, y1), "left": (x0, y0, across, y1)}[half]
    found = [moment(0.48, box), moment(0.48, scenes[12].expert)]
    assert_no_face_in_any_thumbnail(clip, found, tmp_path)


def test_a_face_found_a_little_earlier_or_later_is_hidden_in_a_thumbnail_too(
    clip: Path, scenes: list[clips.Scene], tmp_path: Path
) -> None:
    found = [moment(0.4, scenes[10].patient, score=0.9), moment(0.48, scenes[12].expert, kind="other")]
    assert_no_face_in_any_thumbnail(clip, found, tmp_path)


def test_a_face_that_nobody_found_is_not_in_a_thumbnail_either(
    clip: Path, scenes: list[clips.Scene], tmp_path: Path
) -> None:
    found = [moment(0.48, (0.0, 0.0, 30.0, 30.0))]
    write_thumbnails(clip, gather("room", found), found, tmp_path)
    picture = read(tmp_path / thumbnail_of("room-1"))
    assert faces_in(picture) == 0
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    truth = cv2.cvtColor(scenes[12].pixels, cv2.COLOR_RGB2GRAY)
    for face in (scenes[12].patient, scenes[12].expert):
        assert structure(grey, face) < 0.05 * structure(truth, face)


def test_a_moment_beyond_the_last_frame_or_without_a_place_has_a_picture_too(
    clip: Path, tmp_path: Path
) -> None:
    found = [moment(9.0, NOWHERE, kind="frames-missing", frame=225)]
    alarms = gather("room", found)
    assert write_thumbnails(clip, alarms, found, tmp_path) == 1
    assert read(tmp_path / thumbnail_of("room-1")).shape == (360, 640, 3)


def test_the_same_output_gives_the_same_thumbnails(
    clip: Path, scenes: list[clips.Scene], tmp_path: Path
) -> None:
    found = [moment(0.48, scenes[12].patient)]
    alarms = gather("room", found)
    for name in ("a", "b"):
        write_thumbnails(clip, alarms, found, tmp_path / name)
    first, second = ((tmp_path / name / thumbnail_of("room-1")).read_bytes() for name in ("a", "b"))
    assert first == second


def test_no_more_pictures_are_kept_than_agreed(clip: Path, tmp_path: Path) -> None:
    found = [moment(0.0, (float(n % 30) * 20, n // 30 * 30.0, n % 30 * 20.0 + 10, n // 30 * 30.0 + 10)) for n in range(250)]  # fmt: skip
    alarms = gather("room", found)
    assert len(alarms) == 250
    assert write_thumbnails(clip, alarms, found, tmp_path) == MOST
    assert len(list((tmp_path / "thumbnails").iterdir())) == MOST
