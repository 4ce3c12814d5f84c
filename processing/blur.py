"""Pass two: faces hidden in the pixels for good, everything else of the picture kept as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from time import perf_counter
from typing import Any

import av

from archive.store import sha256_of
from config.errors import EditsRejected, MediaRejected, RequestRejected
from config.settings import MediaSettings, VisionSettings
from processing.detectors import open_detector, start_score
from processing.encoder import Encoder, disk
from processing.faces import Detections, detect_faces
from processing.frames import Picture, check_same_size, open_pictures
from processing.hide import Planes, Style, hide, hide_polygon
from processing.media import Progress, file_url, open_media, part_of
from processing.overrides import Region, apply_overrides, parse_overrides
from processing.recognise import keep_enrolled, make_template
from processing.schedule import Schedule
from processing.tracks import Track, link
from processing.verify import VerificationReport, attack

ENCODER_AHEAD = 6  # frames
# A player that has come to the end tells a time up to this long after the last frame's timestamp.
LAST_FRAME_S = 1.0


@dataclass(frozen=True)
class RenderReport:
    """What pass two did. ``span_s``: timestamps of the first and last frame. ``regions``: frames each was drawn in."""

    frames: int
    frames_blurred: int
    seconds: float
    size_px: tuple[int, int]
    span_s: tuple[float, float]
    regions: dict[str, int]

    @property
    def fps(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class BlurReport:
    """What was done to one file, for its owner."""

    frames: int
    detections: int
    tracks: tuple[dict[str, Any], ...]
    regions: tuple[dict[str, Any], ...]
    pass_one: dict[str, Any]
    """What pass one found, and the SHA-256 of the file it was found in: a later run can start from it."""
    detect_fps: float | None
    """None when pass one was not run again."""
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
    regions: Sequence[Region] = (),
) -> RenderReport:
    """Write ``video`` to the MP4 ``out`` with every track to be blurred and every region hidden; video only.

    Frame count and timestamps are kept (also a variable frame rate), rotation goes into the pixels, the output
    is 8-bit 4:2:0 H.264 with closed groups whose keyframes stand every ``media.keyframe_s``. Where an area to
    blur meets a kept one, it is blurred. Raises NotMedia, NoVideo, EmptyMedia, Truncated, MediaRejected, DiskFull,
    and EditsRejected when a region lies outside the picture or the video: whoever drew it would rely on it.
    """
    started = perf_counter()
    facts, pictures = open_pictures(video)
    size_px = (facts.width_px, facts.height_px)
    faces, marked = Schedule(tracks, facts.fps), _Regions(regions)
    count = blurred = 0
    first_s = last_s = 0.0
    with (
        disk(out, video),
        av.open(file_url(out), "w", format="mp4", options={"movflags": "+faststart"}) as sink,
        # x264 works while the next picture is decoded and blurred; only a few wait, so that memory stays flat.
        ThreadPoolExecutor(1, "x264") as writing,
    ):
        encoder: Encoder | None = None
        waiting: deque[Future[None]] = deque()
        for picture, next_s in _with_next(pictures):
            check_same_size(picture, size_px, video.name)
            canvas = picture.canvas()
            boxes = faces.areas(picture.index)
            for box in boxes:
                hide(canvas.planes, box, style)
            regions_hidden = marked.hide(canvas.planes, picture.time_s, next_s, style)
            encoder = encoder or Encoder(sink, picture, canvas.frame, media, facts)
            waiting.append(writing.submit(encoder.write, canvas.frame))
            if len(waiting) > ENCODER_AHEAD:
                waiting.popleft().result()
            first_s, last_s = picture.time_s if not count else first_s, picture.time_s
            count, blurred = picture.index + 1, blurred + (bool(boxes) or regions_hidden)
            if count % 25 == 0:
                progress(min(1.0, count / facts.frames))
        for write in waiting:
            write.result()
        if encoder is not None:
            encoder.close()
    marked.check_all_hidden()
    progress(1.0)
    seconds = perf_counter() - started
    return RenderReport(count, blurred, seconds, size_px, (first_s, last_s), marked.frames)


def _with_next(pictures: Iterator[Picture]) -> Iterator[tuple[Picture, float]]:
    """Every picture and the time (s) at which the next one takes its place."""
    picture = next(pictures, None)
    while picture is not None:
        following = next(pictures, None)
        yield picture, following.time_s if following is not None else picture.time_s + LAST_FRAME_S
        picture = following


class _Regions:
    """The regions people drew; ``frames`` counts by region where it was hidden."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = regions
        self.frames = {region.id: 0 for region in regions}

    def hide(self, planes: Planes, from_s: float, to_s: float, style: Style) -> bool:
        """Hide them in the picture shown from ``from_s`` until ``to_s``. Whether there was any."""
        before = sum(self.frames.values())
        for region in self._regions:
            done = [hide_polygon(planes, shape, style) for shape in region.shapes(from_s, to_s)]
            self.frames[region.id] += any(done)
        return sum(self.frames.values()) > before

    def check_all_hidden(self) -> None:
        for name, frames in self.frames.items():
            if not frames:
                raise EditsRejected(problem=f"regions: {name} lies outside the picture or the video")


def blur_file(
    source: Path,
    out: Path,
    *,
    vision: VisionSettings,
    media: MediaSettings,
    keep_photos: Sequence[Path] = (),
    edits: dict[str, Any] | None = None,
    pass_one: dict[str, Any] | None = None,
    progress: Progress,
) -> BlurReport:
    """Blur every face of one file but those of ``keep_photos``; every audio stream is copied bit for bit.

    ``edits`` is a document of :mod:`processing.overrides`. ``pass_one`` is that of an earlier report on the same
    file: faces are not looked for again, and the output is the same to the byte as if they had been.

    ``out`` appears only when it is whole. Raises what :func:`render`, :func:`make_template`,
    :func:`parse_overrides` and :func:`apply_overrides` raise, RequestRejected when ``pass_one`` is not of this file
    and detector, and MediaRejected when the sound does not fit into the container of ``out``.
    """
    started = perf_counter()
    overrides = parse_overrides(edits or {})
    templates = [make_template(photo) for photo in keep_photos]
    sha256 = sha256_of(source)
    detector = open_detector(vision)
    detect_fps = None
    if pass_one is not None:
        detections = _reused(pass_one, sha256, detector.name, start_score(vision))
    else:
        begun = perf_counter()
        detections = detect_faces(source, detector, vision, part_of(progress, 0.0, 0.4))
        detect_fps = round(detections.frames / (perf_counter() - begun), 1)
    tracks = link(detections)
    if templates:
        tracks = keep_enrolled(source, tracks, templates, vision, part_of(progress, 0.4, 0.5))
    tracks = apply_overrides(tracks, overrides)
    silent = out.with_name(f".{out.name}.video.mp4")
    partial = out.with_name(f".{out.name}.partial{out.suffix}")
    try:
        rendered = render(
            source,
            tracks,
            silent,
            style=vision.style,
            media=media,
            progress=part_of(progress, 0.5, 0.75),
            regions=overrides.regions,
        )
        _add_sound(silent, source, partial)
        report = attack(
            partial, tracks, vision, part_of(progress, 0.75, 1.0), original=source, templates=templates
        )
        partial.replace(out)
    finally:
        silent.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)
    return BlurReport(
        frames=rendered.frames,
        detections=sum(len(look.boxes) for look in detections.looks),
        tracks=tuple(_line(track, detections.fps) for track in tracks),
        regions=tuple(region_lines(overrides.regions, rendered)),
        pass_one={"source_sha256": sha256, "detections": detections.to_dict()},
        detect_fps=detect_fps,
        render_fps=round(rendered.fps, 1),
        fps=round(rendered.frames / (perf_counter() - started), 1),
        verification=report,
    )


def _reused(pass_one: Any, sha256: str, detector: str, start_score: float) -> Detections:
    try:
        made_of, found = pass_one["source_sha256"], Detections.from_dict(pass_one["detections"])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestRejected(problem=f"detections: {type(error).__name__}: {error}") from error
    if made_of != sha256:
        raise RequestRejected(problem="detections: made of another file")
    if (found.detector, found.start_score) != (detector, start_score):
        raise RequestRejected(problem=f"detections: made with {found.detector} at {found.start_score}")
    return found


def region_lines(regions: Sequence[Region], rendered: RenderReport) -> list[dict[str, Any]]:
    """What became of each region, for a report."""
    return [
        {"id": region.id, "kind": region.kind, "frames": rendered.regions[region.id]} for region in regions
    ]


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
        disk(out, source),
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
