"""Pass two: faces hidden in the pixels for good, everything else of the picture kept as it was."""

from __future__ import annotations

import errno
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from time import perf_counter
from typing import Any

import av

from config.errors import DiskFull, MediaRejected
from config.settings import MediaSettings, VisionSettings
from processing.chains import Box
from processing.detectors import open_detector
from processing.faces import detect_faces
from processing.frames import Picture, VideoFacts, check_same_size, read_pictures, video_facts
from processing.hide import Style, hide
from processing.media import Progress, file_url, open_media
from processing.recognise import keep_enrolled, make_template
from processing.tracks import Track, apply_edits, link
from processing.verify import VerificationReport, attack

# Fixed, because x264's output depends on it: the same input gives the same bytes on any machine.
ENCODER_THREADS = 4
ENCODER_AHEAD = 6  # frames


@dataclass(frozen=True)
class RenderReport:
    """What pass two did."""

    frames: int
    frames_blurred: int
    seconds: float

    @property
    def fps(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class BlurReport:
    """What was done to one file, for its owner."""

    frames: int
    detections: int
    tracks: tuple[dict[str, Any], ...]
    detect_fps: float
    render_fps: float
    fps: float
    verification: VerificationReport

    def to_dict(self) -> dict[str, Any]:
        raw = {name: value for name, value in asdict(self).items() if name != "verification"}
        return {**raw, "verdict": self.verification.verdict, "verification": self.verification.to_dict()}


def render(
    video: Path,
    tracks: Sequence[Track],
    out: Path,
    *,
    style: Style,
    media: MediaSettings,
    progress: Progress,
) -> RenderReport:
    """Write ``video`` to the MP4 ``out`` with every track to be blurred hidden; video only.

    Frame count and timestamps are kept (also a variable frame rate), rotation goes into the pixels, the output
    is 8-bit 4:2:0 H.264 with closed groups whose keyframes stand every ``media.keyframe_s``. Where an area to
    blur meets a kept one, it is blurred. Raises NotMedia, NoVideo, EmptyMedia, Truncated, MediaRejected, DiskFull.
    """
    started = perf_counter()
    facts = video_facts(video)
    hidden = _Schedule(tracks)
    count = blurred = 0
    with (
        _disk(out, video),
        av.open(file_url(out), "w", format="mp4", options={"movflags": "+faststart"}) as sink,
        # x264 works while the next picture is decoded and blurred; only a few wait, so that memory stays flat.
        ThreadPoolExecutor(1, "x264") as writing,
    ):
        encoder: _Encoder | None = None
        waiting: deque[Future[None]] = deque()
        for picture in read_pictures(video):
            check_same_size(picture, (facts.width_px, facts.height_px), video.name)
            canvas = picture.canvas()
            boxes = hidden.areas(picture.index)
            for box in boxes:
                hide(canvas.planes, box, style)
            encoder = encoder or _Encoder(sink, picture, canvas.frame, media, facts)
            waiting.append(writing.submit(encoder.write, canvas.frame))
            if len(waiting) > ENCODER_AHEAD:
                waiting.popleft().result()
            count, blurred = picture.index + 1, blurred + bool(boxes)
            if count % 25 == 0:
                progress(min(1.0, count / facts.frames))
        for write in waiting:
            write.result()
        if encoder is not None:
            encoder.close()
    progress(1.0)
    return RenderReport(count, blurred, perf_counter() - started)


class _Schedule:
    """The areas to blur, frame by frame, without asking every track of a long recording each time."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        blurred = [track for track in tracks if track.decision == "blur"]
        self._to_come = sorted(blurred, key=lambda track: (track.first_frame, track.id), reverse=True)
        self._alive: list[Track] = []

    def areas(self, frame: int) -> list[Box]:
        while self._to_come and self._to_come[-1].first_frame <= frame:
            self._alive.append(self._to_come.pop())
        self._alive = [track for track in self._alive if track.last_frame >= frame]
        areas = (track.area_at(frame) for track in self._alive)
        return [area for area in areas if area is not None]


class _Encoder:
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
                "x264-params": "scenecut=0:open-gop=0:keyint=infinite",
            },
        )
        codec = self._stream.codec_context
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


def blur_file(
    source: Path,
    out: Path,
    *,
    vision: VisionSettings,
    media: MediaSettings,
    keep_photos: Sequence[Path] = (),
    edits: dict[str, Any] | None = None,
    progress: Progress,
) -> BlurReport:
    """Blur every face of one file but those of ``keep_photos``; every audio stream is copied bit for bit.

    ``out`` appears only when it is whole. Raises what :func:`render`, :func:`make_template` and
    :func:`apply_edits` raise, and MediaRejected when the sound does not fit into the container of ``out``.
    """
    started = perf_counter()
    templates = [make_template(photo) for photo in keep_photos]
    detections = detect_faces(source, open_detector(vision), vision, _stage(progress, 0.0, 0.4))
    detected_s = perf_counter() - started
    tracks = link(detections)
    if templates:
        tracks = keep_enrolled(source, tracks, templates, vision, _stage(progress, 0.4, 0.5))
    tracks = apply_edits(tracks, edits or {})
    silent = out.with_name(f".{out.name}.video.mp4")
    partial = out.with_name(f".{out.name}.partial{out.suffix}")
    try:
        rendered = render(
            source, tracks, silent, style=vision.style, media=media, progress=_stage(progress, 0.5, 0.75)
        )
        _add_sound(silent, source, partial)
        report = attack(partial, tracks, vision, _stage(progress, 0.75, 1.0), original=source)
        partial.replace(out)
    finally:
        silent.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return BlurReport(
        frames=rendered.frames,
        detections=sum(len(look.boxes) for look in detections.looks),
        tracks=tuple(_line(track, detections.fps) for track in tracks),
        detect_fps=round(detections.frames / detected_s, 1),
        render_fps=round(rendered.fps, 1),
        fps=round(rendered.frames / (perf_counter() - started), 1),
        verification=report,
    )


def _stage(progress: Progress, begin: float, end: float) -> Progress:
    return lambda share: progress(begin + (end - begin) * share)


def _line(track: Track, fps: float) -> dict[str, Any]:
    return {
        "id": track.id,
        "from_s": round(track.first_frame / fps, 3),
        "to_s": round((track.last_frame + 1) / fps, 3),
        "looks": len(track.looks),
        "decision": track.decision,
        "reason": track.reason,
    }


def _add_sound(video: Path, source: Path, out: Path) -> None:
    with (
        _disk(out, source),
        open_media(video) as picture,
        open_media(source) as sound,
        av.open(file_url(out), "w") as sink,
    ):
        try:
            copies: dict[tuple[str, int], av.VideoStream | av.AudioStream] = {}
            for video_stream in picture.streams.video:
                copies["v", video_stream.index] = sink.add_stream_from_template(video_stream)
            for stream in sound.streams.audio:
                copies["a", stream.index] = sink.add_stream_from_template(stream)
            # In step, so that neither file has to be held while the other is read.
            for kind, packet in merge(_packets("v", picture), _packets("a", sound), key=_when):
                packet.stream = copies[kind, packet.stream.index]
                sink.mux(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError, ValueError) as error:
            raise MediaRejected(name=source.name, detail=str(error)) from error


def _packets(kind: str, container: av.container.InputContainer) -> Iterator[tuple[str, av.Packet[Any]]]:
    streams = container.streams.video if kind == "v" else container.streams.audio
    if streams:
        yield from ((kind, packet) for packet in container.demux(*streams) if packet.dts is not None)


def _when(item: tuple[str, av.Packet[Any]]) -> Fraction:
    packet = item[1]
    return (packet.dts or 0) * packet.time_base


@contextmanager
def _disk(out: Path, source: Path) -> Iterator[None]:
    """A full disk while writing ``out`` is a DiskFull; what is written is about as large as ``source``."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        free_mb = shutil.disk_usage(out.parent).free // 2**20
        needed_mb = source.stat().st_size // 2**20 + 1
        raise DiskFull(path=str(out.parent), needed_mb=needed_mb, free_mb=free_mb) from error
