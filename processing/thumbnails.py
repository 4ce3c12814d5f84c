"""Pictures of alarms: our own output with the place in question hidden, so that one knows where to look.

They are never made from the original, and never show what was found, nor anybody's face: the person who answers
an alarm sees where it lies and what surrounds it, which tells a face from a hand or a lamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from processing.detectors import CenterFaceDetector, Detector, find
from processing.frames import Picture, Picture8, read_pictures
from processing.geometry import Box
from processing.hide import hide
from processing.moments import Alarm, has_place, thumbnail_of

if TYPE_CHECKING:
    from processing.suspects import Moment

MOST = 200
# Where one face was missed there may be more: whatever could be a face at all is hidden, and the whole picture is
# reduced to this before it is enlarged to what is shown, in which a face too small to be suspected is lost.
SUSPECT_SCORE = 0.15
DETAIL_PX, LONGEST_PX = 160, 640
JPEG_QUALITY = 80
# The hidden area reaches this share of the box's longer side beyond it all around: a box may hold half a face only.
MARGIN = 0.5
# What was found a little before or after is hidden too: between two examined frames a face does not vanish.
AROUND_S = 1.0
FRAME_BGR, FRAME_PX = (30, 40, 200), 2


def write_thumbnails(video: Path, alarms: Sequence[Alarm], moments: Sequence[Moment], out: Path) -> int:
    """Write a JPEG for each of the first ``MOST`` alarms of our output ``video`` into ``out``; tells how many.

    The worst moment's frame is shown, or the last one where the video has no such frame. Raises what reading
    the video raises.
    """
    if not alarms:
        return 0
    detector = CenterFaceDetector(SUSPECT_SCORE)
    due: dict[int, list[Alarm]] = {}
    for alarm in alarms[:MOST]:
        due.setdefault(alarm.frame, []).append(alarm)
    for picture, shown in _frames(video, due):
        places = [moment.box for moment in moments if abs(moment.time_s - picture.time_s) <= AROUND_S]
        places += [alarm.box for alarm in shown]
        places += _suspected(picture, detector)
        hidden, scale = _hidden(picture, places)
        for alarm in shown:
            target = out / thumbnail_of(alarm.id)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_framed(hidden, alarm.box, scale))
    return min(len(alarms), MOST)


def _frames(video: Path, due: dict[int, list[Alarm]]) -> Iterator[tuple[Picture, list[Alarm]]]:
    """Each frame that is due; decoding stops after the last of them."""
    waiting = dict(due)
    picture = None
    for picture in read_pictures(video):
        if picture.index in waiting:
            yield picture, waiting.pop(picture.index)
        if not waiting:
            return
    if picture is not None:
        for late in waiting.values():
            yield picture, late


def _suspected(picture: Picture, detector: Detector) -> list[Box]:
    """Whatever could be a face in the picture, also one that is kept: nobody has to be known in a thumbnail."""
    return [(x0, y0, x1, y1) for x0, y0, x1, y1, _ in find(picture, detector, LONGEST_PX).tolist()]


def _hidden(picture: Picture, boxes: Sequence[Box]) -> tuple[Picture8, float]:
    """A small BGR copy of the picture with everything in ``boxes`` hidden, and its size over the picture's."""
    canvas = picture.canvas()
    for box in boxes:
        if has_place(box):
            hide(canvas.planes, _grown(box), "blur")
    height, width = canvas.planes[0].shape
    scale = min(1.0, LONGEST_PX / max(width, height))
    bgr = canvas.frame.to_ndarray(format="bgr24")
    coarse = cv2.resize(bgr, _size(width, height, DETAIL_PX), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(coarse, _size(width, height, LONGEST_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(shown, np.uint8), scale


def _size(width: int, height: int, longest_px: int) -> tuple[int, int]:
    scale = min(1.0, longest_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _framed(hidden: Picture8, box: Box, scale: float) -> bytes:
    pixels = hidden.copy()
    if has_place(box):
        x0, y0, x1, y1 = (round(side * scale) for side in _grown(box))
        cv2.rectangle(pixels, (x0, y0), (x1, y1), FRAME_BGR, FRAME_PX)
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def _grown(box: Box) -> Box:
    more = MARGIN * max(box[2] - box[0], box[3] - box[1])
    return (box[0] - more, box[1] - more, box[2] + more, box[3] + more)
