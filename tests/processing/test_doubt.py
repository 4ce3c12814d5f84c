"""Any doubt blurs: look-alikes, an expert who turns away for long, an expert and a patient who cross."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from config.settings import MediaSettings, VisionSettings
from processing.blur import blur_file
from processing.detectors import CenterFaceDetector, open_detector
from processing.faces import detect_faces
from processing.frames import read_pictures
from processing.media import no_progress
from processing.recognise import keep_enrolled, make_template
from processing.suspects import structure
from processing.tracks import link
from tests.processing import clips

Pixels = NDArray[np.uint8]
SETTINGS = VisionSettings(detect_width_px=320)
HEAD_PX = 110


def heads_on(photo: Path) -> list[Pixels]:
    """Every head of a group photograph, its face ``HEAD_PX`` high: as many different people."""
    read = cv2.imread(str(photo))
    assert read is not None
    picture = np.ascontiguousarray(read[:, :, ::-1], np.uint8)
    wide = cv2.copyMakeBorder(picture, 100, 100, 100, 100, cv2.BORDER_REPLICATE)
    heads = []
    for x0, y0, x1, y1 in CenterFaceDetector(0.8).detect(picture)[:, :4].astype(float).tolist():
        if y1 - y0 > 40:
            width, height = x1 - x0, y1 - y0
            rows = slice(int(y0 + 100 - 0.45 * height), int(y1 + 100 + 0.4 * height))
            columns = slice(int(x0 + 100 - 0.45 * width), int(x1 + 100 + 0.45 * width))
            scale = HEAD_PX / height
            head = cv2.resize(wide[rows, columns], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            heads.append(np.asarray(head, np.uint8))
    return heads


def portrait(head: Pixels, out: Path) -> Path:
    framed = cv2.copyMakeBorder(head, 60, 60, 60, 60, cv2.BORDER_REPLICATE)
    cv2.imwrite(str(out), cv2.resize(framed, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)[:, :, ::-1])
    return out


def film(head: Pixels, out: Path, frames: int = 30) -> Path:
    def pictures() -> Iterator[Pixels]:
        for number in range(frames):
            scene = np.full((240, 320, 3), 105, np.uint8)
            left = 70 + round(20 * np.sin(number / 6))
            height, width = min(head.shape[0], 220), min(head.shape[1], 230)
            scene[20 : 20 + height, left : left + width] = head[:height, :width]
            yield scene

    return clips.write_clip(out, pictures())


def decisions(clip: Path, template: bytes) -> set[str]:
    found = detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)
    tracks = keep_enrolled(clip, link(found), [template], SETTINGS, no_progress)
    return {track.decision for track in tracks}


def encoding(head: Pixels, folder: Path) -> NDArray[np.float64]:
    return np.frombuffer(make_template(portrait(head, folder / "portrait.png")), "<f8")


@pytest.mark.parametrize("photo", ["linzaer_15.jpg", "linzaer_16.jpg"])
def test_the_most_alike_people_of_a_group_are_never_taken_for_each_other(
    shared_media: Path, tmp_path: Path, photo: str
) -> None:
    heads = heads_on(shared_media / "video" / "photos" / photo)
    assert len(heads) >= 7
    templates = np.array([encoding(head, tmp_path) for head in heads])
    distances = np.linalg.norm(templates[:, None] - templates[None], axis=2) + 9 * np.eye(len(heads))
    one, other = np.unravel_index(np.argmin(distances), distances.shape)
    assert distances[one, other] < 0.55
    assert decisions(film(heads[one], tmp_path / "one.mp4"), templates[one].tobytes()) == {"keep"}
    for enrolled, shown in ((one, other), (other, one)):
        clip = film(heads[shown], tmp_path / f"{shown}.mp4")
        assert decisions(clip, templates[enrolled].tobytes()) == {"blur"}


def test_an_expert_who_is_turned_away_for_long_is_blurred_for_somebody_else_may_sit_there_now(
    tmp_path: Path,
) -> None:
    """Four frames a second; a track goes on over the looks in between, but nobody can be recognised in them."""
    scenes = (scene.pixels for scene in clips.consultation(40, 320, 180))
    clip = clips.write_clip(tmp_path / "slow.mp4", scenes, pts=[250 * number for number in range(40)])
    found = detect_faces(clip, open_detector(SETTINGS), SETTINGS, no_progress)
    expert = next(track for track in link(found) if track.looks[0].box[0] < 160)
    template = make_template(clips.expert_photo())

    def judged(away: range) -> str:
        looks = tuple(replace(look, score=0.4) if look.frame in away else look for look in expert.looks)
        (track,) = keep_enrolled(clip, [replace(expert, looks=looks)], [template], SETTINGS, no_progress)
        return track.decision

    assert judged(range(0)) == "keep"
    assert judged(range(8, 16)) == "keep"
    assert judged(range(6, 34)) == "blur"


def crossing(frames: int) -> Iterator[clips.Scene]:
    """The expert walks to the right, the patient, nearer to the camera, to the left and before the expert."""
    behind, before = clips.expert(150), clips.patient(150)
    for number in range(frames):
        share = number / (frames - 1)
        pixels = np.full((270, 480, 3), 105, np.uint8)
        a = behind.draw(pixels, round(10 + 320 * share), 50)
        b = before.draw(pixels, round(340 - 330 * share), 60)
        yield clips.Scene(pixels, a, b)


def grey(pixels: Any) -> Pixels:
    return np.asarray(pixels.mean(axis=2), np.uint8)


def test_where_an_expert_and_a_patient_cross_the_patient_is_hidden_in_every_frame(tmp_path: Path) -> None:
    scenes = list(crossing(40))
    clip = clips.write_clip(tmp_path / "crossing.mp4", (scene.pixels for scene in scenes))
    out = tmp_path / "out.mp4"
    report = blur_file(
        clip,
        out,
        vision=SETTINGS,
        media=MediaSettings(),
        keep_photos=[clips.expert_photo()],
        progress=no_progress,
    )
    assert "keep" in {track["decision"] for track in report.tracks}
    for picture, scene in zip(read_pictures(out), scenes, strict=True):
        left = structure(grey(picture.rgb()), scene.patient) / structure(grey(scene.pixels), scene.patient)
        assert left < 0.1, picture.index
