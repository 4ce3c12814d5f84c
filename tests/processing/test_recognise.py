from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from config.errors import FaceCountWrong, MediaRejected, PhotoTooPoor
from config.settings import VisionSettings
from processing.detectors import open_detector
from processing.faces import Detections, detect_faces
from processing.media import no_progress
from processing.recognise import LOOK_SCORE, SIGHT_S, _in_sight, keep_enrolled, make_template
from processing.tracks import Track, link
from tests.processing import clips

SETTINGS = VisionSettings(detect_width_px=320)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.consultation_clip(tmp_path_factory.mktemp("recognise") / "clip.mp4", 40)


@pytest.fixture(scope="module")
def found(clip: Path) -> Detections:
    return detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)


@pytest.fixture(scope="module")
def expert_template() -> bytes:
    return make_template(clips.expert_photo())


def side(track: Track) -> str:
    return "expert" if track.looks[0].box[0] < 320 else "patient"


def test_the_enrolled_expert_is_kept_and_the_patient_is_not(
    clip: Path, found: Detections, expert_template: bytes
) -> None:
    tracks = keep_enrolled(clip, link(found), [expert_template], SETTINGS, no_progress)
    assert {(side(track), track.decision, track.reason) for track in tracks} == {
        ("expert", "keep", "enrolled-expert"),
        ("patient", "blur", "default"),
    }


def test_nothing_but_the_decision_changes_so_no_encoding_leaves(
    clip: Path, found: Detections, expert_template: bytes
) -> None:
    before = link(found)
    after = keep_enrolled(clip, before, [expert_template], SETTINGS, no_progress)
    assert [replace(track, decision="blur", reason="default") for track in after] == before


def test_nobody_is_kept_without_templates_and_the_video_is_not_even_opened(found: Detections) -> None:
    tracks = link(found)
    assert keep_enrolled(Path("/nowhere"), tracks, [], SETTINGS, no_progress) == tracks


def test_a_track_in_which_two_people_were_mixed_up_is_blurred(
    clip: Path, found: Detections, expert_template: bytes
) -> None:
    expert, patient = sorted(link(found), key=side)
    mixed = replace(expert, looks=(*expert.looks[:-2], *patient.looks[-2:]))
    (judged,) = keep_enrolled(clip, [mixed], [expert_template], SETTINGS, no_progress)
    assert judged.decision == "blur"


def test_who_was_lost_for_a_moment_or_jumped_was_out_of_sight(found: Detections) -> None:
    expert = next(track for track in link(found) if side(track) == "expert")
    assert _in_sight(expert, found.fps)
    before, after = expert.looks[:3], expert.looks[6:]
    assert after[0].frame - before[-1].frame > SIGHT_S * found.fps
    assert not _in_sight(replace(expert, looks=(*before, *after)), found.fps)
    x0, y0, x1, y1 = expert.looks[3].box
    beside = replace(expert.looks[3], box=(x0 + (x1 - x0) / 3, y0, x1 + (x1 - x0) / 3, y1))
    assert not _in_sight(replace(expert, looks=(*before, beside, *expert.looks[4:])), found.fps)


def test_parts_where_tracks_lay_over_each_other_and_short_ones_are_never_kept(
    clip: Path, found: Detections, expert_template: bytes
) -> None:
    expert = next(track for track in link(found) if side(track) == "expert")
    overlap = replace(expert, reason="overlap")
    brief = replace(expert, looks=expert.looks[:2])
    judged = keep_enrolled(clip, [overlap, brief], [expert_template], SETTINGS, no_progress)
    assert [track.decision for track in judged] == ["blur", "blur"]


def test_a_template_is_128_numbers_and_the_same_each_time(expert_template: bytes) -> None:
    values = np.frombuffer(expert_template, "<f8")
    assert values.shape == (128,)
    assert np.isfinite(values).all()
    assert make_template(clips.expert_photo()) == expert_template


@pytest.mark.parametrize("faces", [0, 2])
def test_a_photograph_without_exactly_one_face_is_refused(tmp_path: Path, faces: int) -> None:
    patient = cv2.imread(str(clips.patient_photo()))
    assert patient is not None
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.hstack([patient] * faces) if faces else np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(FaceCountWrong) as caught:
        make_template(photo)
    assert caught.value.data == {"name": "photo.png", "faces": faces}


@pytest.mark.parametrize(
    ("side_px", "light", "shaken_px", "noise"),
    [(60, 1.0, 1, 0.0), (400, 0.12, 15, 0.0), (400, 0.08, 15, 2.0)],
)
def test_a_photograph_too_small_or_shaken_in_the_dark_to_know_somebody_by_is_refused(
    tmp_path: Path, side_px: int, light: float, shaken_px: int, noise: float
) -> None:
    good = cv2.imread(str(clips.expert_photo()))
    assert good is not None
    shaken = cv2.GaussianBlur(good, (shaken_px, shaken_px), 0)
    poor = cv2.resize(shaken, (side_px, side_px)) * light
    poor = np.asarray(
        (poor + noise * np.random.default_rng(1).standard_normal(poor.shape)).clip(0, 255), np.uint8
    )
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.copyMakeBorder(poor, 80, 80, 80, 80, cv2.BORDER_REPLICATE))
    with pytest.raises(PhotoTooPoor):
        make_template(tmp_path / "photo.png")


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(content)
    with pytest.raises(MediaRejected):
        make_template(photo)


def test_a_damaged_template_is_refused(clip: Path, found: Detections) -> None:
    with pytest.raises(MediaRejected):
        keep_enrolled(clip, link(found), [b"short"], SETTINGS, no_progress)


def test_the_encoding_is_that_of_face_recognition() -> None:
    import face_recognition

    pixels = face_recognition.load_image_file(str(clips.expert_photo()))
    template = np.frombuffer(make_template(clips.expert_photo()), "<f8")
    (theirs,) = face_recognition.face_encodings(pixels, model="small")
    assert np.linalg.norm(template - theirs) < 0.35


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_nobody_is_recognised_in_the_dark(tmp_path: Path, expert_template: bytes, noise: float) -> None:
    chance = np.random.default_rng(3)

    def dim() -> Iterator[np.ndarray]:
        for scene in clips.consultation(30):
            dimmed = cv2.GaussianBlur(scene.pixels, (9, 9), 0) * 0.15
            yield (dimmed + noise * chance.standard_normal(dimmed.shape)).clip(0, 255).astype(np.uint8)

    dark = clips.write_clip(tmp_path / "dark.mp4", dim())
    tracks = link(detect_faces(dark, open_detector(SETTINGS), SETTINGS, no_progress))
    assert any(look.score >= LOOK_SCORE for track in tracks for look in track.looks)
    judged_tracks = keep_enrolled(dark, tracks, [expert_template], SETTINGS, no_progress)
    assert {track.decision for track in judged_tracks} == {"blur"}


def test_a_performer_who_laughs_sings_and_turns_is_kept_by_a_photograph_and_nobody_of_the_audience(
    shared_media: Path,
) -> None:
    yunet = shared_media / "models" / "face_detection_yunet_2023mar.onnx"
    settings = VisionSettings(detector="yunet", yunet_path=str(yunet))
    clip = shared_media / "video" / "short_hamilton_clip.mp4"
    template = make_template(shared_media / "video" / "photos" / "lin-manuel-miranda.png")
    tracks = link(detect_faces(clip, open_detector(settings), settings, no_progress))
    (kept,) = (
        track
        for track in keep_enrolled(clip, tracks, [template], settings, no_progress)
        if track.decision == "keep"
    )
    # In the close-up; the shots before and after it show him small and among others.
    assert (kept.looks[0].frame, kept.looks[-1].frame) == (82, 210)
