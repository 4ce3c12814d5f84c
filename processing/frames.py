"""The pictures of a video one after the other, upright, in the same order and number for every pass."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain
from pathlib import Path

import av
import av.filter
import cv2
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from config.errors import EmptyMedia, MediaRejected, NotMedia, NoVideo, Truncated
from processing.media import open_media

# Several pictures are worked on at once already: OpenCV's own threads beside them cost 6 % of a 1080p rendering.
cv2.setNumThreads(1)

Picture8 = NDArray[np.uint8]
_Stamp = tuple[int, Fraction]
_PLANAR_420 = ("yuv420p", "yuvj420p")  # the same layout; the second only says that the range is full


@dataclass(frozen=True)
class VideoFacts:
    """What a video says about itself; sizes are those of the displayed (rotated) picture."""

    width_px: int
    height_px: int
    pixel_shape: Fraction
    """Width of a displayed pixel over its height: 1 but for old camcorders."""
    fps: float
    frames: int
    """Number of frames as far as the header tells; only good enough for a progress bar."""


@dataclass(frozen=True)
class Picture:
    """One decoded frame; ``time_s`` and ``pts`` are those of the file."""

    index: int
    pts: int
    time_base: Fraction
    frame: av.VideoFrame

    @property
    def time_s(self) -> float:
        return float(self.pts * self.time_base)

    @property
    def _quarter_turns(self) -> int:
        return round(self.frame.rotation / 90) % 4

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height as displayed."""
        width, height = self.frame.width, self.frame.height
        return (height, width) if self._quarter_turns % 2 else (width, height)

    def rgb(self, longest_px: int | None = None) -> Picture8:
        """(H, W, 3) upright pixels, reduced so that neither side is above ``longest_px``."""
        width, height = self.frame.width, self.frame.height
        scale = min(1.0, (longest_px or max(width, height)) / max(width, height))
        size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
        # One thread: its others cost more than such a small picture.
        upright = self.frame.reformat(format="rgb24", interpolation="AREA", threads=1, **size)
        return np.ascontiguousarray(np.rot90(upright.to_ndarray(), self._quarter_turns))

    @cached_property
    def pixels(self) -> Picture8:
        """(H, W, 3) upright RGB at full size, converted once however many ask; not to be written to."""
        return self.rgb()

    def part(self, left: int, top: int, right: int, bottom: int) -> Picture8:
        """(H, W, 3) upright RGB of the columns from ``left`` and rows from ``top`` on, at full size."""
        if self._quarter_turns or self.frame.format.name not in _PLANAR_420:
            return self.pixels[top:bottom, left:right]
        # Colour is stored for two pixels by two: whole ones are converted, and what was not asked for cut off.
        x, y = left // 2 * 2, top // 2 * 2
        part = av.VideoFrame(right - x, bottom - y, self.frame.format.name)
        part.color_range, part.colorspace = self.frame.color_range, self.frame.colorspace
        for number, shift in enumerate((0, 1, 1)):
            plane = _plane(part, number)
            rows, columns = plane.shape
            plane[:] = _plane(self.frame, number)[y >> shift :, x >> shift :][:rows, :columns]
        pixels = np.asarray(part.to_ndarray(format="rgb24"), np.uint8)
        return pixels[top - y :, left - x :]

    def luma(self) -> Picture8:
        """(H, W) upright brightness as coded; a view of the frame that must not be written to."""
        frame = self.frame
        if frame.format.name not in _PLANAR_420:
            frame = frame.reformat(format="gray")
        return np.rot90(_plane(frame, 0), self._quarter_turns)

    def canvas(self) -> Canvas:
        """A fresh upright 8-bit 4:2:0 copy to draw on; an odd last row or column is cut off, as 4:2:0 needs."""
        source = self.frame
        if source.format.name not in _PLANAR_420:
            source = source.reformat(format="yuv420p")
        upright = [np.rot90(_plane(source, number), self._quarter_turns) for number in range(3)]
        rows, columns = upright[0].shape[0] // 2, upright[0].shape[1] // 2
        copy = av.VideoFrame(2 * columns, 2 * rows, "yuv420p")
        copy.pts, copy.time_base = self.pts, self.time_base
        copy.color_range, copy.colorspace = self.frame.color_range, self.frame.colorspace
        y, u, v = (_plane(copy, number) for number in range(3))
        for plane, pixels in zip((y, u, v), upright, strict=True):
            plane[:] = pixels[: plane.shape[0], : plane.shape[1]]
        return Canvas(copy, (y, u, v))


@dataclass(frozen=True)
class Canvas:
    """A frame of our own and writable views of its Y (H, W), U and V (H/2, W/2)."""

    frame: av.VideoFrame
    planes: tuple[Picture8, Picture8, Picture8]


def _plane(frame: av.VideoFrame, number: int) -> Picture8:
    plane = frame.planes[number]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return pixels[: plane.height, : plane.width]


@dataclass(frozen=True)
class Contents:
    """What the container tells without a picture being decoded.

    ``packets``: coded pictures. ``stamps``: their timestamps in the order of display, or None where these do not tell
    the pictures apart.
    """

    fps: float
    packets: int
    stamps: tuple[int, ...] | None


def video_facts(video: Path) -> VideoFacts:
    """Size, speed and approximate length. Raises NotMedia, NoVideo, EmptyMedia or Truncated."""
    with _opened(video) as (container, stream):
        # One frame needs no threads beside it, which would first read several.
        stream.thread_type = "NONE"
        stamped = next(_decoded(container, stream, video.name), None)
        if stamped is None:
            raise EmptyMedia(name=video.name)
        return _facts(container, stream, Picture(0, *stamped[0], stamped[1]))


def _facts(container: av.container.InputContainer, stream: av.VideoStream, first: Picture) -> VideoFacts:
    fps = _fps(stream)
    length_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    if not length_s and container.duration:
        length_s = container.duration / av.time_base
    width_px, height_px = first.size_px
    shape = stream.sample_aspect_ratio or Fraction(1)
    if (width_px, height_px) != (first.frame.width, first.frame.height):
        shape = 1 / shape
    return VideoFacts(width_px, height_px, shape, fps, stream.frames or max(1, round(length_s * fps)))


def _fps(stream: av.VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)


def video_contents(video: Path) -> Contents:
    """Reads the whole file, decodes none of it. Raises NotMedia or NoVideo."""
    with _opened(video) as (container, stream):
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        known = sorted(stamp for stamp in stamps if stamp is not None)
        distinct = len(set(known)) == len(stamps)
        return Contents(_fps(stream), len(stamps), tuple(known) if distinct else None)


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """The stream that is shown, never a cover picture, which every player skips. Raises NoVideo."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise NoVideo(name=name)


def read_pictures(video: Path) -> Iterator[Picture]:
    """Every frame once, in display order, holding only a few at a time; interlaced ones are made progressive.

    A frame without a timestamp, or not later than the one before it, gets the next free tick: nothing is
    dropped. Raises NotMedia, NoVideo, EmptyMedia, or Truncated when decoding fails part of the way.
    """
    _, pictures = open_pictures(video)
    yield from pictures


def open_pictures(video: Path) -> tuple[VideoFacts, Iterator[Picture]]:
    """What :func:`video_facts` tells and :func:`read_pictures` reads, of a file opened only once.

    To open a 1080p file and read its first picture by itself took 60 ms, in which the other cores have nothing to do.
    """
    with ExitStack() as opening:
        container, stream = opening.enter_context(_opened(video))
        frames = _decoded(container, stream, video.name)
        first = next(frames, None)
        if first is None:
            raise EmptyMedia(name=video.name)
        facts = _facts(container, stream, Picture(0, *first[0], first[1]))
        return facts, _numbered(chain([first], frames), opening.pop_all())


def _numbered(frames: Iterator[tuple[_Stamp, av.VideoFrame]], opened: ExitStack) -> Iterator[Picture]:
    with opened:
        for index, ((pts, time_base), frame) in enumerate(frames):
            yield Picture(index, pts, time_base, frame)


def read_often(
    video: Path, contents: Contents, every: int, also: Collection[int] = frozenset()
) -> Iterator[Picture]:
    """Pictures of ``video`` with their numbers: of any ``every`` that follow one another at least one, and ``also``.

    Of the others, those that no picture is made from are left out where the rest is enough: they need not be decoded,
    which saves a third of the work. ``contents`` are the file's. Raises as :func:`read_pictures` does.
    """
    last = -1

    def complete(until: int) -> bool:
        left_out = range(last + 1, until)
        return len(left_out) < every and not any(number in also for number in left_out)

    if contents.stamps:
        for picture in _referenced(video, contents.stamps, also):
            if not complete(picture.index):
                break
            yield picture
            last = picture.index
        if complete(len(contents.stamps)):
            return
    for picture in read_pictures(video):
        if picture.index > last:
            yield picture


def _referenced(video: Path, stamps: Sequence[int], also: Collection[int]) -> Iterator[Picture]:
    """The pictures that others are made from and ``also``, as far as they are among ``stamps``, which number them."""
    wanted = {stamps[number] for number in also if number < len(stamps)}
    with _opened(video) as (container, stream):
        for (pts, time_base), frame in _decoded(container, stream, video.name, wanted):
            index = bisect_left(stamps, pts)
            if index == len(stamps) or stamps[index] != pts:
                return
            yield Picture(index, pts, time_base, frame)


@contextmanager
def _opened(video: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    try:
        container = open_media(video)
    except av.error.FFmpegError as error:
        raise NotMedia(name=video.name, detail=error.strerror) from error
    with container:
        stream = video_stream(container, video.name)
        stream.thread_type = "AUTO"
        yield container, stream


def _decoded(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    name: str,
    needed: Collection[int] | None = None,
) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
    """All frames, or those that others are made from and those with the timestamps ``needed``."""
    frames = container.decode(stream) if needed is None else _sparsely(container, stream, needed)
    try:
        yield from _progressive(_stamped(frames))
    except av.error.FFmpegError as error:
        raise Truncated(name=name, detail=error.strerror) from error


def _sparsely(
    container: av.container.InputContainer, stream: av.VideoStream, needed: Collection[int]
) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in needed else "NONREF"
        yield from packet.decode()


def _stamped(frames: Iterator[av.VideoFrame]) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
    last = None
    for frame in frames:
        pts = frame.pts if frame.pts is not None else (0 if last is None else last + 1)
        last = pts if last is None else max(pts, last + 1)
        yield (last, frame.time_base or Fraction(1, 1000)), frame


def _progressive(
    frames: Iterator[tuple[_Stamp, av.VideoFrame]],
) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
    """As many frames with the same stamps, without the combs that the two fields of a moving face make.

    Combed, a face is harder to find, and the output, which is coded as progressive, would show the combs.
    """
    fields: _Deinterlacer | None = None
    for stamp, frame in frames:
        if fields is not None and not fields.fits(frame):
            yield from fields.rest()
            fields = None
        if fields is None and frame.interlaced_frame:
            fields = _Deinterlacer(frame)
        if fields is None:
            yield stamp, frame
        else:
            yield from fields.take(stamp, frame)
    if fields is not None:
        yield from fields.rest()


class _Deinterlacer:
    """FFmpeg's bwdif over the frames that are marked as interlaced; one frame out for each one in."""

    def __init__(self, first: av.VideoFrame) -> None:
        self._kind = (first.width, first.height, first.format.name)
        self._stamps: deque[_Stamp] = deque()
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=first.time_base
        )
        deinterlace = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        source.link_to(deinterlace)
        deinterlace.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._kind

    def take(self, stamp: _Stamp, frame: av.VideoFrame) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
        self._stamps.append(stamp)
        frame.pts, frame.time_base = stamp
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[tuple[_Stamp, av.VideoFrame]]:
        while True:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self._stamps.popleft(), frame


def check_same_size(picture: Picture, size_px: tuple[int, int], name: str) -> None:
    """A picture that changes its size half way cannot be protected by boxes of another size: MediaRejected."""
    if picture.size_px != size_px:
        raise MediaRejected(name=name, detail=f"frame {picture.index}: {picture.size_px} is not {size_px}")
