"""What makes other tools leak: each case through both passes, judged in every frame by where its maker put the faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from config.settings import MediaSettings, VisionSettings
from processing.blur import render
from processing.detectors import open_detector
from processing.faces import detect_faces
from processing.frames import read_pictures
from processing.geometry import Box
from processing.media import no_progress
from processing.suspects import STRUCTURE_LEFT, structure
from processing.tracks import link
from tests.processing import clips
from tests.processing.clips import Actor, Pixels

FRAMES = 24
# A face with less structure than this cannot be recognised in the original either.
FLAT = 20.0

Frame = tuple[Pixels, list[Box]]
Case = Callable[[], Iterator[Frame]]


def wall(width_px: int = 640, height_px: int = 360) -> Pixels:
    coarse = np.random.default_rng(11).integers(90, 125, (height_px // 12, width_px // 12, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.uint8)


def reshaped(actor: Actor, across: float, down: float) -> Actor:
    """The head as a turned or bowed one is seen: narrower or lower."""
    pixels = cv2.resize(actor.pixels, None, fx=across, fy=down, interpolation=cv2.INTER_AREA)
    x0, y0, x1, y1 = actor.face
    return Actor(np.asarray(pixels, np.uint8), (x0 * across, y0 * down, x1 * across, y1 * down))


def covered(actor: Actor, top: float, bottom: float, colour: tuple[int, int, int]) -> Actor:
    """The head with a band of its face hidden: a mask, a hand, dark glasses. Shares of the face's height."""
    pixels = actor.pixels.copy()
    x0, y0, x1, y1 = actor.face
    height = y1 - y0
    band = slice(int(y0 + top * height), int(y0 + bottom * height)), slice(int(x0), int(x1))
    pixels[band] = colour
    return Actor(cv2.GaussianBlur(pixels, (3, 3), 0).astype(np.uint8), actor.face)


def standing(actor: Actor, left: int = 300, top: int = 90, step: int = 2) -> Iterator[Frame]:
    for number in range(FRAMES):
        scene = wall()
        yield scene, [actor.draw(scene, left + step * number, top)]


def at_the_edge() -> Iterator[Frame]:
    head = clips.patient(220)
    # Its face lies at 29 % to 71 % of the head: half of it is left of the picture.
    return standing(head, left=-round(head.pixels.shape[1] * 0.5), step=0)


def a_third_at_the_edge() -> Iterator[Frame]:
    head = clips.patient(260)
    x0, _, x1, _ = head.face
    return standing(head, left=-round(x1 - 0.3 * (x1 - x0)), top=40, step=0)


def walking_out() -> Iterator[Frame]:
    return standing(clips.patient(200), left=430, step=9)


def fast() -> Iterator[Frame]:
    head = clips.patient(160)
    for number in range(FRAMES):
        scene = wall()
        yield scene, [head.draw(scene, round(260 + 220 * np.sin(number / 2.2)), 90)]


def crossing() -> Iterator[Frame]:
    left, right = clips.expert(170), clips.patient(190)
    for number in range(FRAMES):
        scene = wall()
        behind = left.draw(scene, 60 + 15 * number, 100)
        before = right.draw(scene, 430 - 15 * number, 90)
        seen = [before]
        if abs(behind[0] - before[0]) > 120:
            seen.append(behind)
        yield scene, seen


def near() -> Iterator[Frame]:
    head = clips.patient(1700)
    for number in range(8):
        scene = wall(1920, 1080)
        yield scene, [head.draw(scene, 200 + 4 * number, -250)]


def far() -> Iterator[Frame]:
    return standing(clips.patient(53), step=1)


def dark_with_a_lamp() -> Iterator[Frame]:
    for scene, faces in standing(clips.patient(200)):
        dim = (scene * 0.22).astype(np.uint8)
        cv2.circle(dim, (90, 60), 45, (255, 255, 250), -1)
        yield dim, faces


def on_a_screen() -> Iterator[Frame]:
    head = clips.patient(120)
    for number in range(FRAMES):
        scene = wall()
        cv2.rectangle(scene, (240, 60), (470, 230), (20, 20, 24), -1)
        shown = np.clip(head.pixels * 0.6 + (50, 55, 75), 0, 255)
        shown[::3] = shown[::3] * 0.9
        yield scene, [Actor(shown.astype(np.uint8), head.face).draw(scene, 300, 80 + number // 8)]


def fading_in() -> Iterator[Frame]:
    for number, (scene, faces) in enumerate(standing(clips.patient(200))):
        yield (scene * min(1.0, number / 18)).astype(np.uint8), faces


def cut_to_and_fro() -> Iterator[Frame]:
    shots = [standing(clips.patient(200), left=80), standing(clips.expert(230), left=380, top=20)]
    for number, (one, two) in enumerate(zip(*shots, strict=True)):
        scene, faces = (one, two)[number // 5 % 2]
        yield (255 - scene // 3 if number // 5 % 2 else scene), faces


CASES: dict[str, Case] = {
    "turned": lambda: standing(reshaped(clips.patient(220), 0.62, 1.0)),
    "looking-down": lambda: standing(reshaped(clips.patient(220), 1.0, 0.68)),
    "hand-over-the-mouth": lambda: standing(covered(clips.patient(220), 0.6, 1.0, (196, 150, 128))),
    "mask": lambda: standing(covered(clips.patient(220), 0.45, 1.02, (150, 190, 215))),
    "dark-glasses": lambda: standing(covered(clips.patient(220), 0.22, 0.42, (15, 15, 18))),
    "half-a-face-at-the-edge": at_the_edge,
    "a-third-of-a-face-at-the-edge": a_third_at_the_edge,
    "walking-out-of-the-picture": walking_out,
    "fast": fast,
    "crossing": crossing,
    "very-large": near,
    "20-px": far,
    "dark-with-a-lamp": dark_with_a_lamp,
    "on-a-screen": on_a_screen,
    "fading-in": fading_in,
    "cuts": cut_to_and_fro,
}


@pytest.fixture(params=["centerface", "yunet"])
def vision(request: pytest.FixtureRequest) -> VisionSettings:
    if request.param == "centerface":
        return VisionSettings()
    model = request.getfixturevalue("shared_media") / "models" / "face_detection_yunet_2026may.onnx"
    return VisionSettings(detector="yunet", yunet_path=str(model))


def leaks(case: Case, clip: Path, vision: VisionSettings) -> list[tuple[int, float]]:
    """Frames in which more than a quarter of a face's structure is left, and how much."""
    frames = list(case())
    clips.write_clip(clip, (pixels for pixels, _ in frames))
    out = clip.with_name("out.mp4")
    tracks = link(detect_faces(clip, open_detector(vision), vision, no_progress))
    render(clip, tracks, out, style="blur", media=MediaSettings(), progress=no_progress)
    found, judged = [], 0
    for before, after, (_, faces) in zip(read_pictures(clip), read_pictures(out), frames, strict=True):
        for face in faces:
            was = structure(before.luma(), face)
            if was > FLAT:
                judged += 1
                share = structure(after.luma(), face) / was
                if share > STRUCTURE_LEFT:
                    found.append((before.index, round(share, 2)))
    assert judged >= min(5, len(frames) // 2), "the case shows no face that could be recognised"
    return found


@pytest.mark.parametrize("name", list(CASES))
def test_a_hard_case_leaks_in_no_frame(name: str, tmp_path: Path, vision: VisionSettings) -> None:
    assert leaks(CASES[name], tmp_path / "clip.mp4", vision) == []
