"""FFmpeg as a child process, and the segments of one track joined into one file."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import imageio_ffmpeg

from config.errors import (
    ChildCrashed,
    ChildFailed,
    ChildOutOfMemory,
    ChildTimedOut,
    DiskFull,
    FfmpegMissing,
    Truncated,
)
from config.lifeline import ended_with_us

Progress = Callable[[float], None]


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """The progress hook of the part of a work between two shares of it."""
    return lambda share: progress(begin + share * (end - begin))


# Containers a consultation may come in. Playlists and image sequences are left out on purpose: they make
# FFmpeg open other files and addresses on behalf of whoever wrote them.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,asf,flv,wav,w64,flac,mp3,ogg,aac,aiff,amr"
_TAIL_BYTES = 2000
_CUT_SHORT = (av.error.InvalidDataError, av.error.EOFError)
_CLOCK_TOLERANCE_S = Fraction(1, 4)
_ROUNDING_S = Fraction(2, 1000)


def no_progress(_share: float) -> None:
    """The hook of a caller who does not watch."""


def file_url(path: Path) -> str:
    """``path`` so that FFmpeg takes it for a file whatever its name looks like (``-x``, ``http:``, ``a|b``)."""
    return f"file:{path.resolve()}"


def open_media(path: Path) -> av.container.InputContainer:
    """``path`` opened for demuxing, with every protocol but files and every playlist format shut off."""
    return av.open(
        file_url(path),
        options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
        metadata_errors="replace",
    )


def ffmpeg_path() -> str:
    """The ffmpeg that came with imageio-ffmpeg, or the system's. Raises FfmpegMissing.

    The packaged one first: it is pinned by the lock, so the same input gives the same bytes on every machine,
    and a distribution's may be years older than the options used here.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        found = shutil.which("ffmpeg")
        if found is None:
            raise FfmpegMissing(detail=str(error)) from error
        return found


def input_args(path: Path) -> list[str]:
    """Arguments that make ``path`` an input of ffmpeg, as untrusted as it is."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", file_url(path)]


def run_ffmpeg(
    args: Sequence[str],
    *,
    duration_s: float | None = None,
    progress: Progress = no_progress,
    timeout_s: float | None = None,
    cwd: Path | None = None,
) -> None:
    """Run ffmpeg on ``args`` (inputs, options and outputs) and wait for it.

    ``progress`` hears shares of ``duration_s``. Whatever ends the wait, an exception in ``progress`` included, ends
    ffmpeg too. Raises ChildFailed with the end of its messages, ChildCrashed when a signal ended it,
    ChildTimedOut, ChildOutOfMemory, DiskFull, FfmpegMissing.
    """
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-nostats", "-y", "-progress", "pipe:1", *args]
    with tempfile.TemporaryFile() as messages:
        child = _start(command, messages, cwd)
        timed_out = threading.Event()
        try:
            with _deadline(child, timeout_s, timed_out):
                assert child.stdout is not None
                _follow(child.stdout, duration_s, progress)
                status = child.wait()
        finally:
            child.kill()
            child.wait()
        if timed_out.is_set():
            raise ChildTimedOut(step="ffmpeg", detail=f"{timeout_s} s")
        if status:
            raise _failure("ffmpeg", status, _tail(messages), cwd or Path.cwd())
    progress(1.0)


def _start(command: Sequence[str], messages: IO[bytes], cwd: Path | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=cwd,
            text=True,
            preexec_fn=ended_with_us(),  # noqa: PLW1509 - it calls prctl, nothing else
        )
    except (FileNotFoundError, PermissionError) as error:
        raise FfmpegMissing(detail=str(error)) from error


@contextlib.contextmanager
def _deadline(child: subprocess.Popen[str], timeout_s: float | None, rang: threading.Event) -> Iterator[None]:
    def ring() -> None:
        rang.set()
        child.kill()

    timer = threading.Timer(timeout_s or 0.0, ring)
    timer.daemon = True
    if timeout_s is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _follow(lines: IO[str], duration_s: float | None, progress: Progress) -> None:
    with lines:
        for line in lines:
            key, _, value = line.strip().partition("=")
            if key == "out_time_us" and duration_s and value.lstrip("-").isdigit():
                progress(min(1.0, max(0.0, int(value) / 1e6 / duration_s)))


def _tail(messages: IO[bytes]) -> str:
    size = messages.seek(0, os.SEEK_END)
    messages.seek(max(0, size - _TAIL_BYTES))
    return messages.read().decode("utf-8", "replace").strip()


def _failure(step: str, status: int, tail: str, folder: Path) -> ChildFailed | DiskFull:
    if "No space left on device" in tail:
        return DiskFull(path=str(folder), needed_mb=0, free_mb=shutil.disk_usage(folder).free // 2**20)
    if "Cannot allocate memory" in tail:
        return ChildOutOfMemory(step=step, detail=tail)
    if status < 0:
        return ChildCrashed(step=step, detail=f"signal {-status}; {tail}")
    return ChildFailed(step=step, detail=tail)


def join_segments(parts: Sequence[Path], out: Path) -> None:
    """Join the segments of one track, given in order, into ``out`` (whose suffix names the container).

    One part alone is copied byte for byte. FLAC segments are decoded and coded again, which loses nothing and is
    the only way to number their frames through; everything else is copied packet by packet. Segments may
    start at zero each or carry on the clock of the one before. Raises Truncated for a segment that cannot be opened,
    ChildFailed when the container refuses the stream, DiskFull.
    """
    if not parts:
        raise ValueError("no segments to join")
    if len(parts) == 1:
        shutil.copyfile(parts[0], out)
        return
    try:
        with av.open(str(out), "w", options={"fflags": "+bitexact"}) as sink:
            if _codec(parts[0]) == "flac":
                _join_flac(parts, sink)
            else:
                _join_packets(parts, sink)
    except av.error.FFmpegError as error:
        raise _failure("join", 1, str(error), out.parent) from error


@contextlib.contextmanager
def _segment(path: Path) -> Iterator[av.container.InputContainer]:
    try:
        source = open_media(path)
    except av.error.InvalidDataError as error:
        raise Truncated(name=path.name, detail=str(error)) from error
    with source:
        if not source.streams:
            raise Truncated(name=path.name, detail="no stream")
        yield source


def _codec(path: Path) -> str:
    with _segment(path) as source:
        context = source.streams[0].codec_context
        return context.name if context else ""


def _join_flac(parts: Sequence[Path], sink: av.container.OutputContainer) -> None:
    out: av.AudioStream | None = None
    written = 0
    for part in parts:
        with _segment(part) as source, contextlib.suppress(*_CUT_SHORT):
            stream = source.streams.audio[0]
            if out is None:
                out = sink.add_stream("flac", rate=stream.rate)
                out.codec_context.layout = stream.codec_context.layout
                out.codec_context.format = stream.codec_context.format
            for frame in source.decode(stream):
                frame.pts, frame.time_base = written, Fraction(1, stream.rate)
                written += frame.samples
                sink.mux(out.encode(frame))
    if out is not None:
        sink.mux(out.encode(None))


def _join_packets(parts: Sequence[Path], sink: av.container.OutputContainer) -> None:
    outs: list[av.stream.Stream] = []
    first_origin_s, end_s = Fraction(0), Fraction(0)
    for part in parts:
        with _segment(part) as source:
            origin_s = Fraction(source.start_time or 0, av.time_base)
            if not outs:
                outs = [sink.add_stream_from_template(stream) for stream in source.streams]
                first_origin_s = origin_s
            carries_on = abs(origin_s - first_origin_s - end_s) < _CLOCK_TOLERANCE_S
            shift_s = -first_origin_s if carries_on else end_s - origin_s
            end_s = _append(source, sink, outs, shift_s) or end_s


def _append(
    source: av.container.InputContainer,
    sink: av.container.OutputContainer,
    outs: Sequence[av.stream.Stream],
    shift_s: Fraction,
) -> Fraction | None:
    """Copy every packet of ``source``, ``shift_s`` later; returns where its first stream now ends, in seconds.

    The end is the number of frames over the frame rate where these agree with the time stamps: Matroska rounds
    stamps to milliseconds, and 900 roundings an hour would drift against the sound.
    """
    count, first_s, last_s = 0, Fraction(0), Fraction(0)
    with contextlib.suppress(*_CUT_SHORT):
        for packet in _decode_timed(source.demux()):
            if packet.pts is None or packet.time_base is None or packet.stream.index >= len(outs):
                continue
            start_s = packet.pts * packet.time_base
            if packet.stream.index == 0:
                first_s = start_s if count == 0 else min(first_s, start_s)
                last_s = max(last_s, start_s + (packet.duration or 0) * packet.time_base)
                count += 1
            shift = round(shift_s / packet.time_base)
            packet.pts += shift
            packet.dts = None if packet.dts is None else packet.dts + shift
            packet.stream = outs[packet.stream.index]
            sink.mux(packet)
    if not count:
        return None
    length_s = last_s - first_s
    rate = getattr(source.streams[0], "average_rate", None)
    if rate and abs(count / rate - length_s) < _ROUNDING_S:
        length_s = count / rate
    return first_s + shift_s + length_s


def _decode_timed(packets: Iterable[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    """``packets`` with the decoding times that Matroska does not store, counted back from the first one known."""
    waiting: dict[int, list[av.Packet[Any]]] = {}
    for packet in packets:
        if packet.pts is not None and packet.dts is None:
            waiting.setdefault(packet.stream.index, []).append(packet)
            continue
        early = waiting.pop(packet.stream.index, [])
        for back, held in enumerate(reversed(early), 1):
            held.dts = None if packet.dts is None else packet.dts - back * (packet.duration or 1)
        yield from early
        yield packet
