"""x264 into an MP4: the same pictures give the same bytes, keyframes stand where streaming cuts."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av

from config.errors import DiskFull
from config.settings import MediaSettings
from processing.frames import Picture, VideoFacts

# Fixed, because x264's output depends on it: the same input gives the same bytes on any machine.
ENCODER_THREADS = 4
X264_PARAMS = "scenecut=0:open-gop=0:keyint=infinite"


class Encoder:
    """x264 into an open container, one picture at a time."""

    def __init__(
        self,
        sink: av.container.OutputContainer,
        picture: Picture,
        upright: av.VideoFrame,
        media: MediaSettings,
        facts: VideoFacts,
    ) -> None:
        self._sink = sink
        self._stream = sink.add_stream(
            "libx264",
            rate=Fraction(facts.fps).limit_denominator(1001),
            width=upright.width,
            height=upright.height,
            pix_fmt="yuv420p",
            options={
                "crf": str(media.crf),
                "preset": media.preset,
                "threads": str(ENCODER_THREADS),
                "forced-idr": "1",
                "x264-params": X264_PARAMS,
            },
        )
        codec = self._stream.codec_context
        # Whole frames side by side, as ffmpeg does; slices, PyAV's way, took 1.3 times as long for larger files.
        codec.thread_type = "FRAME"
        codec.time_base = picture.time_base
        codec.sample_aspect_ratio = facts.pixel_shape
        self._stream.time_base = picture.time_base
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(codec, name, getattr(picture.frame, name))
        self._first_s = picture.time_s
        self._keyframe_s = media.keyframe_s
        self._keyframes = 0

    def write(self, frame: av.VideoFrame) -> None:
        time_s = frame.time or 0.0
        # A hair early: a keyframe due at 2 s belongs to the frame at 1.9999.
        if time_s - self._first_s >= self._keyframes * self._keyframe_s - 1e-3:
            frame.pict_type = av.video.frame.PictureType.I
            self._keyframes = int((time_s - self._first_s + 1e-3) / self._keyframe_s) + 1
        self._sink.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._sink.mux(self._stream.encode(None))


@contextmanager
def disk(out: Path, source: Path) -> Iterator[None]:
    """A full disk while writing ``out`` is a DiskFull; what is written is about as large as ``source``."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        free_mb = shutil.disk_usage(out.parent).free // 2**20
        needed_mb = source.stat().st_size // 2**20 + 1
        raise DiskFull(path=str(out.parent), needed_mb=needed_mb, free_mb=free_mb) from error
