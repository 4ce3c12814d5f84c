from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from config.errors import EmptyMedia, NotMedia, NoVideo
from config.settings import VisionSettings
from processing.detectors import CLOSER_PX, Boxes, CenterFaceDetector, open_detector
from processing.faces import Detections, detect_faces
from processing.frames import Picture8 as Pixels
from processing.frames import read_pictures
from processing.media import no_progress
from processing.tracks import link
from tests.processing import clips

SETTINGS = VisionSettings(detect_width_px=320)
YUNET = VisionSettings(detector="yunet")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Detections:
    clip = clips.consultation_clip(tmp_path_factory.mktemp("faces") / "calm.mp4", 40)
    return detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)


def test_both_faces_are_found_in_every_examined_frame(calm: Detections) -> None:
    truth = list(clips.consultation(calm.frames))
    for look in calm.looks:
        for face in (truth[look.frame].expert, truth[look.frame].patient):
            middle = ((face[0] + face[2]) / 2, (face[1] + face[3]) / 2)
            assert any(b[0] < middle[0] < b[2] and b[1] < middle[1] < b[3] for b in look.boxes), look.frame


def test_a_calm_picture_is_examined_five_times_a_second_and_the_ends_always(calm: Detections) -> None:
    frames = [look.frame for look in calm.looks]
    assert frames[0] == 0
    assert frames[-1] == calm.frames - 1
    assert max(b - a for a, b in pairwise(frames)) <= 5
    assert len(frames) < calm.frames / 2


def test_detections_survive_json(calm: Detections) -> None:
    assert Detections.from_dict(json.loads(json.dumps(calm.to_dict()))) == calm


class CountingDetector:
    """Finds nothing, and remembers how wide the pictures were that it was shown."""

    name = "counting"

    def __init__(self) -> None:
        self.widths: list[int] = []

    def detect(self, frame_rgb: np.ndarray) -> np.ndarray:
        self.widths.append(max(frame_rgb.shape[:2]))
        return np.empty((0, 5), np.float32)


def test_both_sides_of_a_cut_are_examined_and_no_picture_is_above_the_set_width(tmp_path: Path) -> None:
    shots = [np.full((360, 1280, 3), level, np.uint8) for level in [30] * 13 + [160] * 14]
    clip = clips.write_clip(tmp_path / "cut.mp4", iter(shots))
    detector = CountingDetector()
    found = detect_faces(clip, detector, SETTINGS, no_progress)
    assert found.cuts == (13,)
    assert {12, 13} <= {look.frame for look in found.looks}
    assert max(detector.widths) <= SETTINGS.detect_width_px


def test_movement_is_examined_in_every_frame(tmp_path: Path) -> None:
    def pictures() -> list[np.ndarray]:
        frames = []
        for number in range(20):
            pixels = np.full((360, 640, 3), 60, np.uint8)
            pixels[60:300, 28 * number : 28 * number + 160] = 200
            frames.append(pixels)
        return frames

    clip = clips.write_clip(tmp_path / "walk.mp4", iter(pictures()))
    found = detect_faces(clip, CountingDetector(), SETTINGS, no_progress)
    assert len(found.looks) >= 18


def test_a_rotated_phone_video_is_looked_at_upright(tmp_path: Path) -> None:
    lying = (np.ascontiguousarray(np.rot90(scene.pixels)) for scene in clips.consultation(12))
    clip = clips.rotated(
        clips.write_clip(tmp_path / "lying.mp4", lying), tmp_path / "phone.mp4", clockwise_deg=90
    )
    picture = next(read_pictures(clip))
    assert picture.size_px == (640, 360)
    found = detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)
    assert (found.width_px, found.height_px) == (640, 360)
    assert all(len(look.boxes) == 2 for look in found.looks)


def test_what_is_no_video_is_named_and_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    with pytest.raises(NotMedia) as caught:
        detect_faces(text, CountingDetector(), SETTINGS, no_progress)
    assert caught.value.data["name"] == "notes.mp4"
    sound = clips.sound_only(tmp_path / "sound.m4a")
    with pytest.raises((NoVideo, EmptyMedia)):
        detect_faces(sound, CountingDetector(), SETTINGS, no_progress)


def test_a_face_that_flashes_up_for_three_frames_is_found_in_all_of_them(tmp_path: Path) -> None:
    scenes = [scene.pixels for scene in clips.consultation(43)]
    wall = np.full_like(scenes[0], 40)
    shown = [scenes[number] if 20 <= number < 23 else wall for number in range(43)]
    clip = clips.write_clip(tmp_path / "flash.mp4", iter(shown))
    found = detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)
    assert found.cuts == (20, 23)
    assert {look.frame for look in found.looks if len(look.boxes) == 2} >= {20, 22}
    tracks = link(found)
    for scene, frame in zip(clips.consultation(23), range(23), strict=True):
        if frame >= 20:
            for face in (scene.expert, scene.patient):
                areas = [area for track in tracks if (area := track.area_at(frame))]
                assert any(a[0] < face[0] and a[1] < face[1] + 12 and a[2] > face[2] for a in areas)


def test_a_small_face_that_flashes_up_between_two_looks_is_found(tmp_path: Path) -> None:
    head = clips.patient(40)

    def pictures() -> Iterator[Pixels]:
        for number in range(20):
            scene = np.full((360, 640, 3), 105, np.uint8)
            if 11 <= number < 14:
                head.draw(scene, 420, 130)
            yield scene

    clip = clips.write_clip(tmp_path / "flash.mp4", pictures())
    found = detect_faces(clip, CenterFaceDetector(0.175), VisionSettings(), no_progress)
    assert not found.cuts
    (track,) = link(found)
    assert track.first_frame <= 11 and track.last_frame >= 13


class ShortSighted:
    """CenterFace that sees no small faces but in a closer look."""

    name = "centerface"

    def __init__(self) -> None:
        self._eyes = CenterFaceDetector(0.175)

    def detect(self, frame_rgb: Pixels) -> Boxes:
        boxes = self._eyes.detect(frame_rgb)
        closer = frame_rgb.shape[0] == frame_rgb.shape[1]
        return boxes if closer else boxes[boxes[:, 3] - boxes[:, 1] >= 50]


def test_who_walks_away_until_they_are_too_small_to_be_found_is_followed_all_the_same(tmp_path: Path) -> None:
    faces = []

    def pictures() -> Iterator[Pixels]:
        for number in range(50):
            scene = np.full((360, 640, 3), 105, np.uint8)
            head = clips.patient(170 - 2 * number)
            faces.append(head.draw(scene, 40 + 7 * number, 60 + number))
            yield scene

    clip = clips.write_clip(tmp_path / "away.mp4", pictures())
    detections = detect_faces(clip, ShortSighted(), VisionSettings(), no_progress)
    assert faces[-1][3] - faces[-1][1] < 40
    (track,) = link(detections)
    for number, (x0, y0, x1, y1) in enumerate(faces):
        area = track.area_at(number)
        assert area is not None, number
        assert area[0] < x0 + 3 and area[1] < y0 + 3 and area[2] > x1 - 3 and area[3] > y1 - 3, number


class UnsureOfSmall(ShortSighted):
    """CenterFace that hardly believes small faces but in a closer look."""

    def detect(self, frame_rgb: Pixels) -> Boxes:
        boxes = self._eyes.detect(frame_rgb)
        if frame_rgb.shape[0] != frame_rgb.shape[1]:
            boxes[boxes[:, 3] - boxes[:, 1] < 50, 4] = 0.2
        return boxes


@pytest.mark.parametrize(("head_px", "followed"), [(34, True), (80, False)])
def test_a_face_hardly_believed_because_it_is_small_is_followed_when_a_closer_look_is_sure(
    tmp_path: Path, head_px: int, followed: bool
) -> None:
    scene = np.full((360, 640, 3), 105, np.uint8)
    clips.patient(head_px).draw(scene, 420, 130)
    clip = clips.write_clip(tmp_path / "small.mp4", iter([scene] * 8))
    found = detect_faces(clip, UnsureOfSmall(), VisionSettings(), no_progress)
    assert all(look.boxes for look in found.looks)
    assert bool(link(found)) == followed


class HalfBeliever:
    """YuNet on a bad day: half believes every face, and with them a thing in the middle of the picture."""

    name = "yunet"
    believes = 0.65

    def __init__(self, *, again: bool) -> None:
        self._faces = CenterFaceDetector(0.5)
        self._again = again

    def detect(self, frame_rgb: Pixels) -> Boxes:
        boxes = self._faces.detect(frame_rgb)
        height, width = frame_rgb.shape[:2]
        side = 0.16 * height if width != height else CLOSER_PX / 2.6 if self._again else 0.0
        thing = [(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2, 0.0]
        boxes = np.vstack([boxes, np.asarray([thing], np.float32)])
        boxes[:, 4] = self.believes
        return boxes


@pytest.mark.parametrize("again", [True, False])
def test_faces_that_are_only_half_believed_are_followed_and_a_thing_beside_them_is_hidden_for_the_moment(
    tmp_path: Path, again: bool
) -> None:
    clip = clips.consultation_clip(tmp_path / "calm.mp4", 12)
    found = detect_faces(clip, HalfBeliever(again=again), YUNET, no_progress)
    for look, doubted in zip(found.looks, found.doubted, strict=True):
        assert sorted(box[4] for box in look.boxes) == [0.59, 0.65, 0.65]
        assert [box for box in look.boxes if box[4] < 0.6] == list(doubted.boxes)


@pytest.mark.parametrize("again", [True, False])
def test_where_nobody_is_only_what_is_found_again_is_hidden_for_the_moment(
    tmp_path: Path, again: bool
) -> None:
    wall = np.full((360, 640, 3), 90, np.uint8)
    clip = clips.write_clip(tmp_path / "wall.mp4", iter([wall] * 8))
    found = detect_faces(clip, HalfBeliever(again=again), YUNET, no_progress)
    assert all(box[4] < found.start_score for look in found.looks for box in look.boxes)
    assert [look.frame for look in found.doubted] == ([look.frame for look in found.looks] if again else [])
    assert bool(link(found)) == again


@pytest.mark.parametrize("name", ["again.mkv", "eat.mkv"])
def test_a_hand_or_a_printed_skull_is_not_hidden_for_longer_than_it_was_half_believed(
    shared_media: Path, name: str
) -> None:
    yunet = str(shared_media / "models" / "face_detection_yunet_2026may.onnx")
    settings = VisionSettings(detector="yunet", yunet_path=yunet)
    clip = shared_media / "video" / "asl" / name
    found = detect_faces(clip, open_detector(settings), settings, no_progress)
    tracks = link(found)
    face = max(tracks, key=lambda track: len(track.looks))
    assert (face.first_frame, face.last_frame) == (0, found.frames - 1)
    assert found.doubted
    assert all(
        track.last_frame - track.first_frame < 0.5 * found.fps for track in tracks if track is not face
    )
