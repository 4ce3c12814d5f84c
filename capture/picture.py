"""What is wrong with a camera's picture: black, not moving, flickering with the mains, other than asked for."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capture.rig import ffmpeg_binary
from config.errors import DeviceFailed

SIZE = (96, 54)
DECODE_TIMEOUT_S = 60
BLACK = 24.0  # of 255: nothing in the picture but a sensor's noise
STILL = 0.02  # grey levels, mean change from frame to frame
MAINS_LIGHT_HZ = 100.0
# What cameras are set to; the beat shifts by four times the error of a counted rate.
USUAL_FPS = (15.0, 24.0, 25.0, 30.0, 50.0, 60.0)
FLICKER_SHARE = 0.01  # of the mean brightness
FLICKER_OVER_REST = 12.0
_TIME = re.compile(rb"pts_time: *(-?[0-9.]+)")
_STREAM = re.compile(rb"Stream #0:\d+.*?Video: .*?, (\d{2,5})x(\d{2,5})")

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """``frames`` (n, 54, 96) luma; ``width`` and ``height`` as recorded; ``fps`` between the first picture and the last: a
    camera that is copied begins with its next keyframe, which may take seconds."""

    width: int
    height: int
    fps: float
    frames: Frames

    @property
    def is_black(self) -> bool:
        return bool(np.percentile(self.frames, 99) < BLACK)

    @property
    def is_still(self) -> bool:
        """Not even a sensor's noise changes it. One frame tells nothing."""
        if len(self.frames) < 3:
            return False
        changes = np.abs(np.diff(self.frames.astype(np.int16), axis=0)).mean(axis=(1, 2))
        # A key frame differs from the frame before by the encoder's doing.
        return bool(np.percentile(changes, 90) < STILL)

    @property
    def flickers(self) -> bool:
        """Whether bands or the whole picture pulse at the beat of 100 Hz light with the frame rate.

        At 25 or 50 frames per second they stand still, and cannot be told from the scene.
        """
        fps = min(USUAL_FPS, key=lambda usual: abs(usual - self.fps))
        beat_hz = abs(MAINS_LIGHT_HZ - fps * round(MAINS_LIGHT_HZ / fps))
        if (
            len(self.frames) < 40
            or abs(fps / self.fps - 1) > 0.03
            or beat_hz < 1.5
            or beat_hz > fps / 2 - 0.5
        ):
            return False
        rows = self.frames.astype(np.float64).mean(axis=2)
        window = np.hanning(len(rows))[:, None]
        spectrum = np.abs(np.fft.rfft((rows - rows.mean(axis=0)) * window, axis=0)) / window.sum() * 2
        # The light is on every row; what moves is on some.
        amplitude = np.median(spectrum, axis=1)
        frequencies = np.fft.rfftfreq(len(rows), 1 / fps)
        beat = np.abs(frequencies - beat_hz) < 0.5
        rest = ~beat & (frequencies > 1)
        strength = float(amplitude[beat].max())
        strong = strength > FLICKER_SHARE * max(rows.mean(), 1.0)
        return bool(strong and strength > FLICKER_OVER_REST * float(np.median(amplitude[rest])))


def look(name: str, files: list[Path]) -> Picture:
    """Decode the segments of camera ``name``. Raises DeviceFailed when they cannot be, FfmpegMissing."""
    frames, size, steps, span_s = [], (0, 0), 0, 0.0
    for path in files:
        command = [ffmpeg_binary(), "-hide_banner", "-nostdin", "-nostats", "-i", str(path), "-map", "0:v:0"]
        command += [
            "-fps_mode",
            "passthrough",
            "-vf",
            f"scale={SIZE[0]}:{SIZE[1]}:flags=neighbor,format=gray,showinfo=checksum=0",
        ]
        try:
            done = subprocess.run(
                [*command, "-f", "rawvideo", "-"], capture_output=True, timeout=DECODE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceFailed(input=name, detail="no picture could be decoded in time") from error
        whole = len(done.stdout) // (SIZE[0] * SIZE[1])
        frames.append(
            np.frombuffer(done.stdout, np.uint8, whole * SIZE[0] * SIZE[1]).reshape(whole, SIZE[1], SIZE[0])
        )
        found = _STREAM.search(done.stderr)
        size = (int(found[1]), int(found[2])) if found else size
        times_s = [float(each) for each in _TIME.findall(done.stderr)]
        if times_s:
            steps += len(times_s) - 1
            span_s += times_s[-1] - times_s[0]
    shown = np.concatenate(frames) if frames else np.zeros((0, SIZE[1], SIZE[0]), np.uint8)
    if not len(shown):
        raise DeviceFailed(input=name, detail="no picture")
    return Picture(*size, steps / span_s if span_s > 0 else 0.0, shown)
