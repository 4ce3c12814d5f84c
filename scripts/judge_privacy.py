"""Judges what a privacy engine did to a video: leaks, over-blurring and whether a kept face stayed visible.

    python -m scripts.judge_privacy ORIGINAL OUTPUT [--yunet FILE] [--either] [--expert PHOTO] [--sheet SHEET.jpg]

Works on any engine's output, for it only compares two videos picture by picture. Faces are found in the
original by two detectors that share nothing: CenterFace, and YuNet where its file is given, else dlib's HOG. A
face counts when both agree, or with ``--either`` when one of them is sure. A face-frame leaks when more than a
quarter of its recognisable structure is left (Laplacian energy of its middle 60 %, resampled to 48x48); a dark
or flat face with next to none of it cannot be recognised in the original either and does not count. Prints one
JSON line; exits 1 when anything leaks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.detectors import CenterFaceDetector, Detector, HogDetector, YuNetDetector, find, iou
from processing.frames import Picture, Picture8, read_pictures, video_facts
from processing.geometry import Box
from processing.recognise import distance_to, make_template
from processing.suspects import structure

JUDGE_PX = 960
CENTERFACE_SCORE, YUNET_SCORE, HOG_SCORE = 0.5, 0.6, 0.3
SURE_SCORE = 0.75
AGREE_IOU = 0.35
LEAK_SHARE = 0.25
# A face with less structure than this (mean square of the Laplacian) is not recognisable to begin with.
FLAT_STRUCTURE = 20.0
# A pixel is visibly changed beyond this many grey levels in a mean over 4x4: coding noise stays below it.
VISIBLE_CHANGE, CHANGE_BLOCK_PX = 12.0, 4
FAR_FROM_FACE_S = 1.0
# A face is the expert's within this dlib distance, or where theirs was a moment ago (IoU) and not longer than this since they
# were known: who turns away or grimaces stays who they are. It stayed visible with this share of its structure.
EXPERT_DISTANCE, STRANGER_DISTANCE, SAME_PLACE_IOU, UNKNOWN_S, VISIBLE_SHARE = 0.5, 0.65, 0.5, 1.0, 0.5


class Expert:
    """Knows the expert's face from picture to picture, by a template of theirs."""

    def __init__(self, template: bytes, fps: float) -> None:
        self._template = template
        self._unknown_frames = UNKNOWN_S * fps
        self._known_at = -np.inf
        self._place = np.zeros(4)

    def is_at(self, picture: Picture, box: Box) -> bool:
        distance = distance_to(self._template, picture.pixels, box)
        if distance <= EXPERT_DISTANCE:
            self._known_at = picture.index
        elif (
            distance > STRANGER_DISTANCE
            or picture.index - self._known_at > self._unknown_frames
            or iou(self._place[None], np.asarray(box))[0] < SAME_PLACE_IOU
        ):
            return False
        self._place = np.asarray(box)
        return True


@dataclass
class Tally:
    """What was counted; ``leaks`` are (frame, box, share left)."""

    frames: int = 0
    face_frames: int = 0
    leaks: list[tuple[int, Box, float]] = field(default_factory=list)
    expert_frames: int = 0
    expert_visible: int = 0
    areas: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)
    face_at: list[int] = field(default_factory=list)

    def result(self, fps: float) -> dict[str, Any]:
        far = self._far_from_faces(fps)
        return {
            "frames": self.frames,
            "face_frames": self.face_frames,
            "leaks": len(self.leaks),
            "leak_rate": round(len(self.leaks) / max(1, self.face_frames), 5),
            "leak_at": [[frame, *map(round, box), round(left, 2)] for frame, box, left in self.leaks[:20]],
            "area_over_box_median": round(float(np.median(self.areas)), 2) if self.areas else None,
            "frames_far_from_faces": len(far),
            "far_changed_share_max": round(max(far, default=0.0), 4),
            "expert_frames": self.expert_frames,
            "expert_visible_share": round(self.expert_visible / self.expert_frames, 3)
            if self.expert_frames
            else None,
        }

    def _far_from_faces(self, fps: float) -> list[float]:
        reach = FAR_FROM_FACE_S * fps
        at = np.asarray(self.face_at, float)
        return [
            share
            for frame, share in enumerate(self.changed)
            if not at.size or np.abs(at - frame).min() > reach
        ]


def judge(
    original: Path, output: Path, detectors: Sequence[Detector], *, either: bool, expert: bytes | None
) -> tuple[Tally, float]:
    """Compare two videos of equal length. Raises SystemExit when they are not, and what reading them raises."""
    tally = Tally()
    fps = video_facts(original).fps
    known = Expert(expert, fps) if expert is not None else None
    for before, after in zip_longest(read_pictures(original), read_pictures(output)):
        if before is None or after is None:
            sys.exit(f"frame {tally.frames}: only one of the two videos has it")
        _compare(tally, before, after, detectors, either, known)
        tally.frames += 1
    return tally, fps


def _compare(
    tally: Tally,
    before: Picture,
    after: Picture,
    detectors: Sequence[Detector],
    either: bool,
    expert: Expert | None,
) -> None:
    was, left = before.luma(), after.luma()
    was = was[: left.shape[0], : left.shape[1]]
    faces = _faces(before, detectors, either)
    changed = _changed(was, left)
    tally.changed.append(float(changed.mean()))
    hidden_boxes = []
    for box in faces:
        if expert is not None and expert.is_at(before, box):
            tally.expert_frames += 1
            tally.expert_visible += structure(left, box) >= VISIBLE_SHARE * structure(was, box)
            continue
        recognisable = structure(was, box)
        tally.face_at.append(before.index)
        if recognisable < FLAT_STRUCTURE:
            continue
        tally.face_frames += 1
        hidden_boxes.append(box)
        share = structure(left, box) / recognisable
        if share > LEAK_SHARE:
            tally.leaks.append((before.index, box, share))
    if hidden_boxes:
        tally.areas.append(float(changed.sum()) / _area(hidden_boxes, changed.shape))


def _faces(picture: Picture, detectors: Sequence[Detector], either: bool) -> list[Box]:
    first, second = (find(picture, detector, JUDGE_PX) for detector in detectors)
    agreed = [box for box in first if (iou(second, box) > AGREE_IOU).any()]
    if either:
        seen = np.asarray(agreed, float).reshape(-1, 5)
        for box in (*first, *second):
            if box[4] >= SURE_SCORE and not (iou(seen, box) > AGREE_IOU).any():
                agreed.append(box)
                seen = np.vstack([seen, box])
    return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1, _ in agreed]


def _changed(was: Picture8, left: Picture8) -> NDArray[np.bool_]:
    """(H/4, W/4) blocks that look different."""
    size = (was.shape[1] // CHANGE_BLOCK_PX, was.shape[0] // CHANGE_BLOCK_PX)
    difference = cv2.absdiff(np.ascontiguousarray(was), np.ascontiguousarray(left))
    return np.asarray(cv2.resize(difference, size, interpolation=cv2.INTER_AREA) > VISIBLE_CHANGE)


def _area(boxes: Sequence[Box], shape: tuple[int, int]) -> float:
    covered = np.zeros(shape, bool)
    for x0, y0, x1, y1 in (tuple(round(value / CHANGE_BLOCK_PX) for value in box) for box in boxes):
        covered[max(0, y0) : max(1, y1), max(0, x0) : max(1, x1)] = True
    return float(max(1, covered.sum()))


def contact_sheet(output: Path, sheet: Path, every: int = 10, width_px: int = 240, columns: int = 8) -> None:
    """Every tenth picture of ``output`` side by side, to be looked at."""
    tiles = list(_tiles(output, every, width_px))
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    cv2.imwrite(str(sheet), np.vstack(rows)[:, :, ::-1])


def _tiles(output: Path, every: int, width_px: int) -> Iterator[Picture8]:
    for picture in read_pictures(output):
        if picture.index % every == 0:
            height_px = round(width_px * picture.size_px[1] / picture.size_px[0])
            yield np.asarray(cv2.resize(picture.rgb(640), (width_px, height_px)), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--yunet", type=Path, help="YuNet ONNX file: the second detector instead of HOG")
    parser.add_argument("--either", action="store_true", help="count also what one detector alone is sure of")
    parser.add_argument("--expert", type=Path, help="photograph of who should stay visible")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of every tenth frame")
    asked = parser.parse_args()
    second: Detector = YuNetDetector(asked.yunet, YUNET_SCORE) if asked.yunet else HogDetector(HOG_SCORE)
    detectors = [CenterFaceDetector(CENTERFACE_SCORE), second]
    expert = make_template(asked.expert) if asked.expert else None
    tally, fps = judge(asked.original, asked.output, detectors, either=asked.either, expert=expert)
    if asked.sheet:
        contact_sheet(asked.output, asked.sheet)
    print(json.dumps({"clip": asked.original.name, **tally.result(fps)}))
    sys.exit(1 if tally.leaks else 0)


if __name__ == "__main__":
    main()
