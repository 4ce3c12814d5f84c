"""Single pictures from a camera of the rig or a file, decoded by ffmpeg in a child process under a time limit."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capture.rig import Camera, Rig, ffmpeg_binary, last_words
from capture.sources import Opening
from config.errors import DeviceFailed

Frames = NDArray[np.uint8]
_PPM_HEADER = re.compile(rb"P6\s(\d+)\s(\d+)\s255\s")


def grab_frame(rig: Rig, camera: str, timeout_s: float = 20.0) -> Frames:
    """One RGB picture (h, w, 3), uint8, from the named camera. Raises DeviceFailed, FfmpegMissing, RigRejected."""
    first: Frames = grab_frames(rig, camera, 1, timeout_s)[0]
    return first


def grab_frames(rig: Rig, camera: str, count: int, timeout_s: float = 20.0) -> Frames:
    """The next ``count`` pictures (n, h, w, 3) of a camera, decoded in a child process within ``timeout_s``."""
    chosen = rig.find(camera)
    if not isinstance(chosen, Camera):
        raise DeviceFailed(input=camera, detail="not a camera")
    return _decode(rig.ffmpeg_input(chosen), camera, count, timeout_s)


def read_image(path: Path, timeout_s: float = 20.0) -> Frames:
    """A picture file as (1, h, w, 3), decoded in a child process. Raises DeviceFailed naming the file."""
    source = Opening(["-protocol_whitelist", "file", "-i", f"file:{path.resolve()}"])
    return _decode(source, path.name, 1, timeout_s)


def _decode(source: Opening, name: str, count: int, timeout_s: float) -> Frames:
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-nostdin", *source.arguments]
    command += ["-map", "0:v:0"]
    # The fast conversion to RGB is up to two codes too dark, 3 % of the light.
    command += ["-sws_flags", "accurate_rnd+full_chroma_int"]
    command += ["-frames:v", str(count), "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]
    try:
        done = subprocess.run(
            command, input=source.stdin, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceFailed(input=name, detail=f"no picture within {timeout_s:g} s") from error
    pictures = _ppm_pictures(done.stdout)
    if not pictures:
        raise DeviceFailed(input=name, detail=last_words(done.stderr) or "no picture")
    return np.asarray(np.stack(pictures), dtype=np.uint8)


def _ppm_pictures(raw: bytes) -> list[Frames]:
    """Binary PPM pictures (P6, 8 bit), one behind the other; an unfinished last one is left out."""
    pictures: list[Frames] = []
    start = 0
    while (header := _PPM_HEADER.match(raw, start)) is not None:
        width, height = int(header[1]), int(header[2])
        start = header.end() + width * height * 3
        if start > len(raw):
            break
        pixels = np.frombuffer(raw, np.uint8, width * height * 3, header.end())
        pictures.append(pixels.reshape(height, width, 3))
    return pictures
