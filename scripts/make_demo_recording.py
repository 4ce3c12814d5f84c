"""Makes the demo recording: a consulting room with two moving faces, two microphones and a grey card.

The faces are public-domain photographs that lie inside two packages (matplotlib's ``grace_hopper.jpg`` is the
expert, scikit-image's ``astronaut.png`` the patient); nothing of them is kept in the repository. The expert sits
on the left. The patient turns away and half leaves the picture at 22–28 s, and is hidden behind a chart at 15 s.

    python scripts/make_demo_recording.py FOLDER
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_audio import render_tracks

Picture = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX, FPS, DURATION_S = 1280, 720, 25, 40.0
RATE_HZ = 48_000
HIDDEN_S = (15.0, 16.0)
TURN_S = (22.0, 28.0)

# The grey card (reflectance 0.18) stands on the desk. Lit by 800 lx at 4500 K, and seen by a camera whose
# exposure is locked so that this makes it a linear 0.40, it has the colour below.
CARD_PX = (592, 470, 688, 566)
CARD_LINEAR_Y = 0.40
CARD_CCT_K = 4500.0
ROOM_LUX = 800.0
CARD_REFLECTANCE = 0.18
EXPOSURE_S, F_NUMBER, ISO = 1 / 50, 2.8, 400.0


@dataclass(frozen=True)
class Person:
    """A photograph cut out softly. ``head`` is (x, y) of the middle of the head in the photograph."""

    picture: Picture
    mask: NDArray[np.float32]
    head: tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Where the head is (px), how large the photograph is drawn, and how far it has turned away (0…1)."""

    x: float
    y: float
    scale: float
    turn: float = 0.0


def expert_photo() -> Path:
    return Path(str(files("matplotlib"))) / "mpl-data" / "sample_data" / "grace_hopper.jpg"


def patient_photo() -> Path:
    return Path(str(files("skimage"))) / "data" / "astronaut.png"


def _person(
    photo: Path, head: tuple[int, int], head_axes: tuple[int, int], body: list[tuple[int, int]]
) -> Person:
    picture = cv2.imread(str(photo))
    if picture is None:
        raise FileNotFoundError(photo)
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.ellipse(mask, head, head_axes, 0, 0, 360, 255, -1)
    cv2.fillPoly(mask, [np.array(body, np.int32)], 255)
    soft = cv2.GaussianBlur(mask, (0, 0), 6).astype(np.float32) / np.float32(255)
    return Person(np.asarray(picture, np.uint8), soft, (float(head[0]), float(head[1])))


def _people() -> tuple[Person, Person]:
    expert = _person(
        expert_photo(),
        (262, 165),
        (118, 160),
        [(0, 600), (30, 400), (180, 310), (340, 310), (490, 390), (512, 600)],
    )
    patient = _person(
        patient_photo(),
        (226, 108),
        (88, 112),
        [(22, 512), (40, 310), (120, 165), (310, 165), (360, 290), (350, 512)],
    )
    return expert, patient


def card_colour() -> tuple[int, int, int]:
    """The grey card in 8-bit sRGB, (B, G, R), under a Planckian lamp of CARD_CCT_K.

    Chromaticity after Kang et al. (2002), as given by colour-science; sRGB after IEC 61966-2-1.
    """
    from colour import XYZ_to_sRGB, xy_to_XYZ
    from colour.temperature import CCT_to_xy_Kang2002

    xyz = xy_to_XYZ(CCT_to_xy_Kang2002(CARD_CCT_K)) * CARD_LINEAR_Y
    red, green, blue = np.clip(np.asarray(XYZ_to_sRGB(xyz)) * 255, 0, 255).round()
    return int(blue), int(green), int(red)


def _room() -> Picture:
    """The empty room: wall, window, shelf with drawers, desk, grey card."""
    room = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    fall = np.linspace(1.0, 0.82, HEIGHT_PX, dtype=np.float32)[:, None, None]
    room[:] = np.array([176, 196, 205], np.float32) * fall
    cv2.rectangle(room, (520, 40), (770, 330), (150, 120, 88), -1)
    for row in range(6):
        for column in range(5):
            x, y = 528 + column * 48, 48 + row * 46
            cv2.rectangle(room, (x, y), (x + 42, y + 40), (120, 160, 190), -1)
            cv2.circle(room, (x + 21, y + 22), 4, (60, 80, 95), -1)
    cv2.rectangle(room, (0, 560), (WIDTH_PX, HEIGHT_PX), (62, 92, 130), -1)
    cv2.line(room, (0, 560), (WIDTH_PX, 560), (40, 62, 92), 4)
    room += np.random.default_rng(7).normal(0, 1.2, room.shape).astype(np.float32)
    x0, y0, x1, y1 = CARD_PX
    cv2.rectangle(room, (x0 - 8, y0 - 8), (x1 + 8, y1 + 8), (25, 25, 25), -1)
    cv2.rectangle(room, (x0, y0), (x1, y1), card_colour(), -1)
    return np.clip(room, 0, 255).astype(np.uint8)


def expert_pose(t: float) -> Pose:
    return Pose(
        330 + 34 * math.sin(0.35 * t) + 9 * math.sin(1.9 * t),
        285 + 16 * math.sin(0.8 * t + 1),
        0.92 + 0.07 * math.sin(0.23 * t),
    )


def patient_pose(t: float) -> Pose:
    turn = 0.0
    if TURN_S[0] < t < TURN_S[1]:
        turn = math.sin(math.pi * (t - TURN_S[0]) / (TURN_S[1] - TURN_S[0])) ** 2
    return Pose(
        965 + 40 * math.sin(0.31 * t + 2) + 290 * turn,
        262 + 20 * math.sin(0.63 * t),
        1.05 + 0.13 * math.sin(0.29 * t + 1),
        turn,
    )


def _draw(frame: Picture, person: Person, pose: Pose) -> None:
    """Composite a person; turning away squeezes the head and shears it, as a yaw does at first order."""
    squeeze = 1 - 0.45 * pose.turn
    matrix = np.array(
        [
            [pose.scale * squeeze, -0.06 * pose.turn * pose.scale, 0.0],
            [0.05 * pose.turn * pose.scale, pose.scale, 0.0],
        ]
    )
    matrix[:, 2] = np.array([pose.x, pose.y]) - matrix[:, :2] @ np.array(person.head)
    height, width = person.mask.shape
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    x0, y0 = np.maximum(np.floor(corners.min(axis=1)), 0).astype(int)
    x1 = min(int(np.ceil(corners[0].max())), WIDTH_PX)
    y1 = min(int(np.ceil(corners[1].max())), HEIGHT_PX)
    if x1 <= x0 or y1 <= y0:
        return
    matrix[:, 2] -= (x0, y0)
    size = (x1 - x0, y1 - y0)
    picture = cv2.warpAffine(
        person.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = cv2.warpAffine(person.mask, matrix, size)[:, :, None]
    below = frame[y0:y1, x0:x1]
    below[:] = (picture * mask + below * (1 - mask)).astype(np.uint8)


def _hide(frame: Picture, t: float, pose: Pose) -> None:
    """A chart that passes in front of the patient and covers the whole head for HIDDEN_S."""
    entering_s = 0.4
    if not HIDDEN_S[0] - entering_s < t < HIDDEN_S[1] + entering_s:
        return
    outside = max(HIDDEN_S[0] - t, t - HIDDEN_S[1], 0.0) / entering_s
    left = int(pose.x - 190 + outside * 620)
    cv2.rectangle(frame, (left, 40), (left + 400, 540), (214, 226, 232), -1)
    for row in range(9):
        cv2.line(frame, (left + 30, 100 + row * 46), (left + 360, 100 + row * 46), (120, 126, 130), 3)


def _front(frame: Picture, room: Picture) -> None:
    """The desk and the card stand in front of the people."""
    frame[560:] = room[560:]
    x0, y0, x1, y1 = CARD_PX
    frame[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = room[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8]


def write_video(
    path: Path, seconds: float = DURATION_S, progress: Callable[[float], None] = lambda share: None
) -> None:
    """The camera's picture: H.264, WIDTH_PX x HEIGHT_PX at FPS, keyframes every two seconds, no sound."""
    room = _room()
    expert, patient = _people()
    total = round(seconds * FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.gop_size = 2 * FPS
        stream.options = {"preset": "veryfast", "crf": "18"}
        for index in range(total):
            t = index / FPS
            frame = room.copy()
            _draw(frame, expert, expert_pose(t))
            _draw(frame, patient, patient_pose(t))
            _hide(frame, t, patient_pose(t))
            _front(frame, room)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            progress((index + 1) / total)
        container.mux(stream.encode(None))


def write_sound(folder: Path, seconds: float = DURATION_S) -> None:
    """One 48 kHz WAV per microphone, and the turns that were really spoken as ``turns.json``."""
    sound = render_tracks(duration_s=DURATION_S, rate_hz=RATE_HZ)
    samples_wanted = round(seconds * RATE_HZ)
    for role, samples in sound.tracks.items():
        with av.open(str(folder / f"{role}.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
            pcm = np.clip(samples[:samples_wanted] * 32767, -32768, 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (folder / "turns.json").write_text(
        json.dumps(
            [asdict(turn) for turn in sound.turns if turn.end_s <= seconds], ensure_ascii=False, indent=1
        )
    )


def write_rig(folder: Path) -> None:
    """The rig that records these files, with the camera's calibration as measured in this room."""
    luminance = ROOM_LUX * CARD_REFLECTANCE / math.pi
    gain = luminance / (CARD_LINEAR_Y * F_NUMBER**2 / (EXPOSURE_S * ISO))
    x0, y0, x1, y1 = CARD_PX
    card = [round(v, 5) for v in (x0 / WIDTH_PX, y0 / HEIGHT_PX, x1 / WIDTH_PX, y1 / HEIGHT_PX)]
    (folder / "rig.toml").write_text(
        f"""\
# 示范录制 · the demo recording as a rig: one camera, two microphones, a grey card on the desk.
[[camera]]
name = "room"
role = "room"
input = "file"
source = "room.mp4"
codec = "copy"

[[microphone]]
name = "expert"
role = "expert"
input = "file"
source = "expert.wav"

[[microphone]]
name = "patient"
role = "patient"
input = "file"
source = "patient.wav"

[light]
camera = "room"
card = {card}
reflectance = {CARD_REFLECTANCE}

[light.calibration]
exposure_s = {EXPOSURE_S}
f_number = {F_NUMBER}
iso = {ISO}
k = {gain:.4f}
response = "srgb"
lux_uncertainty = 0.08
cct_uncertainty_k = 150.0
"""
    )


def make_recording(
    folder: Path, seconds: float = DURATION_S, progress: Callable[[float], None] = lambda share: None
) -> Path:
    """Everything into ``folder``: room.mp4, expert.wav, patient.wav, turns.json; returns its rig.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sound(folder, seconds)
    write_video(folder / "room.mp4", seconds, progress)
    write_rig(folder)
    return folder / "rig.toml"


if __name__ == "__main__":
    make_recording(Path(sys.argv[1]))
