"""Small clips with two real, moving faces, made from public-domain photographs inside the test packages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from processing.geometry import Box

Pixels = NDArray[np.uint8]
FPS = 25


def expert_photo() -> Path:
    """Grace Hopper, who plays the expert."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def patient_photo() -> Path:
    """Eileen Collins, who plays the patient."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "astronaut.png"


@dataclass(frozen=True)
class Actor:
    """A head cut out of a photograph; ``face`` is the face's box within ``pixels``."""

    pixels: Pixels
    face: Box

    @classmethod
    def of(cls, photo: Path, crop: tuple[int, int, int, int], face: Box, height_px: int) -> Actor:
        x0, y0, x1, y1 = crop
        whole = cv2.imread(str(photo))
        assert whole is not None
        scale = height_px / (y1 - y0)
        head = cv2.resize(whole[y0:y1, x0:x1, ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        fx0, fy0, fx1, fy1 = face
        return cls(
            np.asarray(head, np.uint8),
            ((fx0 - x0) * scale, (fy0 - y0) * scale, (fx1 - x0) * scale, (fy1 - y0) * scale),
        )

    def draw(self, scene: Pixels, left: int, top: int) -> Box:
        """Paint the head into ``scene``, cut at its edges; returns where the face now is."""
        height, width = self.pixels.shape[:2]
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(scene.shape[1], left + width), min(scene.shape[0], top + height)
        if x0 < x1 and y0 < y1:
            scene[y0:y1, x0:x1] = self.pixels[y0 - top : y1 - top, x0 - left : x1 - left]
        fx0, fy0, fx1, fy1 = self.face
        return (left + fx0, top + fy0, left + fx1, top + fy1)


def expert(height_px: int = 200) -> Actor:
    return Actor.of(expert_photo(), (100, 40, 440, 420), (173.0, 128.0, 358.0, 334.0), height_px)


def patient(height_px: int = 200) -> Actor:
    return Actor.of(patient_photo(), (120, 0, 330, 235), (181.0, 58.0, 270.0, 178.0), height_px)


@dataclass(frozen=True)
class Scene:
    """One frame of a clip and where the faces are in it."""

    pixels: Pixels
    expert: Box
    patient: Box


def consultation(frames: int, width_px: int = 640, height_px: int = 360) -> Iterator[Scene]:
    """The expert on the left and the patient on the right, both drifting, before a wall with some texture."""
    left, right = expert(round(height_px * 0.6)), patient(round(height_px * 0.55))
    wall = np.random.default_rng(7).integers(90, 120, (height_px // 8 + 1, width_px // 8 + 1, 3), np.uint8)
    background = cv2.resize(wall, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        swing = np.sin(number / 9.0)
        pixels = np.asarray(background, np.uint8).copy()
        a = left.draw(pixels, round(width_px * 0.08 + 12 * swing), round(height_px * 0.2))
        b = right.draw(pixels, round(width_px * 0.6 - 25 * swing), round(height_px * 0.25 + 10 * swing))
        yield Scene(pixels, a, b)


def write_clip(
    out: Path,
    pictures: Iterator[Pixels],
    *,
    pts: list[int] | None = None,
    audio_streams: int = 0,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    **options: str,
) -> Path:
    """Encode RGB ``pictures`` (``pts`` in thousandths of a second, else 25 a second) and tones as sound."""
    with av.open(str(out), "w") as sink:
        video: Any = None
        sounds = [sink.add_stream("aac", rate=16000, layout="mono") for _ in range(audio_streams)]
        last_s = 0.0
        for number, pixels in enumerate(pictures):
            if video is None:
                video = sink.add_stream(
                    codec, rate=FPS, options={"crf": "20", "preset": "ultrafast", **options}
                )
                video.height, video.width = pixels.shape[:2]
                video.pix_fmt = pix_fmt
                video.codec_context.time_base = video.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = pts[number] if pts else number * 1000 // FPS, Fraction(1, 1000)
            last_s = float(frame.pts * frame.time_base)
            sink.mux(video.encode(frame))
        sink.mux(video.encode(None))
        for tone, sound in enumerate(sounds):
            time_s = np.arange(int(16000 * (last_s + 1 / FPS))) / 16000
            wave = (0.3 * np.sin(2 * np.pi * (220 + 110 * tone) * time_s)).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 16000, 0, Fraction(1, 16000)
            sink.mux(sound.encode(samples))
            sink.mux(sound.encode(None))
    return out


def consultation_clip(out: Path, frames: int = 50, audio_streams: int = 0) -> Path:
    return write_clip(out, (scene.pixels for scene in consultation(frames)), audio_streams=audio_streams)


def rotated(clip: Path, out: Path, clockwise_deg: int) -> Path:
    """The same coded video, to be shown turned: what a phone held upright writes."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    turn = ["-display_rotation", str(-clockwise_deg), "-i", str(clip), "-c", "copy", str(out)]
    subprocess.run([ffmpeg, "-v", "error", "-y", *turn], check=True)
    return out


def sound_only(out: Path) -> Path:
    with av.open(str(out), "w") as sink:
        stream = sink.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        sink.mux(stream.encode(samples))
        sink.mux(stream.encode(None))
    return out


def by_ffmpeg(out: Path, *args: str | Path) -> Path:
    """``out`` made by ffmpeg itself, which shares no code of ours."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, args), str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return out


def times_by_ffmpeg(video: Path, stream: str = "v:0") -> list[Fraction]:
    """When ffmpeg shows each frame of a stream, in seconds; it is asked because we did not write it."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-copyts",
        "-i",
        str(video),
        "-map",
        f"0:{stream}",
    ]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    (tick,) = (Fraction(line.partition(": ")[2]) for line in told if line.startswith("#tb"))
    return [int(line.split(",")[2]) * tick for line in told if not line.startswith("#")]
