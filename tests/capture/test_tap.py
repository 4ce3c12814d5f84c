"""What the time stamps of a picture stream say about where its time lies."""

from __future__ import annotations

import itertools
import os

import pytest

from capture.clock import DeviceClock
from capture.rig import Camera
from capture.tap import Tap
from tests.capture.test_recorder import wait_until

LATE_S = 0.15
FRAME_S = 0.04


class Pictures:
    """The pipe for stamps of one child; ``now_s`` is the clock of whoever reads it."""

    def __init__(self, camera: Camera) -> None:
        (shown, self._shown), (stamps, self._stamps) = os.pipe(), os.pipe()
        self.clock, self.now_s = DeviceClock(), 0.0
        self._tap = Tap(camera, (shown, stamps), self.clock, lambda: self.now_s, lambda _shown: None, 0.5)
        os.write(self._stamps, b"#tb 0: 1/90000\n")

    def come(self, at_s: float, decoded_s: float, shown_s: float) -> None:
        self.now_s = at_s
        os.write(
            self._stamps, f"0, {decoded_s * 90_000:.0f}, {shown_s * 90_000:.0f}, 3600, 9, 0x1\n".encode()
        )
        wait_until(lambda: self._tap.media_s >= shown_s)

    def end(self) -> None:
        os.close(self._shown)
        os.close(self._stamps)
        self._tap.join()


@pytest.mark.parametrize(
    ("kind", "source"),
    [("rtsp", "rtsp://10.0.0.9/live"), ("onvif", "http://10.0.0.9"), ("v4l2", "/dev/video0")],
)
def test_a_picture_of_a_network_camera_is_whole_when_the_next_one_begins(kind: str, source: str) -> None:
    camera = Camera.model_validate(
        {"name": "desk", "role": "desk", "input": kind, "source": source, "codec": "copy"}
    )
    pictures, held_s = Pictures(camera), FRAME_S if kind in ("rtsp", "onvif") else 0.0
    for number in range(1, 6):
        pictures.come(number * FRAME_S + held_s + LATE_S, number * FRAME_S, number * FRAME_S)
    assert pictures.clock.offset_s() == pytest.approx(LATE_S)
    pictures.end()


def test_a_first_picture_long_after_media_time_0_places_a_run_no_earlier_than_it_was() -> None:
    camera = Camera(name="desk", role="desk", input="rtsp", source="rtsp://10.0.0.9/live", codec="copy")
    pictures = Pictures(camera)
    # As a stream with B-frames begins: the step to the second picture is no step of a picture.
    decoded_s = [0.36, 0.44, 0.48, 0.52, 0.56]
    for here_s, next_s in itertools.pairwise(decoded_s):
        pictures.come(next_s + LATE_S, here_s, here_s)
    assert pictures.clock.offset_s() == pytest.approx(LATE_S)
    pictures.end()
